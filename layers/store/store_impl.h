/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_STORE_STORE_IMPL_H
#define SHALE_STORE_STORE_IMPL_H

/* The inside of struct shale_store, for the files of this room. */

#include "layers/store/oci.h"
#include "layers/store/ref.h"
#include "layers/store/version.h"

#include <pthread.h>

struct shale_store {
	char *path; /* absolute */
	int dirfd;
	struct shale_blobs *blobs;
	pthread_mutex_t mutex; /* guards chunks */
	struct shale_chunks *chunks;
};

/* Read and decode index.json.  -EUCLEAN: damaged, nothing was changed. */
int shale_store_read_index(struct shale_store *store,
			   struct shale_oci_index **out, struct shale_err *err);

/*
 * The same for resolving a reference that is not chosen by time: the index may
 * lack what has nothing to do with it.
 */
int shale_store_read_index_for(struct shale_store *store,
			       const struct shale_ref *ref,
			       struct shale_oci_index **out,
			       struct shale_err *err);

/* Replace index.json.  The caller holds the lock. */
int shale_store_write_index(struct shale_store *store,
			    const struct shale_oci_index *ix,
			    struct shale_err *err);

/* Read a version by the index that is at hand (NULL: no names); `repo`, or
 * NULL: which of the repositories that it stands in. */
int shale_store_version_in(struct shale_store *store,
			   const struct shale_oci_index *ix, const char *repo,
			   const struct shale_digest *digest,
			   struct shale_version **out, struct shale_err *err);

#endif
