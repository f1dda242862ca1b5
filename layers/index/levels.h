/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_INDEX_LEVELS_H
#define SHALE_INDEX_LEVELS_H

/*
 * What several layers say of one inode, as one: the attributes of its topmost
 * record, and where its content begins (docs/format.md 4 and 10.1).
 */

#include "layers/index/walk.h"
#include "layers/index/write.h"

/*
 * Take from `walk` all records of the inode that it stands at; `in` gets what
 * they say, its mode 0 if the inode is deleted.  Without `contents`, content is
 * left out.  `below`, if not NULL, is an index of the layers under those of the
 * walk, and has its say of the content.
 */
int shale_levels_take(struct shale_walk *walk, const struct shale_index *below,
		      bool contents, struct shale_index_inode *in,
		      struct shale_err *err);

/* The first inode number that neither the trees nor `below` (which may be NULL)
 * have used. */
uint64_t shale_levels_next_ino(struct shale_tree *const *trees, size_t n,
			       const struct shale_index *below);

#endif
