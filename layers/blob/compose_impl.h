/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_BLOB_COMPOSE_IMPL_H
#define SHALE_BLOB_COMPOSE_IMPL_H

/*
 * Trees while they are composed: tree_compose.c merges inodes and names,
 * compose_content.c what they say of content.  Private to these two.
 */

#include "layers/base/buf.h"
#include "layers/blob/tree_build.h"
#include "layers/blob/tree_impl.h"

/* One of the trees, and how far it has been read. */
struct shale_compose_source {
	const struct shale_tree *tree;
	uint64_t inode_at, dirent_at, extent_at; /* records read */
	struct shale_inode inode;                /* the one read last; ino 0: */
	struct shale_dirent dirent;              /* there are no more */
	struct shale_extent extent;
	uint32_t *packed; /* of each extent: 1 + number in PACKED; NULL: none */
};

struct shale_compose {
	struct shale_compose_source *sources; /* bottom first */
	struct shale_tree *const *trees;
	size_t n;
	bool bottom;
	struct shale_tree_build *build;
	struct shale_buf deaths; /* of inodes, by number */
	struct shale_buf pieces; /* content of the inode at hand */
	struct shale_buf upper;  /* what one source says of it */
	/* Steps left: extents that all run through the same chunks, or clone
	 * the same extents, make a small hostile blob a big one. */
	uint64_t budget;
};

/* Get ready to read the extents of a source, whose `tree` is set. */
int shale_compose_open_content(struct shale_compose_source *s,
			       struct shale_err *err);

/*
 * Put together what sources [base, top] say of the content of `in`: its
 * statement goes to `in`, its extents to `c->pieces`.  `hidden`: what lies
 * below `base` is another inode's.
 */
int shale_compose_content(struct shale_compose *c, struct shale_inode *in,
			  size_t base, size_t top, bool hidden,
			  struct shale_err *err);

/* Give the builder the extents of inode `ino` that are in `c->pieces`. */
int shale_compose_add_content(struct shale_compose *c, uint64_t ino,
			      struct shale_err *err);

#endif
