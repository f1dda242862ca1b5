/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/verify_impl.h"

#include "layers/base/cleanup.h"

#include <errno.h>
#include <string.h>

enum { QUEUE = 64 };

bool shale_verify_is_damage(int r)
{
	return r == -EUCLEAN || r == -EIO || r == -ENOENT || r == -ENOKEY ||
	       r == -EPROTONOSUPPORT || r == -EFBIG || r == -ELOOP ||
	       r == -EISDIR;
}

void shale_verify_found(struct shale_verify *v,
			const struct shale_finding *finding)
{
	pthread_mutex_lock(&v->lock);
	v->opts->found(v->opts->arg, finding);
	pthread_mutex_unlock(&v->lock);
}

void shale_verify_fail(struct shale_verify *v, int r,
		       const struct shale_err *err)
{
	pthread_mutex_lock(&v->lock);
	if (v->failed == 0) {
		v->failed = r;
		v->err = *err;
	}
	pthread_mutex_unlock(&v->lock);
	atomic_store(&v->stop, true);
}

bool shale_verify_go_on(struct shale_verify *v, uint64_t bytes)
{
	uint64_t done = atomic_fetch_add(&v->done, bytes) + bytes;

	if (atomic_load(&v->stop))
		return false;
	pthread_mutex_lock(&v->lock);
	bool stop = v->opts->going &&
		    v->opts->going(v->opts->arg, done, atomic_load(&v->total));
	pthread_mutex_unlock(&v->lock);
	if (stop)
		atomic_store(&v->stop, true);
	return !stop;
}

/* What a stage's threads have left behind. */
static int outcome(struct shale_verify *v, struct shale_err *err)
{
	if (v->failed) {
		if (err)
			*err = v->err;
		return v->failed;
	}
	return atomic_load(&v->stop) ? shale_err_say(err, EINTR, "interrupted")
				     : 0;
}

static int run(struct shale_verify *v, const struct shale_verify_root *roots,
	       size_t n, struct shale_err *err)
{
	static int (*const stages[])(struct shale_verify *,
				     struct shale_err *) = {
		shale_verify_blobs,
		shale_verify_chunks,
		shale_verify_merge,
		shale_verify_paths,
	};
	int r = shale_verify_versions(v, roots, n, err);

	for (size_t i = 0; r == 0 && i < sizeof(stages) / sizeof(*stages);
	     i++) {
		r = stages[i](v, err);
		if (r == 0)
			r = outcome(v, err);
	}
	if (r == 0 && v->opts->caches)
		r = shale_verify_caches(v, err);
	return r;
}

int shale_verify(struct shale_store *store,
		 const struct shale_verify_root *roots, size_t n,
		 const struct shale_verify_opts *opts,
		 struct shale_verify_result *result, struct shale_err *err)
{
	struct shale_verify v = {.store = store, .opts = opts};
	int r = shale_pool_new(&v.pool, opts->threads, QUEUE, err);
	if (r < 0)
		return r;

	pthread_mutex_init(&v.lock, NULL);
	r = run(&v, roots, n, err);
	shale_pool_free(v.pool);
	v.result.versions = v.n_versions;
	v.result.blobs = v.n_blobs;
	v.result.chunks = atomic_load(&v.chunks);
	v.result.bytes = atomic_load(&v.done);
	for (size_t i = 0; i < v.n_versions; i++)
		v.result.damaged += v.versions[i].damaged;
	shale_verify_versions_release(&v);
	shale_keyset_release(&v.bad_chunks);
	pthread_mutex_destroy(&v.lock);
	if (r == 0)
		*result = v.result;
	return r;
}
