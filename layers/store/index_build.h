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

/* Of one image: a patch where that pays, or whole in any case.  Of several it
 * is whole. */
enum shale_index_form { SHALE_INDEX_AS_PAYS, SHALE_INDEX_WHOLE };

/* Build it into the cache under `name`; `out` may be NULL. */
int shale_index_build(struct shale_store *store,
		      struct shale_version *const *stack, size_t n,
		      struct shale_tree *const *trees,
		      enum shale_index_form form, struct shale_index **out,
		      const char *name, struct shale_err *err);

/* Build it into `fd`, which is empty. */
int shale_index_build_to(struct shale_store *store,
			 struct shale_version *const *stack, size_t n,
			 struct shale_tree *const *trees,
			 enum shale_index_form form, int fd,
			 struct shale_err *err);

/* Write the patch of `v` over the index of its lowest `below` trees, which is
 * built if it is not there. */
int shale_index_patch_over(struct shale_store *store,
			   const struct shale_version *v,
			   struct shale_tree *const *trees, uint32_t below,
			   int fd, struct shale_err *err);

/*
 * Have the image's index made again when it turns out damaged while in use:
 * merging is deterministic, so the new one is the same.  Without memory for
 * that it stays damaged.
 */
void shale_index_heal(struct shale_store *store,
		      struct shale_version *const *stack, size_t n,
		      struct shale_image *image);

#endif
