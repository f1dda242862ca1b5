/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_OPS_VERIFY_FILES_H
#define SHALE_OPS_VERIFY_FILES_H

#include "layers/ops/verify_impl.h"

/* Chunks of a tree blob that are bad: a bit each; NULL: none is. */
struct shale_bad_chunks {
	bool known;
	uint8_t *bits;
};

/*
 * Report the bytes of each file of an open image that lie in bad chunks;
 * `bad` has the marks of its trees.  `*told`: there was one.
 */
int shale_verify_files(struct shale_verify *v,
		       const struct shale_verify_version *version,
		       const struct shale_image *image,
		       const struct shale_bad_chunks *bad, bool *told,
		       struct shale_err *err);

/* Report the paths that a layer changed, as its metadata.json has them. */
int shale_verify_layer_paths(struct shale_verify *v,
			     const struct shale_verify_version *version,
			     const struct shale_verify_blob *metadata,
			     const struct shale_digest *layer, bool *told,
			     struct shale_err *err);

#endif
