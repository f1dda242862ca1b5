/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_STORE_COMPACT_H
#define SHALE_STORE_COMPACT_H

#include "layers/store/version.h"

/* A version has about this many tree blobs at most. */
#define SHALE_TREES_MAX 32

/*
 * Keep chains short.  A version's own change is always its last tree; the trees
 * below are merged in geometric runs.  Merging is *prepared* after a
 * publication (compact/<hash of the run> names the merged blob) and *used* by a
 * later one, which never waits for it.
 */

/*
 * Which run [*first, *end) of a chain (bottom first) to merge next; false: all
 * is well.  Pure.
 */
bool shale_compact_choose(const struct shale_layer_desc *trees, size_t n,
			  size_t *first, size_t *end);

/* After a publication: merge what `v` should have merged, if anything. */
int shale_compact_prepare(struct shale_store *store,
			  const struct shale_version *v, struct shale_err *err);

/*
 * The list of trees that a child of `parent` should start from: parent's, with
 * every run replaced for which a merge is prepared.  `*trees` is allocated.
 */
int shale_compact_use(struct shale_store *store,
		      const struct shale_version *parent,
		      struct shale_layer_desc **trees, size_t *n,
		      struct shale_err *err);

#endif
