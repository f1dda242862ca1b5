/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_BLOB_COMPOSE_CLONE_H
#define SHALE_BLOB_COMPOSE_CLONE_H

/*
 * Clones while trees are composed.  A clone names content of the image below
 * its own layer.  When that layer is merged with some of those below it, what
 * these say of the content has to be said instead.  Private to this room.
 */

#include "layers/blob/tree.h"

/* A run of cloned content. */
struct shale_clone_run {
	uint64_t len;
	enum {
		SHALE_CLONE_HOLE,
		SHALE_CLONE_CHUNKS, /* `skip` into `chunk` of `tree` */
		SHALE_CLONE_BELOW, /* still a clone: of what no tree here has */
	} kind;
	const struct shale_tree *tree;
	uint32_t chunk;
	uint64_t skip;
	uint64_t ino, off;
};

/*
 * What the first `n` of `trees` (bottom first) say of [off, off + max) of
 * inode `ino`: the run that starts at `off`.  `bottom`: nothing lies below
 * them.
 */
int shale_clone_run(struct shale_tree *const *trees, size_t n, bool bottom,
		    uint64_t ino, uint64_t off, uint64_t max,
		    struct shale_clone_run *out, struct shale_err *err);

#endif
