/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/store/hold.h"

#include "layers/base/cleanup.h"
#include "layers/store/lease.h"
#include "layers/store/lock.h"
#include "layers/store/store_impl.h"

static int present(struct shale_store *store, const struct shale_layer_desc *d,
		   size_t n, struct shale_err *err)
{
	for (size_t i = 0; i < n; i++)
		if (!shale_blobs_has(store->blobs, &d[i].digest)) {
			char text[SHALE_DIGEST_STR];
			shale_digest_str(&d[i].digest, text);
			return shale_err_say(err, ENOKEY, "blob %s is missing",
					     text);
		}
	return 0;
}

int shale_version_present(struct shale_store *store,
			  const struct shale_version *v, struct shale_err *err)
{
	int r = present(store, v->trees, v->n_trees, err);
	if (r == 0)
		r = present(store, v->data, v->n_data, err);
	if (r == 0 && v->has_metadata)
		r = present(store, &v->metadata, 1, err);
	return r;
}

int shale_store_settle(struct shale_store *store,
		       const struct shale_digest *manifests, size_t n,
		       struct shale_err *err)
{
	cleanup_fd int lock = -1;
	int r = shale_lock_share(store->dirfd, SHALE_LOCK_WAIT_MS, &lock, err);

	for (size_t i = 0; i < n && r == 0; i++) {
		char text[SHALE_DIGEST_STR];
		if (!shale_blobs_has(store->blobs, &manifests[i]))
			r = shale_err_say(
				err, ENOKEY, "image %s is not there any more",
				shale_digest_str(&manifests[i], text));
	}
	return r;
}

int shale_store_hold(struct shale_store *store,
		     const struct shale_digest *manifests, size_t n, int *out,
		     struct shale_err *err)
{
	cleanup_lease int fd = -1;
	int r = shale_store_lease(store, &fd, err);
	for (size_t i = 0; i < n && r == 0; i++)
		r = shale_lease_add(fd, &manifests[i], err);
	if (shale_lease_may_lack(r, err)) {
		*out = -1;
		return 0;
	}
	if (r == 0)
		r = shale_store_settle(store, manifests, n, err);
	if (r == 0)
		*out = steal_fd(&fd);
	return r;
}
