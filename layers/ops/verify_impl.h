/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_OPS_VERIFY_IMPL_H
#define SHALE_OPS_VERIFY_IMPL_H

/*
 * What the parts of verify share.  The stages, in their order:
 *
 *  1. manifests and descriptions; which blobs there are (verify_versions.c)
 *  2. each blob once, on threads (verify_blobs.c)
 *  3. each chunk once, on threads: all, or those of damaged blobs
 *     (verify_chunks.c)
 *  4. do the layers make a tree (verify_merge.c)
 *  5. damage becomes versions and paths (verify_paths.c)
 *  6. caches (verify_caches.c)
 */

#include "layers/base/pool.h"
#include "layers/ops/keyset.h"
#include "layers/ops/verify.h"

#include <pthread.h>
#include <stdatomic.h>

enum shale_verify_kind {
	SHALE_VERIFY_TREE,
	SHALE_VERIFY_DATA,
	SHALE_VERIFY_METADATA,
};

/* A blob that versions name; its place in `blobs` is its number. */
struct shale_verify_blob {
	struct shale_digest digest;
	uint64_t size;
	enum shale_verify_kind kind;
	bool damaged;
	uint32_t owner; /* trees: a version whose own change it is, or none */
};

struct shale_verify_version {
	const struct shale_verify_root *root;
	uint32_t *trees; /* numbers of blobs; bottom first */
	uint32_t *data;
	uint32_t n_trees, n_data;
	uint32_t metadata;      /* SHALE_VERIFY_NONE: there is none */
	uint64_t inodes, bytes; /* as the description says */
	bool unread;  /* manifest or description: nothing more is known */
	bool damaged; /* something of it is */
	bool told;    /* its damage has been spoken of */
};
#define SHALE_VERIFY_NONE UINT32_MAX

struct shale_verify {
	struct shale_store *store;
	const struct shale_verify_opts *opts;
	struct shale_pool *pool;
	struct shale_verify_result result;

	struct shale_verify_version *versions;
	size_t n_versions;
	struct shale_verify_blob *blobs;
	uint32_t n_blobs, cap_blobs;
	void *by_digest; /* tsearch(3) of struct named */

	pthread_mutex_t lock; /* guards what follows, and `found` */
	struct shale_keyset bad_chunks;
	bool any_bad_chunk;
	int failed; /* a failure of ours on a thread */
	struct shale_err err;
	atomic_ullong done, total; /* bytes */
	atomic_ullong chunks;
	atomic_bool stop;
};

/* Which chunk of which blob, with all that its record says. */
uint64_t shale_verify_chunk_key(const struct shale_chunk *c);

/* Report, from any thread. */
void shale_verify_found(struct shale_verify *v,
			const struct shale_finding *finding);
/* Something failed that is no damage: the whole run fails with it. */
void shale_verify_fail(struct shale_verify *v, int r,
		       const struct shale_err *err);
/* Count bytes; false: stop. */
bool shale_verify_go_on(struct shale_verify *v, uint64_t bytes);

/* Damage as opposed to a failure of ours (memory, descriptors). */
bool shale_verify_is_damage(int r);

int shale_verify_versions(struct shale_verify *v,
			  const struct shale_verify_root *roots, size_t n,
			  struct shale_err *err);
void shale_verify_versions_release(struct shale_verify *v);
int shale_verify_blobs(struct shale_verify *v, struct shale_err *err);
int shale_verify_chunks(struct shale_verify *v, struct shale_err *err);
int shale_verify_merge(struct shale_verify *v, struct shale_err *err);
int shale_verify_paths(struct shale_verify *v, struct shale_err *err);
int shale_verify_caches(struct shale_verify *v, struct shale_err *err);

/*
 * Open the trees of a version, bottom first; `*out` has them, to be closed
 * with shale_image_close().  With `index`, merged outside of the cache.
 */
int shale_verify_open(struct shale_verify *v,
		      const struct shale_verify_version *version, bool index,
		      struct shale_image **out, struct shale_err *err);

#endif
