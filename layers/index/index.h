/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_INDEX_INDEX_H
#define SHALE_INDEX_INDEX_H

/*
 * The merged tree of one image or stack, ready to be mapped: a cache, written
 * once, deletable at any time (docs/format.md 10.1).  Opening costs the same
 * for any number of files and layers.  Any number of threads may read one
 * index. Damage is -EUCLEAN: whoever owns the cache then rebuilds it.
 */

#include "layers/base/cleanup.h"
#include "layers/blob/tree.h"

extern const struct shale_table_kind shale_index_kind;

struct shale_index;

/* Entries of directories are numbered; a directory's are a run, by name.  (In a
 * patch not all numbers are of entries that stand, and one that stands may have
 * a second number, which shale_index_link() tells.) */
struct shale_entry {
	uint64_t ino;
	const char *name; /* no NUL; in the map */
	uint16_t name_len;
	uint8_t type; /* S_IFMT >> 12 */
};

struct shale_index_dir {
	uint64_t parent; /* the root's is the root */
	uint64_t first;  /* its entries are [first, first + count) */
	uint64_t count;
};

/* Where the content of a regular file lies. */
struct shale_index_content {
	uint32_t tree;   /* topmost tree that says anything; SHALE_NO_TREE:
			  * empty or all hole */
	uint32_t levels; /* trees that say something; 1: the run below is all
			  * (lowest levels without extents do not count) */
	uint32_t bottom; /* first tree of that tree's image */
	uint64_t ino;    /* inode number in that image */
	uint64_t first, count; /* extents in `tree` */
};
#define SHALE_NO_TREE UINT32_MAX

int shale_index_open(struct shale_index **out, int fd, const char *name,
		     struct shale_err *err);
void shale_index_close(struct shale_index *ix);
SHALE_DEFINE_CLEANUP(index, struct shale_index *, shale_index_close);
#define cleanup_index SHALE_CLEANUP(shale_cleanup_index)

/* The whole index that a patch changes (layers/index/patch.h); it is closed
 * with the patch.  NULL: this one is whole itself. */
struct shale_index *shale_index_base(const struct shale_index *ix);

/* The name that it was opened with. */
const char *shale_index_file(const struct shale_index *ix);

/* Where the same index can be had again when this one turns out damaged: see
 * shale_table_set_spare(). */
int shale_index_set_spare(struct shale_index *ix,
			  const struct shale_table_spare *spare,
			  struct shale_err *err);

/* Let go of what is in memory; for long walks. */
void shale_index_relax(const struct shale_index *ix);

uint64_t shale_index_inodes(const struct shale_index *ix);  /* how many */
uint64_t shale_index_entries(const struct shale_index *ix); /* of all dirs */
uint64_t shale_index_next_ino(const struct shale_index *ix);
uint64_t shale_index_bytes(const struct shale_index *ix); /* sum of sizes */
/* False: no inode has xattrs. */
bool shale_index_has_xattrs(const struct shale_index *ix);

/* The trees that it merges, bottom first, and the image each belongs to. */
uint32_t shale_index_trees(const struct shale_index *ix);
int shale_index_tree(const struct shale_index *ix, uint32_t i,
		     struct shale_digest *digest, uint32_t *image,
		     struct shale_err *err);
/* 0 if it merges, as one image, the first trees of these `n`; -EINVAL, with a
 * message, if not. */
int shale_index_begins(const struct shale_index *ix,
		       const struct shale_digest *trees, size_t n,
		       struct shale_err *err);

/* Attributes by number; -ENOENT. */
int shale_index_attr(const struct shale_index *ix, uint64_t ino,
		     struct shale_attr *out, struct shale_err *err);
/* Attributes of the i-th inode, in the order of numbers. */
int shale_index_attr_nth(const struct shale_index *ix, uint64_t i,
			 struct shale_attr *out, struct shale_err *err);
/* Position of the first inode whose number is not below `ino`; there may be
 * none. */
int shale_index_seek(const struct shale_index *ix, uint64_t ino, uint64_t *pos,
		     struct shale_err *err);
/* -ENOENT, -ENOTDIR. */
int shale_index_dir(const struct shale_index *ix, uint64_t ino,
		    struct shale_index_dir *out, struct shale_err *err);
int shale_index_entry(const struct shale_index *ix, uint64_t pos,
		      struct shale_entry *out, struct shale_err *err);
/* Entry of a directory by name and its number in `*pos` (may be NULL); -ENOENT,
 * -ENOTDIR. */
int shale_index_lookup(const struct shale_index *ix, uint64_t dir,
		       const char *name, size_t name_len,
		       struct shale_entry *out, uint64_t *pos,
		       struct shale_err *err);
/* Symlink target: pointer into the map, no NUL.  -EINVAL: no symlink. */
int shale_index_target(const struct shale_index *ix, uint64_t ino,
		       const char **target, uint32_t *len,
		       struct shale_err *err);
/* Encoded xattr list (layers/blob/tree.h); *len 0: none. */
int shale_index_xattrs(const struct shale_index *ix, uint64_t ino,
		       const void **list, uint32_t *len, struct shale_err *err);
int shale_index_content(const struct shale_index *ix, uint64_t ino,
			struct shale_index_content *out, struct shale_err *err);
/*
 * One name of an inode: the n-th (from 0) place where it stands, as directory
 * number and entry number.  -ENOENT after the last.  This is how a damaged
 * inode becomes a path.
 */
int shale_index_link(const struct shale_index *ix, uint64_t ino, uint32_t n,
		     uint64_t *dir, uint64_t *pos, struct shale_err *err);

/* "/a/b/c" of an inode's n-th name, appended to `path`. */
struct shale_buf;
int shale_index_path(const struct shale_index *ix, uint64_t ino, uint32_t n,
		     struct shale_buf *path, struct shale_err *err);

/* Walk a path without following symlinks; "" and "/" are the root.  -ENOENT. */
int shale_index_find(const struct shale_index *ix, const char *path,
		     uint64_t *ino, struct shale_err *err);
/*
 * Walk a path as a chroot into the image would: symlinks are followed (the last
 * one too if `follow_last`), absolute ones from the image's root, ".." stops at
 * the root.  -ENOENT, -ENOTDIR, -ELOOP (over 40 links).
 */
int shale_index_resolve(const struct shale_index *ix, const char *path,
			bool follow_last, uint64_t *ino, struct shale_err *err);

/* Check everything that can be checked without the trees. */
int shale_index_verify(const struct shale_index *ix, struct shale_err *err);

#endif
