/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_LIVE_NODE_H
#define SHALE_LIVE_NODE_H

/*
 * A node as its records say, or the base where there are none.
 */

#include "fs/live/impl.h"

struct shale_live_node {
	uint64_t ino;
	bool stored; /* has an I record */
	bool base;   /* the base has the inode */
	uint64_t base_size;
	struct shale_rec_attr attr; /* epoch 0: as in the base */
};

/* -ESTALE: there is no such inode (any more). */
int shale_node_load(struct shale_live *live, uint64_t ino,
		    struct shale_live_node *out);

/* The same for a directory to look or make names in: -ENOTDIR; -ENOENT if it
 * was removed. */
int shale_node_load_dir(struct shale_live *live, uint64_t ino,
			struct shale_live_node *out);

/* Size and blocks are looked up; the rest is as in `node`. */
int shale_node_stat(struct shale_live *live, const struct shale_live_node *node,
		    struct shale_node *out);

/* A kernel-like clock: what file systems stamp with. */
struct timespec shale_node_now(void);

#endif
