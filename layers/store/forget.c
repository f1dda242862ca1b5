/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/base/buf.h"
#include "layers/store/lock.h"
#include "layers/store/store_impl.h"
#include "layers/store/version.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int by_value(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct shale_digest));
}

/* Remove all descriptors of these versions; how many versions that were. */
static size_t remove_versions(struct shale_oci_index *ix, const char *repo,
			      const struct shale_digest *sorted, size_t n,
			      bool *hit)
{
	for (size_t i = shale_oci_index_count(ix); i-- > 0;) {
		const struct shale_version_entry *e =
			shale_oci_index_entry(ix, i);
		const struct shale_digest *d =
			strcmp(e->repo, repo) != 0
				? NULL
				: bsearch(&e->digest, sorted, n, sizeof(*d),
					  by_value);
		if (!d)
			continue;
		hit[d - sorted] = true;
		shale_oci_index_remove(ix, i);
	}
	size_t hits = 0;
	for (size_t i = 0; i < n; i++)
		hits += hit[i];
	return hits;
}

int shale_store_forget(struct shale_store *store, const char *repo,
		       const struct shale_digest *digests, size_t n,
		       size_t *removed, struct shale_err *err)
{
	cleanup_lock int lock = -1;
	cleanup_oci_index struct shale_oci_index *ix = NULL;
	cleanup_buf struct shale_buf sorted = {0}, hit = {0};

	if (n == 0) {
		if (removed)
			*removed = 0;
		return 0;
	}
	if (shale_buf_append(&sorted, digests, n * sizeof(*digests)) < 0 ||
	    !shale_buf_add(&hit, n * sizeof(bool)))
		return shale_err_set(err, ENOMEM, "forget versions");
	qsort(sorted.data, n, sizeof(*digests), by_value);

	int r = shale_lock_take(store->dirfd, SHALE_LOCK_WAIT_MS, &lock, err);
	if (r == 0)
		r = shale_store_read_index(store, &ix, err);
	if (r < 0)
		return r;
	size_t hits =
		remove_versions(ix, repo, (struct shale_digest *)sorted.data, n,
				(bool *)hit.data);
	if (hits)
		r = shale_store_write_index(store, ix, err);
	if (r == 0 && removed)
		*removed = hits;
	return r;
}

int shale_store_foreign(struct shale_store *store, struct shale_digest **out,
			size_t *n, struct shale_err *err)
{
	cleanup_oci_index struct shale_oci_index *ix = NULL;
	cleanup_buf struct shale_buf found = {0};
	struct shale_digest digest;

	int r = shale_store_read_index(store, &ix, err);
	if (r < 0)
		return r;
	for (size_t i = 0;
	     (r = shale_oci_index_foreign(ix, i, &digest)) != -ENOENT; i++)
		if (r < 0)
			return shale_err_say(err, -r,
					     "index.json has a descriptor "
					     "that cannot be read");
		else if (shale_buf_append(&found, &digest, sizeof(digest)) < 0)
			return shale_err_set(err, ENOMEM, "read index.json");
	*n = found.len / sizeof(digest);
	*out = (struct shale_digest *)found.data;
	found = (struct shale_buf){0};
	return 0;
}
