/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_INDEX_WALK_H
#define SHALE_INDEX_WALK_H

/*
 * A merged walk over the inodes, or the names, of layers: records come by key,
 * and those with one key from the topmost layer down.  One thread.
 */

#include "layers/index/index.h"

enum shale_walk_kind { SHALE_WALK_INODES, SHALE_WALK_NAMES };

/* One layer's run, and the record that it stands at. */
struct shale_walk_layer {
	uint32_t level;                /* tree number; 0 is the bottom */
	const struct shale_tree *tree; /* NULL: the prefix, whose level is
					* its topmost tree's */
	const struct shale_index *prefix;
	uint64_t at, count; /* of inodes or names */
	uint64_t dir_at;    /* prefix, names: position of the directory */
	uint64_t dir_next;  /* its next entry, */
	uint64_t dir_left;  /* and how many are to come */
	uint64_t extent;    /* a hint, for levels.c */
	struct shale_inode inode;
	struct shale_dirent name;
};

struct shale_walk;

/*
 * Start a walk over trees [first, n) of `trees`, bottom first.  `prefix`, if
 * not NULL, stands for those below `first`; without it they are left out.
 */
int shale_walk_new(struct shale_walk **out, enum shale_walk_kind kind,
		   struct shale_tree *const *trees, size_t first, size_t n,
		   const struct shale_index *prefix, struct shale_err *err);
void shale_walk_free(struct shale_walk *walk);
SHALE_DEFINE_CLEANUP(walk, struct shale_walk *, shale_walk_free);
#define cleanup_walk SHALE_CLEANUP(shale_cleanup_walk)

/* The layer whose record is next; NULL after the last. */
struct shale_walk_layer *shale_walk_top(struct shale_walk *walk);

/* Go on.  -EUCLEAN: a damaged record, or a layer that is not sorted. */
int shale_walk_next(struct shale_walk *walk, struct shale_err *err);

/*
 * Take all records of the name that the walk of names stands at; `out` gets the
 * topmost layer's (ino 0: it goes), whose text stays in that layer's map.
 * Errors as shale_walk_next().
 */
int shale_walk_take_name(struct shale_walk *walk, struct shale_dirent *out,
			 struct shale_err *err);

#endif
