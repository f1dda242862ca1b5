/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_MOUNT_FOREST_IMPL_H
#define SHALE_MOUNT_FOREST_IMPL_H

/*
 * Private to forest.c (which trees there are, and the made-up one) and
 * forest_image.c (what is in an image).
 */

#include "fs/live/readahead.h"
#include "fs/mount/fill.h"
#include "fs/mount/forest.h"
#include "fs/mount/push.h"

#include <pthread.h>

struct shale_forest_tree {
	struct shale_forest_tree *next; /* recently used first */
	uint32_t number;
	unsigned users;
	pthread_mutex_t opening;
	struct shale_image *image;
};

struct shale_forest {
	const struct shale_image *single; /* not NULL: the only tree */
	/* Of the single image: those of many come and go. */
	struct shale_readahead *readahead;
	struct shale_push *push;
	struct shale_fill *fill;
	struct shale_forest_opts opts;
	pthread_mutex_t lock; /* of the list and its `users` */
	struct shale_forest_tree *trees;
	unsigned n_trees;
};

/* Is this node in the made-up tree? */
static inline bool shale_forest_is_top(const struct shale_forest *f,
				       uint64_t id)
{
	return !f->single && shale_node_tree(id) == 0;
}

/* The image of a tree; give back `*out` (may be NULL) when done. */
int shale_forest_get(struct shale_forest *f, uint32_t number,
		     struct shale_forest_tree **out,
		     const struct shale_image **image, struct shale_err *err);
void shale_forest_put(struct shale_forest *f, struct shale_forest_tree *tree);

int shale_forest_top_lookup(struct shale_forest *f, uint64_t dir,
			    const char *name, size_t len,
			    struct shale_forest_node *out,
			    struct shale_err *err);
int shale_forest_top_getattr(struct shale_forest *f, uint64_t ino,
			     struct shale_forest_node *out,
			     struct shale_err *err);
int shale_forest_top_readlink(struct shale_forest *f, uint64_t ino,
			      struct shale_buf *out, struct shale_err *err);
int shale_forest_top_readdir(struct shale_forest *f, uint64_t dir, uint64_t off,
			     bool plus, shale_forest_entry_fn *fn, void *arg,
			     struct shale_err *err);
/* Append where a tree hangs; nothing for a single one.  -ENOENT. */
int shale_forest_top_path(struct shale_forest *f, uint32_t tree,
			  struct shale_buf *out);

#endif
