/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_STORE_INDEX_BUILD_H
#define SHALE_STORE_INDEX_BUILD_H

/*
 * From the trees of a stack of versions to its index: out of the cache, or
 * merged, starting from a cached index of the first trees where there is one.
 */

#include "layers/index/image.h"
#include "layers/store/version.h"

/*
 * The index of a stack whose trees are open; `*out` is the caller's, `name`
 * (SHALE_INDEX_NAME bytes) gets its name in the cache.  Where the cache cannot
 * be written the index is built in memory.
 */
int shale_index_get(struct shale_store *store,
		    struct shale_version *const *stack, size_t n,
		    struct shale_tree *const *trees, struct shale_index **out,
		    char *name, struct shale_err *err);

/* Build it into the cache under `name`; `out` may be NULL. */
int shale_index_build(struct shale_store *store,
		      struct shale_version *const *stack, size_t n,
		      struct shale_tree *const *trees, struct shale_index **out,
		      const char *name, struct shale_err *err);

/*
 * Have the image's index made again when it turns out damaged while in use:
 * merging is deterministic, so the new one is the same.  Without memory for
 * that it stays damaged.
 */
void shale_index_heal(struct shale_store *store,
		      struct shale_version *const *stack, size_t n,
		      struct shale_image *image);

#endif
