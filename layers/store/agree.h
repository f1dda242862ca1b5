/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_STORE_AGREE_H
#define SHALE_STORE_AGREE_H

#include "layers/store/version.h"

/*
 * Does what index.json says of a version repeat what its manifest and
 * description say?  Pure.  -EUCLEAN says what does not agree.
 */
int shale_version_agrees(const struct shale_version *v,
			 const struct shale_version_entry *entry,
			 struct shale_err *err);

/*
 * Bytes of the last tree, and of the data blobs that only it names (`v->n_own`)
 * and that the parent has not.
 */
uint64_t shale_version_own_size(const struct shale_version *v,
				const struct shale_version *parent);

/* The same for a version of which only the manifest is known: all data blobs
 * that the parent has not, those that a merge of layers made among them. */
uint64_t shale_version_new_size(const struct shale_version *v,
				const struct shale_version *parent);

#endif
