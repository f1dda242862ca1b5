/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_BLOB_TREE_IMPL_H
#define SHALE_BLOB_TREE_IMPL_H

/* What the files behind layers/blob/tree.h share.  Private to this room. */

#include "layers/blob/tree.h"

struct shale_tree {
	struct shale_table *table;
	uint64_t count[SHALE_TREE_NSECTIONS];
	uint64_t next_ino;
};

/* Say that record `i` of a section is damaged, and why.  Returns -EUCLEAN. */
int shale_tree_bad(const struct shale_tree *tree,
		   enum shale_tree_section section, uint64_t i,
		   const char *fault, struct shale_err *err);

/* One record as it stands in the map, its block checked. */
static inline int shale_tree_raw(const struct shale_tree *tree,
				 enum shale_tree_section section, uint64_t i,
				 const void **out, struct shale_err *err)
{
	return shale_table_get(tree->table, section, i, 1, out, err);
}

/*
 * Compare the key of dirent `i` with (dir, name): below, equal or above zero in
 * `*order`.
 */
int shale_tree_dirent_order(const struct shale_tree *tree, uint64_t i,
			    uint64_t dir, const char *name, size_t name_len,
			    int *order, struct shale_err *err);

/* The hash of chunk `i`, and the i-th entry of CHUNKSORT with its hash. */
int shale_tree_chunk_hash(const struct shale_tree *tree, uint64_t i,
			  const uint8_t **hash, struct shale_err *err);
int shale_tree_chunksort(const struct shale_tree *tree, uint64_t i,
			 uint32_t *chunk, const uint8_t **hash,
			 struct shale_err *err);

#endif
