/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/verify_impl.h"

#include "layers/base/buf.h"
#include "layers/base/cleanup.h"
#include "layers/chunk/codec.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* Chunks that one job checks: some MiB, so that jobs are few. */
enum { BATCH = 64 };

struct batch {
	struct shale_verify *v;
	size_t n;
	struct shale_chunk chunk[BATCH];
};

uint64_t shale_verify_chunk_key(const struct shale_chunk *c)
{
	struct {
		struct shale_digest blob, sha256;
		struct shale_hash128 hash;
		uint64_t off, codec;
		uint32_t len, stored;
	} key = {c->blob,  c->sha256, c->hash,  c->off,
		 c->codec, c->len,    c->stored};
	return shale_xxh64(&key, sizeof(key));
}

static int check_content(const struct shale_chunk *c, const uint8_t *stored,
			 uint8_t *content, struct shale_err *err)
{
	struct shale_digest digest;
	shale_sha256(stored, c->stored, &digest);
	if (!shale_digest_equal(&digest, &c->sha256))
		return shale_err_say(err, EUCLEAN,
				     "its stored bytes have another digest");
	int r = shale_decompress(c->codec, stored, c->stored, content, c->len,
				 err);
	if (r < 0)
		return r;
	struct shale_hash128 hash = shale_xxh128(content, c->len);
	return memcmp(hash.b, c->hash.b, sizeof(hash.b)) == 0
		       ? 0
		       : shale_err_say(err, EUCLEAN,
				       "its checksum does not hold");
}

/* Buffers of a job; chunks have 256 KiB at most, but nothing relies on it. */
struct buffers {
	struct shale_buf stored, content;
};

static int check(struct shale_verify *v, const struct shale_chunk *c,
		 struct buffers *b, struct shale_err *err)
{
	b->stored.len = b->content.len = 0;
	if (!shale_buf_add(&b->stored, c->stored) ||
	    !shale_buf_add(&b->content, c->len))
		return shale_err_set(err, ENOMEM, "verify");
	int r = shale_blobs_pread(shale_store_blobs(v->store), &c->blob,
				  b->stored.data, c->stored, c->off, err);
	return r < 0 ? r
		     : check_content(c, b->stored.data, b->content.data, err);
}

static void chunk_bad(struct shale_verify *v, const struct shale_chunk *c,
		      const struct shale_err *why)
{
	const struct shale_finding f = {
		.kind = SHALE_FOUND_CHUNK,
		.why = why->msg,
		.blob = &c->blob,
		.offset = c->off,
		.length = c->stored,
	};
	pthread_mutex_lock(&v->lock);
	int r = shale_keyset_add(&v->bad_chunks, shale_verify_chunk_key(c));
	v->any_bad_chunk = true;
	if (r > 0)
		v->opts->found(v->opts->arg, &f);
	pthread_mutex_unlock(&v->lock);
	if (r < 0) {
		struct shale_err err;
		shale_err_set(&err, ENOMEM, "verify");
		shale_verify_fail(v, r, &err);
	}
}

static void run(void *arg)
{
	cleanup_free struct batch *batch = arg;
	struct shale_verify *v = batch->v;
	struct buffers buffers = {0};

	for (size_t i = 0; i < batch->n && !atomic_load(&v->stop); i++) {
		struct shale_err why = {""};
		int r = check(v, &batch->chunk[i], &buffers, &why);
		atomic_fetch_add(&v->chunks, 1);
		if (r < 0 && shale_verify_is_damage(r))
			chunk_bad(v, &batch->chunk[i], &why);
		else if (r < 0)
			shale_verify_fail(v, r, &why);
		shale_verify_go_on(v, batch->chunk[i].stored);
	}
	shale_buf_release(&buffers.stored);
	shale_buf_release(&buffers.content);
}

/* -------------------------------------------------------------- choosing */

/* Chunks on their way to a job. */
struct feeding {
	struct shale_verify *v;
	struct shale_keyset seen;
	struct batch *batch;
};

static void hand_over(struct feeding *f)
{
	if (f->batch)
		shale_pool_add(f->v->pool, run, f->batch);
	f->batch = NULL;
}

static int feed(struct feeding *f, const struct shale_chunk *c,
		struct shale_err *err)
{
	int r = shale_keyset_add(&f->seen, shale_verify_chunk_key(c));
	if (r == 0)
		return 0;
	if (r > 0 && !f->batch)
		f->batch = calloc(1, sizeof(*f->batch));
	if (r < 0 || !f->batch)
		return shale_err_set(err, ENOMEM, "verify");
	f->batch->v = f->v;
	f->batch->chunk[f->batch->n++] = *c;
	if (f->batch->n == BATCH)
		hand_over(f);
	return 0;
}

/* Is the blob one of those whose digest, size or presence is at fault? */
static bool in_bad_blob(const struct shale_verify *v,
			const struct shale_chunk *c)
{
	for (uint32_t i = 0; i < v->n_blobs; i++)
		if (v->blobs[i].damaged &&
		    shale_digest_equal(&v->blobs[i].digest, &c->blob))
			return true;
	return false;
}

static int feed_tree(struct feeding *f, const struct shale_verify_blob *b,
		     bool all, struct shale_err *err)
{
	struct shale_verify *v = f->v;
	const struct shale_layer_desc desc = {b->digest, b->size};
	struct shale_tree *tree;
	struct shale_chunk c, last = {0};
	int r = shale_store_open_tree(v->store, &desc, &tree, err);
	if (r < 0)
		return shale_verify_is_damage(r) ? 0 : r;

	bool bad = false; /* is the last one's blob? */
	uint64_t n = shale_tree_count(tree, SHALE_TREE_CHUNKS);
	for (uint64_t i = 0; r == 0 && i < n && !atomic_load(&v->stop); i++) {
		r = shale_tree_chunk(tree, i, &c, err);
		if (r < 0) /* found already, as damage of the tree */
			break;
		if (!all && !(i && shale_digest_equal(&c.blob, &last.blob)))
			bad = in_bad_blob(v, &c);
		last = c;
		if (all || bad)
			r = feed(f, &c, err);
	}
	shale_tree_close(tree);
	return r < 0 && shale_verify_is_damage(r) ? 0 : r;
}

static bool any_bad_data(const struct shale_verify *v)
{
	for (uint32_t i = 0; i < v->n_blobs; i++)
		if (v->blobs[i].damaged &&
		    v->blobs[i].kind == SHALE_VERIFY_DATA)
			return true;
	return false;
}

int shale_verify_chunks(struct shale_verify *v, struct shale_err *err)
{
	bool all = v->opts->depth >= SHALE_VERIFY_CHUNKS;
	struct feeding f = {.v = v};
	int r = 0;

	if (!all && !any_bad_data(v))
		return 0;
	for (uint32_t i = 0; i < v->n_blobs && r == 0; i++)
		if (v->blobs[i].kind == SHALE_VERIFY_TREE)
			r = feed_tree(&f, &v->blobs[i], all, err);
	hand_over(&f);
	shale_pool_wait(v->pool);
	shale_keyset_release(&f.seen);
	return r;
}
