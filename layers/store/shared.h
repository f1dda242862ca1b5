/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_STORE_SHARED_H
#define SHALE_STORE_SHARED_H

#include "layers/store/version.h"

/*
 * How many of their lowest trees two versions have in common: the first `*in_a`
 * trees of `a` make the same image as the first `*in_b` of `b`, so that the two
 * versions differ at most in what the trees above say.  The numbers differ
 * where one of them has several trees merged into one (layers/store/compact.h),
 * as far as compact/ still tells of it.  0 and 0: nothing is known, or the two
 * have nothing in common.
 */
int shale_versions_shared(struct shale_store *store,
			  const struct shale_version *a,
			  const struct shale_version *b, size_t *in_a,
			  size_t *in_b, struct shale_err *err);

#endif
