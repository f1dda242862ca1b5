/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_STORE_COMPACT_H
#define SHALE_STORE_COMPACT_H

#include "layers/blob/tree_build.h"
#include "layers/store/version.h"

/* A version has about so many tree and data blobs at most. */
#define SHALE_TREES_MAX 32
#define SHALE_DATA_MAX  256

/*
 * Keep chains short.  A version's own change is always its last tree; the trees
 * below are merged in geometric runs, and with them the data blobs that they
 * alone name: what is dead is left behind, what is small goes together.
 * Merging is *prepared* after a publication (compact/<hash of the run> names
 * the merged blobs) and *used* by a later one, which never waits for it.
 * Published versions are never rewritten.
 *
 * What gc must know.  A prepared merge names: the tree blob that was merged
 * and, if it made one, a new data blob (struct shale_compact_file: `merged`,
 * `data`); every other data blob that the merged tree refers to is referred to
 * by one of its `trees`.  It is a hint and may be removed at any time.  Its
 * blobs may be removed only when no publication can be using them: while all
 * its `trees` are wanted (by a version, a lease, or as the `merged` of another
 * merge that stays), it stays, because a command that adds to such a version
 * may have read it already.  A merge that lacks one of its blobs is ignored.
 * Blobs of a merge that is being prepared are protected by a lease.
 */

/*
 * Which run [*first, *end) of a chain (bottom first) to merge next; false: all
 * is well.  `n_data`: data blobs that the chain names.  Pure.
 */
bool shale_compact_choose(const struct shale_layer_desc *trees, size_t n,
			  size_t n_data, size_t *first, size_t *end);

/*
 * Which data blobs of a merged tree to copy together: clears `move` of those
 * that stay.  Set on entry: those that no other tree of the chain names.
 * `total`: bytes of all data blobs of the chain.  Pure.
 */
void shale_compact_choose_data(struct shale_build_use *uses, size_t n,
			       uint64_t total);

/*
 * After a publication: merge what `v` should have merged, if anything.  One
 * process of a store is at it at a time and one waits its turn; for further
 * ones this returns at once, what they leave is found by the next.
 */
int shale_compact_prepare(struct shale_store *store,
			  const struct shale_version *v, struct shale_err *err);

/*
 * The list of trees that a child of `parent` should start from: parent's, with
 * every run replaced for which a merge is prepared.  `*trees` is allocated.
 * The child's own tree should refer to chunks as these trees do, or it keeps
 * alive what they have left behind.
 */
int shale_compact_use(struct shale_store *store,
		      const struct shale_version *parent,
		      struct shale_layer_desc **trees, size_t *n,
		      struct shale_err *err);

/* The same, opened, as an image without an index. */
int shale_compact_open(struct shale_store *store,
		       const struct shale_layer_desc *trees, size_t n,
		       struct shale_image **out, struct shale_err *err);

/*
 * Merge the run [first, end) of a chain of trees into blobs that are durable
 * (compact_make.c).  `total`: bytes of all data blobs of the chain.
 */
struct shale_compact_file;
int shale_compact_make(struct shale_store *store,
		       const struct shale_layer_desc *trees, size_t n,
		       size_t first, size_t end, uint64_t total,
		       struct shale_compact_file *out, struct shale_err *err);

#endif
