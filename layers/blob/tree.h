/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_BLOB_TREE_H
#define SHALE_BLOB_TREE_H

/*
 * An open tree blob: what one layer says of inodes, names and content.  It
 * never changes, so any number of threads may use one.  Each accessor decodes
 * one record and checks every field of it: above this file nobody checks
 * again.  Damage is -EUCLEAN, naming the blob and the record.
 */

#include "layers/blob/table.h"
#include "layers/blob/tree_disk.h"
#include "layers/chunk/codec.h"

#include <stdbool.h>
#include <sys/types.h>
#include <time.h>

extern const struct shale_table_kind shale_tree_kind;

struct shale_tree;

/* An inode's attributes, as every room hands them on. */
struct shale_attr {
	uint64_t ino;
	uint32_t mode; /* S_IFMT and permissions; 0: deleted in this layer */
	uint32_t uid, gid;
	uint32_t nlink;
	uint64_t size;
	struct timespec mtime;
	uint32_t rdev_major, rdev_minor; /* devices */
};

struct shale_inode {
	struct shale_attr attr;
	enum shale_content_kind content;
	uint64_t limit;     /* patched */
	const char *target; /* symlinks: attr.size bytes, no NUL; in the map */
	const void *xattrs; /* encoded list, see shale_xattr_next() */
	uint32_t xattr_len; /* bytes */
};

struct shale_dirent {
	uint64_t dir;
	uint64_t ino;     /* 0: deleted in this layer */
	const char *name; /* no NUL; in the map */
	uint16_t name_len;
	uint8_t type; /* S_IFMT >> 12 */
};

struct shale_extent {
	uint64_t ino, off, len;
	uint32_t chunk;     /* SHALE_HOLE: zeros; SHALE_CLONE */
	uint32_t chunk_off; /* of a clone: 0 */
	/* A clone's source: see struct shale_disk_clone; 0 otherwise. */
	uint64_t clone_ino, clone_off;
};

struct shale_chunk {
	uint64_t start;  /* content bytes of the chunks before it in CHUNKS */
	uint32_t len;    /* content bytes */
	uint32_t stored; /* stored bytes */
	enum shale_codec codec;   /* may be one that this build does not know */
	uint64_t off;             /* in its data blob */
	struct shale_digest blob; /* of the data blob */
	uint64_t blob_size;
	struct shale_hash128 hash;  /* of the content */
	struct shale_digest sha256; /* of the stored bytes */
};

/*
 * Open the tree blob `fd` (may be closed afterwards).  `name` is for messages.
 * Looks at the header only.
 */
int shale_tree_open(struct shale_tree **out, int fd, const char *name,
		    struct shale_err *err);
void shale_tree_close(struct shale_tree *tree);

const char *shale_tree_name(const struct shale_tree *tree);
uint64_t shale_tree_size(const struct shale_tree *tree); /* bytes of the file */
uint64_t shale_tree_count(const struct shale_tree *tree,
			  enum shale_tree_section section);
uint64_t shale_tree_next_ino(const struct shale_tree *tree);

/* Let go of what is in memory; for long walks. */
void shale_tree_relax(const struct shale_tree *tree);

/* Record number `i`; -EUCLEAN when it is damaged or there is none. */
int shale_tree_inode(const struct shale_tree *tree, uint64_t i,
		     struct shale_inode *out, struct shale_err *err);
int shale_tree_dirent(const struct shale_tree *tree, uint64_t i,
		      struct shale_dirent *out, struct shale_err *err);
int shale_tree_extent(const struct shale_tree *tree, uint64_t i,
		      struct shale_extent *out, struct shale_err *err);
int shale_tree_chunk(const struct shale_tree *tree, uint64_t i,
		     struct shale_chunk *out, struct shale_err *err);
int shale_tree_blob(const struct shale_tree *tree, uint64_t i,
		    struct shale_digest *digest, uint64_t *size,
		    struct shale_err *err);
/* Record i of PACKED: an extent's number and the hash of its content. */
int shale_tree_packed(const struct shale_tree *tree, uint64_t i,
		      uint64_t *extent, struct shale_hash128 *hash,
		      struct shale_err *err);

/* Position of the record with this key, by binary search; -ENOENT if none. */
int shale_tree_find_inode(const struct shale_tree *tree, uint64_t ino,
			  uint64_t *i, struct shale_err *err);
int shale_tree_find_dirent(const struct shale_tree *tree, uint64_t dir,
			   const char *name, size_t name_len, uint64_t *i,
			   struct shale_err *err);

/* Order of names everywhere: their bytes, then the shorter first. */
int shale_name_order(const char *a, size_t a_len, const char *b, size_t b_len);

/* The run [*first, *first + *n) of extents of `ino`; n may be 0. */
int shale_tree_extents_of(const struct shale_tree *tree, uint64_t ino,
			  uint64_t *first, uint64_t *n, struct shale_err *err);

/*
 * The last extent in [first, first + n) with off <= `off`, or the first one if
 * none is: its position in `*i`.  n is at least 1.
 */
int shale_tree_extent_at(const struct shale_tree *tree, uint64_t first,
			 uint64_t n, uint64_t off, uint64_t *i,
			 struct shale_err *err);

/*
 * Which chunk holds content byte `chunk_off + skip` counted from the start of
 * chunk `chunk` on through its followers: its number and the offset in it.
 */
int shale_tree_chunk_seek(const struct shale_tree *tree, uint32_t chunk,
			  uint64_t skip, uint32_t *at, uint32_t *at_off,
			  struct shale_err *err);

/*
 * Candidates for sharing.  Call with *cursor = 0 first; each call gives the
 * next chunk (extent) with that hash; -ENOENT when there is no further.
 */
int shale_tree_find_chunk(const struct shale_tree *tree,
			  const struct shale_hash128 *hash, uint64_t *cursor,
			  uint32_t *chunk, struct shale_err *err);
int shale_tree_find_packed(const struct shale_tree *tree,
			   const struct shale_hash128 *hash, uint64_t *cursor,
			   uint64_t *extent, struct shale_err *err);

/*
 * Step through an encoded xattr list (`*at` starts at 0).  Returns 1 with the
 * next pair (pointers into the list, no NULs), 0 at its end, -EUCLEAN.
 */
struct shale_xattr {
	const char *name;
	const void *value;
	uint16_t name_len;
	uint32_t value_len;
};
int shale_xattr_next(const void *list, uint32_t len, uint32_t *at,
		     struct shale_xattr *out, struct shale_err *err);

/* Find `name` in a list.  0, -ENODATA or -EUCLEAN. */
int shale_xattr_find(const void *list, uint32_t len, const char *name,
		     struct shale_xattr *out, struct shale_err *err);

/* Append one pair to a list under construction (any order). */
struct shale_buf;
int shale_xattr_append(struct shale_buf *list, const char *name,
		       const void *value, size_t value_len,
		       struct shale_err *err);
/*
 * Bring a list into the order that the format asks for (by name).  A pair that
 * is there twice (pax archives have two spellings) becomes one; one name with
 * two values is -EINVAL.
 */
int shale_xattr_sort(struct shale_buf *list, struct shale_err *err);

#endif
