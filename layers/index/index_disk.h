/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_INDEX_INDEX_DISK_H
#define SHALE_INDEX_INDEX_DISK_H

/*
 * Records of an index, transcribed from docs/format.md 10.1.  An index is a
 * table file of kind "SHALEIDX", version 1.  It is a cache that may be damaged:
 * all numbers in it are hostile until layers/index/index.c has decoded them.
 */

#include "layers/base/bytes.h"

/* Sections, in this order in the header. */
enum shale_index_section {
	SHALE_INDEX_INODES = 0,  /* by ino; the first is the root */
	SHALE_INDEX_ENTRIES = 1, /* a run a directory, runs in the order of
				  * the directories' numbers, without gaps;
				  * within a run by name */
	SHALE_INDEX_STRINGS = 2, /* names in the order of ENTRIES, then targets
				  * in the order of INODES; no NULs */
	SHALE_INDEX_XATTRS = 3,  /* xattr lists as in a tree blob */
	SHALE_INDEX_TREES = 4,   /* the trees merged, bottom first */
	SHALE_INDEX_LINKS = 5,   /* by (ino, entry) */
	SHALE_INDEX_NSECTIONS = 6,
};

/* Header fields. */
enum shale_index_field {
	SHALE_INDEX_NEXT_INO = 0, /* above every inode number */
	SHALE_INDEX_BYTES = 1,    /* sum of the sizes of regular files, at most
				   * 2^64 - 1 */
};

struct shale_disk_index_inode {
	struct le64 ino;        /* +0x00 */
	struct le64 parent;     /* +0x08  directory of its first name, which
				 *        is the one first in ENTRIES; the
				 *        root's is the root */
	struct le64 entry;      /* +0x10  entry number of that name; root: 0 */
	struct le64 mtime_sec;  /* +0x18  two's complement */
	struct le32 mtime_nsec; /* +0x20  below 10^9 */
	struct le32 mode;       /* +0x24  S_IFMT and permissions */
	struct le32 uid;        /* +0x28 */
	struct le32 gid;        /* +0x2c */
	struct le32 nlink;      /* +0x30  directories: 2 + subdirectories;
				 *        others: names */
	struct le32 xattr_len;  /* +0x34  0: none */
	struct le64 xattr_off;  /* +0x38  in XATTRS */
	struct le64 size;       /* +0x40 */
	struct le64 first;      /* +0x48  directory: first entry; regular: first
				 *        extent; symlink: offset in STRINGS;
				 *        device: major << 32 | minor */
	struct le64 count;      /* +0x50  directory: entries; regular: extents,
				 *        if levels is 1 */
	struct le64 source;     /* +0x58  regular: inode number in its image */
	struct le32 tree;       /* +0x60  regular: topmost tree that says
				 *        anything of the content; 2^32 - 1:
				 *        empty or all hole */
	struct le32 levels;     /* +0x64  regular: trees that do */
};                              /* +0x68 */
static_assert(sizeof(struct shale_disk_index_inode) == 0x68,
	      "docs/format.md 10.1");

struct shale_disk_index_entry {
	struct le64 ino;      /* +0x00 */
	struct le64 name_off; /* +0x08  in STRINGS */
	struct le16 name_len; /* +0x10  1 to 255 */
	uint8_t type;         /* +0x12  S_IFMT >> 12 */
	uint8_t reserved[5];  /* +0x13  0 */
};                            /* +0x18 */
static_assert(sizeof(struct shale_disk_index_entry) == 0x18,
	      "docs/format.md 10.1");

struct shale_disk_index_tree {
	uint8_t digest[32]; /* +0x00  SHA-256 of the tree blob */
	struct le32 image;  /* +0x20  which image of the stack, from 0 */
	struct le32 bottom; /* +0x24  number of that image's first tree */
};                          /* +0x28 */
static_assert(sizeof(struct shale_disk_index_tree) == 0x28,
	      "docs/format.md 10.1");

/* A further name of an inode that has several and is no directory. */
struct shale_disk_index_link {
	struct le64 ino;   /* +0x00 */
	struct le64 dir;   /* +0x08 */
	struct le64 entry; /* +0x10 */
};                         /* +0x18 */
static_assert(sizeof(struct shale_disk_index_link) == 0x18,
	      "docs/format.md 10.1");

/* The sizes of what the sections hold, for a struct shale_table_kind: a patch
 * begins with the same ones. */
#define SHALE_INDEX_RECORD_SIZES                                               \
	[SHALE_INDEX_INODES] = sizeof(struct shale_disk_index_inode),          \
	[SHALE_INDEX_ENTRIES] = sizeof(struct shale_disk_index_entry),         \
	[SHALE_INDEX_STRINGS] = 1, [SHALE_INDEX_XATTRS] = 1,                   \
	[SHALE_INDEX_TREES] = sizeof(struct shale_disk_index_tree),            \
	[SHALE_INDEX_LINKS] = sizeof(struct shale_disk_index_link)

#endif
