/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_BLOB_TREE_DISK_H
#define SHALE_BLOB_TREE_DISK_H

/*
 * Records of a tree blob, transcribed from docs/format.md 3.  All offsets and
 * counts in them are hostile until layers/blob/tree.h has decoded them.
 */

#include "layers/base/bytes.h"

/* Sections, in this order in the header. */
enum shale_tree_section {
	SHALE_TREE_INODES = 0,    /* by ino */
	SHALE_TREE_DIRENTS = 1,   /* by (dir, name) */
	SHALE_TREE_EXTENTS = 2,   /* by (ino, off) */
	SHALE_TREE_CHUNKS = 3,    /* in the order first named */
	SHALE_TREE_BLOBS = 4,     /* data blobs that CHUNKS name */
	SHALE_TREE_CHUNKSORT = 5, /* chunk numbers, by hash then number */
	SHALE_TREE_PACKED = 6,    /* by hash then extent number */
	SHALE_TREE_STRINGS = 7,   /* names and targets, no NULs */
	SHALE_TREE_XATTRS = 8,    /* xattr lists, 4-aligned */
	SHALE_TREE_CLONES = 9,    /* as EXTENTS name them, one each */
	SHALE_TREE_NSECTIONS = 10,
};

/* Header fields. */
enum shale_tree_field {
	SHALE_TREE_NEXT_INO = 0, /* above every inode number of the image */
};

/* Root directory's inode number in every image. */
#define SHALE_ROOT_INO   1
#define SHALE_INO_MAX    ((UINT64_C(1) << 40) - 1)
#define SHALE_NAME_MAX   255
#define SHALE_TARGET_MAX 4095
#define SHALE_XATTRS_MAX (1u << 20) /* bytes of one inode's list */

/* What a layer says of an inode's content (regular files). */
enum shale_content_kind {
	SHALE_CONTENT_SAME = 0,     /* as in the layers below */
	SHALE_CONTENT_REPLACED = 1, /* all of it is here; the rest is hole */
	SHALE_CONTENT_PATCHED = 2, /* extents here over what is below `limit` */
};

struct shale_disk_inode {
	struct le64 ino;   /* +0x00 */
	struct le32 mode;  /* +0x08  S_IFMT and permissions; 0: deleted */
	struct le32 uid;   /* +0x0c */
	struct le32 gid;   /* +0x10 */
	struct le32 nlink; /* +0x14  directories: 2 + subdirectories */
	struct le64 size;  /* +0x18  regular: bytes; symlink: target bytes */
	struct le64 mtime_sec;  /* +0x20  two's complement */
	struct le32 mtime_nsec; /* +0x28  below 10^9 */
	struct le32 content;    /* +0x2c  enum shale_content_kind */
	struct le64 limit;      /* +0x30  patched: lower content ends here */
	struct le64 ref;        /* +0x38  symlink: offset in STRINGS;
				 *        devices: major << 32 | minor */
	struct le64 xattr_off;  /* +0x40  in XATTRS */
	struct le32 xattr_len;  /* +0x48  0: none */
	struct le32 reserved;   /* +0x4c  0 */
};                              /* +0x50 */
static_assert(sizeof(struct shale_disk_inode) == 0x50, "docs/format.md 3.1");

struct shale_disk_dirent {
	struct le64 dir;      /* +0x00 */
	struct le64 ino;      /* +0x08  0: deleted */
	struct le64 name_off; /* +0x10  in STRINGS */
	struct le16 name_len; /* +0x18  1 to 255 */
	uint8_t type;         /* +0x1a  S_IFMT >> 12 of the child; 0: deleted */
	uint8_t reserved[5];  /* +0x1b  0 */
};                            /* +0x20 */
static_assert(sizeof(struct shale_disk_dirent) == 0x20, "docs/format.md 3.2");

/*
 * Content of [off, off + len).  It begins `chunk_off` bytes into chunk `chunk`
 * and goes on through the chunks that follow it in CHUNKS, whole, until `len`
 * is reached: one extent tells a file of any length whose chunks are new.
 */
struct shale_disk_extent {
	struct le64 ino;       /* +0x00 */
	struct le64 off;       /* +0x08 */
	struct le64 len;       /* +0x10  at least 1 */
	struct le32 chunk;     /* +0x18  SHALE_HOLE: zeros */
	struct le32 chunk_off; /* +0x1c */
};                             /* +0x20 */
static_assert(sizeof(struct shale_disk_extent) == 0x20, "docs/format.md 3.3");

/* Instead of a chunk's number. */
#define SHALE_HOLE  UINT32_MAX
#define SHALE_CLONE (UINT32_MAX - 1) /* `chunk_off` is a number in CLONES */

/*
 * Content that an inode of the image *below this layer* has: what the layers
 * under this one say of it, zeros past its size.  So a copy of a whole file is
 * one record, and no tree blob points into another.
 */
struct shale_disk_clone {
	struct le64 ino; /* +0x00 */
	struct le64 off; /* +0x08 */
};                       /* +0x10 */
static_assert(sizeof(struct shale_disk_clone) == 0x10, "docs/format.md 3.10");

struct shale_disk_chunk {
	struct le64 end;          /* +0x00  content bytes of this chunk and all
				   *        before it in CHUNKS */
	struct le64 off;          /* +0x08  in its data blob */
	struct le32 stored_codec; /* +0x10  stored bytes | codec << 24 */
	struct le32 blob;         /* +0x14  in BLOBS */
	uint8_t hash[16];         /* +0x18  XXH3-128 of the content */
	uint8_t sha256[32];       /* +0x28  of the stored bytes */
};                                /* +0x48 */
static_assert(sizeof(struct shale_disk_chunk) == 0x48, "docs/format.md 3.4");

/* Content of one chunk, and its stored form, are below this. */
#define SHALE_CHUNK_LIMIT (1u << 24)

struct shale_disk_blob {
	uint8_t digest[32]; /* +0x00  SHA-256 */
	struct le64 size;   /* +0x20 */
};                          /* +0x28 */
static_assert(sizeof(struct shale_disk_blob) == 0x28, "docs/format.md 3.5");

/* An extent that is part of a pack, by the hash of its own content. */
struct shale_disk_packed {
	uint8_t hash[16];     /* +0x00  XXH3-128 */
	struct le32 extent;   /* +0x10  in EXTENTS */
	struct le32 reserved; /* +0x14  0 */
};                            /* +0x18 */
static_assert(sizeof(struct shale_disk_packed) == 0x18, "docs/format.md 3.7");

/* One xattr: this header, the name (no NUL), the value, zeros to 4 bytes. */
struct shale_disk_xattr {
	struct le16 name_len;  /* +0x00  1 to 255 */
	struct le16 reserved;  /* +0x02  0 */
	struct le32 value_len; /* +0x04  up to 65536 */
};                             /* +0x08 */
static_assert(sizeof(struct shale_disk_xattr) == 0x08, "docs/format.md 3.9");

#endif
