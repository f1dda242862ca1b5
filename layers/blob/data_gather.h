/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_BLOB_DATA_GATHER_H
#define SHALE_BLOB_DATA_GATHER_H

/*
 * The live chunks of several data blobs are copied into a new one, for a tree
 * blob that is being built: as they are stored, in the order in which the tree
 * came to name them.  Each is checked against its SHA-256 on the way, so
 * damage does not spread: a blob that turns out to be damaged or missing stays
 * named as it is (its `move` is cleared).
 */

#include "layers/blob/tree_build.h"
#include "layers/blob/blobs.h"

/*
 * Gather the chunks of those of the `n` blobs of `b` that are marked; see
 * shale_tree_build_uses().  The builder names the new blob afterwards.  `*out`
 * is not durable yet; its descriptor is the caller's, -1: nothing was left to
 * gather.
 */
int shale_data_gather(struct shale_blobs *blobs, struct shale_tree_build *b,
		      struct shale_build_use *uses, size_t n,
		      struct shale_blob_tmp *out, uint64_t *size,
		      struct shale_err *err);

#endif
