/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_STORE_HOLD_H
#define SHALE_STORE_HOLD_H

/*
 * How what is in use stays.  Whoever needs an image writes that down where gc
 * looks (a lease, a mount's info.json, a workspace's images), and *then* asks
 * here whether all of it is there.  gc looks and removes under the store's
 * lock: so it has seen what was written, or the answer here is no.
 */

#include "layers/store/version.h"

/*
 * Are these images there?  -ENOKEY names the one that is not: it was removed
 * before it was written down that it is needed.  One whose manifest is there
 * has lost nothing to gc, which removes manifests first.
 */
int shale_store_settle(struct shale_store *store,
		       const struct shale_digest *manifests, size_t n,
		       struct shale_err *err);

/* The blobs that a version names; the caller has the lock.  -ENOKEY. */
int shale_version_present(struct shale_store *store,
			  const struct shale_version *v, struct shale_err *err);

/*
 * Hold images while a command reads them: a lease on them, and that they are
 * there.  shale_lease_end() lets go.  Where none can be had but the command may
 * go on (shale_lease_may_lack()), `*fd` is -1.  -ENOKEY: one has gone.
 */
int shale_store_hold(struct shale_store *store,
		     const struct shale_digest *manifests, size_t n, int *fd,
		     struct shale_err *err);

#endif
