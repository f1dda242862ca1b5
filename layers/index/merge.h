/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_INDEX_MERGE_H
#define SHALE_INDEX_MERGE_H

#include "layers/index/index.h"

/*
 * Write the index of one image to `fd` (empty, read-write): merge its trees,
 * bottom first.  `digests[i]` names trees[i].  Streams; about 32 bytes of
 * memory an inode.  Does not fsync.
 *
 * -EUCLEAN when the layers do not make a tree: a name of an inode that is not
 * there, a directory with two parents or in a cycle, no root.
 *
 * `prefix`, if not NULL, is an index of the first shale_index_trees(prefix) of
 * these trees, and is merged in their place (their records are not read): the
 * result is the same to the byte.  -EINVAL: it is not of these trees.  After
 * -EUCLEAN, try again without one: the cache may be what is damaged.
 */
int shale_index_merge(int fd, struct shale_tree *const *trees,
		      const struct shale_digest *digests, size_t n,
		      const struct shale_index *prefix, struct shale_err *err);

/*
 * Write the index of a stack of images, bottom first: a union by path.  Where
 * two images have a name, the later one's inode stands, unless both are
 * directories: then the two merge, with the attributes of the later and the
 * number of the lowest.  The bottom image keeps its inode numbers, the others'
 * follow from its next free number in path order (a directory's entries before
 * the names that come after it; names as in shale_name_order()).  -EUCLEAN: a
 * part is damaged.
 */
int shale_index_union(int fd, struct shale_index *const *parts, size_t n,
		      struct shale_err *err);

#endif
