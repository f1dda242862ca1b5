/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_OPS_WALK_H
#define SHALE_OPS_WALK_H

/*
 * Walks the tree of an image: a directory before what is in it, names of one
 * directory by their bytes.  Memory grows with depth, not with files.  One
 * thread.
 */

#include "layers/index/index.h"

struct shale_walk;

struct shale_walk_item {
	const char *path; /* below where the walk began, NUL-ended; "" there */
	size_t path_len;
	const char *name; /* the last name of `path` */
	struct shale_attr attr;
};

/* Walk `ino` (not only a directory) and all below it. */
int shale_walk_new(struct shale_walk **out, const struct shale_index *ix,
		   uint64_t ino, struct shale_err *err);
void shale_walk_free(struct shale_walk *walk);

/* 1: the next item (good until the next call); 0: there is none. */
int shale_walk_next(struct shale_walk *walk, struct shale_walk_item *item,
		    struct shale_err *err);

/* Do not go into the directory that came last. */
void shale_walk_prune(struct shale_walk *walk);

#endif
