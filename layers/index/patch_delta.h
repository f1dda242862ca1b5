/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_INDEX_PATCH_DELTA_H
#define SHALE_INDEX_PATCH_DELTA_H

/*
 * What layers change in the tree of the index below them: the inodes that they
 * speak of, the names that come and go, the directories whose entries these
 * are, and every inode that any of it touches.  Memory is a few hundred bytes
 * for each record of the layers; of the base only what they touch is looked at.
 * What it points at are the trees' and the base's maps.  One thread.
 */

#include "layers/base/buf.h"
#include "layers/index/write.h"

#include <errno.h>
#include <stdbool.h>

static inline int shale_patch_append(struct shale_buf *to, const void *data,
				     size_t len, struct shale_err *err)
{
	return shale_buf_append(to, data, len) < 0
		       ? shale_err_set(err, ENOMEM, "patch an index")
		       : 0;
}

/* One name that changes.  With neither `ino` nor `was` there is no change. */
struct shale_patch_delta_name {
	struct shale_dirent to; /* ino 0: it goes */
	uint64_t at;            /* the base's entry: it, or the next one */
	bool was;               /* the base has it there: */
	uint64_t was_ino;
	uint8_t was_type;
	uint64_t pos; /* its number in the patch, once that is laid out */
};

/* A directory with such names: [names, names + n) of them. */
struct shale_patch_delta_dir {
	uint64_t ino;
	uint64_t names, n;
	uint64_t base_first, base_count; /* its run in the base; 0, 0: new */
	uint64_t first, count;           /* in the patch, once laid out */
	int64_t subdirs;                 /* how many more there are */
};

struct shale_patch_delta {
	const struct shale_index *base;
	struct shale_buf inodes; /* struct shale_index_inode, by number */
	struct shale_buf
		names; /* struct shale_patch_delta_name, by (dir, name) */
	struct shale_buf dirs;    /* struct shale_patch_delta_dir, by number */
	struct shale_buf by_ino;  /* uint64_t: places in `names` of those that
				   * come, by the inode that they name */
	struct shale_buf touched; /* uint64_t, ascending: inode numbers */
	uint64_t next_ino;
	uint64_t lost; /* entries in directories that go */
};

/*
 * Gather what `trees[shale_index_trees(base)]` to trees[n - 1] change.
 * -EOPNOTSUPP: something that only a whole merge can judge.
 */
int shale_patch_delta_gather(struct shale_patch_delta *d,
			     const struct shale_index *base,
			     struct shale_tree *const *trees, size_t n,
			     struct shale_err *err);
void shale_patch_delta_release(struct shale_patch_delta *d);

/* "No patch of these layers", with a reason for who debugs. */
int shale_patch_delta_refuse(uint64_t ino, const char *why,
			     struct shale_err *err);

/* What the layers say of an inode, or NULL. */
const struct shale_index_inode *
shale_patch_delta_inode(const struct shale_patch_delta *d, uint64_t ino);
struct shale_patch_delta_dir *
shale_patch_delta_dir(const struct shale_patch_delta *d, uint64_t ino);
/* The change of a name of the base, or NULL. */
const struct shale_patch_delta_name *
shale_patch_delta_name(const struct shale_patch_delta *d, uint64_t dir,
		       const char *name, size_t len);

#endif
