/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_OPS_SAVED_NAME_H
#define SHALE_OPS_SAVED_NAME_H

/* What a name in a saved file (an OCI archive) stands for.  Pure. */

#include "layers/base/hash.h"

enum shale_saved {
	SHALE_SAVED_OTHER,  /* passed over: directories, what other tools add */
	SHALE_SAVED_LAYOUT, /* oci-layout */
	SHALE_SAVED_INDEX,  /* index.json */
	SHALE_SAVED_BLOB,   /* blobs/sha256/<hex> */
	SHALE_SAVED_COPY,   /* below versions/: a blob's copy for people */
};

/*
 * `digest` is set for a blob.  -EBADMSG: no honest tool writes such a name:
 * absolute, with "..", or not a digest where one must be.
 */
int shale_saved_name(const char *path, enum shale_saved *what,
		     struct shale_digest *digest, struct shale_err *err);

#endif
