/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_INDEX_PATCH_H
#define SHALE_INDEX_PATCH_H

/*
 * A patch: an index that says only what differs from another one, its *base*,
 * which is whole and merges the lowest of the same trees (docs/format.md 10.3).
 * Making one costs what the trees above the base say, however large the image
 * is.  An open patch is a struct shale_index like any other; what is looked up
 * is looked for in the patch first, then in the base.
 */

#include "layers/index/index.h"

struct shale_buf;

extern const struct shale_table_kind shale_patch_kind;

/* Is a patch over `base` worth making for these trees, or better a new whole
 * index?  The base merges the first shale_index_trees(base) of them. */
bool shale_patch_pays(const struct shale_index *base,
		      struct shale_tree *const *trees, size_t n);

/*
 * Write a patch to `fd` (empty, read-write): what
 * trees[shale_index_trees(base)] and those above it change in `base`, which is
 * whole.  Does not fsync.
 *
 * -EINVAL: the base is not of these trees.  -EOPNOTSUPP, with nothing written:
 * these layers do not
 * make a tree, or change an inode's type, or change too much: merge them whole
 * (which says what is wrong, if anything is).  -EUCLEAN: the base, or a tree,
 * is damaged.
 */
int shale_patch_write(int fd, const struct shale_index *base,
		      struct shale_tree *const *trees,
		      const struct shale_digest *digests, size_t n,
		      struct shale_err *err);

/*
 * Open a patch; `*base` becomes its own (and NULL) when that succeeds.
 * -EUCLEAN: damaged, or made over another base.
 */
int shale_patch_open(struct shale_index **out, int fd,
		     struct shale_index **base, const char *name,
		     struct shale_err *err);

/* Does this index file say that it is a patch? */
bool shale_index_is_patch(int fd);

/*
 * The trees that an index file merges, whole or patch, without its base:
 * appends a struct shale_digest for each to `trees`.  `*base_trees` gets how
 * many of them a patch's base merges, 0 for a whole index.
 */
int shale_index_list_trees(int fd, const char *name, struct shale_buf *trees,
			   uint32_t *base_trees, struct shale_err *err);

#endif
