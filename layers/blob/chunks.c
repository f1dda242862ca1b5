/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/blob/chunks.h"

#include "layers/base/cleanup.h"
#include "layers/blob/chunks_impl.h"
#include "layers/chunk/cut.h"

#include <string.h>

enum {
	SHARDS_MAX = 16,
	SHARD_MIN = 2 << 20, /* bytes: a shard holds several chunks at least */
	SCRATCH = SHALE_CHUNK_LONGEST,
};

int shale_chunks_new(struct shale_chunks **out, struct shale_blobs *blobs,
		     size_t cache, struct shale_err *err)
{
	size_t n = cache / SHARD_MIN;
	n = n < 1 ? 1 : n > SHARDS_MAX ? SHARDS_MAX : n;

	struct shale_chunks *chunks =
		calloc(1, sizeof(*chunks) + n * sizeof(chunks->shards[0]));
	struct shale_scratch *scratch = shale_scratch_new(SCRATCH, false);
	struct shale_scratch *rooms = shale_scratch_new(SHALE_CHUNKS_ROOM, true);
	if (!chunks || !scratch || !rooms) {
		free(chunks);
		shale_scratch_free(scratch);
		shale_scratch_free(rooms);
		return shale_err_set(err, ENOMEM, "make a cache of chunks");
	}
	chunks->blobs = blobs;
	chunks->scratch = scratch;
	chunks->rooms = rooms;
	chunks->per_shard = cache / n;
	chunks->n_shards = (unsigned)n;
	for (size_t i = 0; i < n; i++) {
		pthread_mutex_init(&chunks->shards[i].lock, NULL);
		pthread_cond_init(&chunks->shards[i].loaded, NULL);
	}
	*out = chunks;
	return 0;
}

void shale_chunks_free(struct shale_chunks *chunks)
{
	if (!chunks)
		return;
	for (unsigned i = 0; i < chunks->n_shards; i++) {
		struct shale_chunks_shard *shard = &chunks->shards[i];
		while (shard->oldest) {
			struct shale_chunks_entry *e = shard->oldest;
			shard->oldest = e->newer;
			free(e);
		}
		pthread_cond_destroy(&shard->loaded);
		pthread_mutex_destroy(&shard->lock);
	}
	shale_scratch_free(chunks->scratch);
	shale_scratch_free(chunks->rooms);
	free(chunks);
}

/* ------------------------------------------------------------- the table */

static uint64_t hash_of(const struct shale_chunk *chunk)
{
	uint64_t word;
	memcpy(&word, chunk->blob.b, sizeof(word));
	word = (word ^ chunk->off) * UINT64_C(0x9e3779b97f4a7c15);
	return word ^ word >> 29;
}

static struct shale_chunks_shard *shard_of(struct shale_chunks *chunks,
					   const struct shale_chunk *chunk)
{
	return &chunks->shards[(hash_of(chunk) >> 32) % chunks->n_shards];
}

/* Where an entry of this chunk stands or would stand. */
static struct shale_chunks_entry **find(struct shale_chunks_shard *shard,
					const struct shale_chunk *chunk)
{
	struct shale_chunks_entry **at =
		&shard->buckets[hash_of(chunk) % SHALE_CHUNKS_BUCKETS];
	while (*at && ((*at)->off != chunk->off || (*at)->len != chunk->len ||
		       !shale_digest_equal(&(*at)->blob, &chunk->blob)))
		at = &(*at)->next;
	return at;
}

static void list_remove(struct shale_chunks_shard *shard,
			struct shale_chunks_entry *e)
{
	*(e->newer ? &e->newer->older : &shard->newest) = e->older;
	*(e->older ? &e->older->newer : &shard->oldest) = e->newer;
	e->newer = e->older = NULL;
}

static void list_add(struct shale_chunks_shard *shard,
		     struct shale_chunks_entry *e)
{
	e->newer = NULL;
	e->older = shard->newest;
	*(e->older ? &e->older->newer : &shard->oldest) = e;
	shard->newest = e;
}

static void take_out(struct shale_chunks_shard *shard,
		     struct shale_chunks_entry *e)
{
	struct shale_chunk key = {
		.blob = e->blob, .off = e->off, .len = e->len};
	*find(shard, &key) = e->next;
	list_remove(shard, e);
	shard->bytes -= e->len;
}

/* Drop what was used longest ago, but nothing that is in use. */
static void trim(struct shale_chunks_shard *shard, size_t limit)
{
	struct shale_chunks_entry *e = shard->oldest;
	while (e && shard->bytes > limit) {
		struct shale_chunks_entry *newer = e->newer;
		if (!e->users) {
			take_out(shard, e);
			free(e);
		}
		e = newer;
	}
}

/* A new entry that its maker is to load; NULL: no memory. */
static struct shale_chunks_entry *add(struct shale_chunks_shard *shard,
				      struct shale_chunks_entry **at,
				      const struct shale_chunk *chunk)
{
	struct shale_chunks_entry *e = malloc(sizeof(*e) + chunk->len);
	if (!e)
		return NULL;
	*e = (struct shale_chunks_entry){.blob = chunk->blob,
					 .off = chunk->off,
					 .len = chunk->len,
					 .users = 1,
					 .state = SHALE_CHUNK_LOADING};
	*at = e;
	list_add(shard, e);
	shard->bytes += e->len;
	return e;
}

/* With the lock held. */
static void release(struct shale_chunks *chunks,
		    struct shale_chunks_shard *shard,
		    struct shale_chunks_entry *e)
{
	e->users--;
	if (e->state != SHALE_CHUNK_FAILED)
		trim(shard, chunks->per_shard);
	else if (!e->users)
		free(e);
}

/* --------------------------------------------------------------- loading */

static int read_stored(struct shale_chunks *chunks,
		       const struct shale_chunk *chunk, uint8_t *out,
		       struct shale_err *err)
{
	if (chunk->codec == SHALE_CODEC_NONE && chunk->stored == chunk->len)
		return shale_blobs_pread(chunks->blobs, &chunk->blob, out,
					 chunk->len, chunk->off, err);

	uint8_t *stored = shale_scratch_take(chunks->scratch, chunk->stored);
	if (!stored)
		return shale_err_set(err, ENOMEM, "read a chunk");
	int r = shale_blobs_pread(chunks->blobs, &chunk->blob, stored,
				  chunk->stored, chunk->off, err);
	if (r == 0)
		r = shale_decompress(chunk->codec, stored, chunk->stored, out,
				     chunk->len, err);
	shale_scratch_give(chunks->scratch, stored, chunk->stored);
	return r;
}

int shale_chunks_check(const struct shale_chunk *chunk, const uint8_t *content,
		       int r, struct shale_err *err)
{
	char blob[SHALE_DIGEST_STR];

	if (r == 0) {
		struct shale_hash128 got = shale_xxh128(content, chunk->len);
		if (memcmp(got.b, chunk->hash.b, sizeof(got.b)) == 0)
			return 0;
		r = shale_err_say(err, EUCLEAN, "its checksum does not hold");
	}
	/* What cannot be read is as good as damaged: to who writes elsewhere
	 * what is read here, an I/O error is one of that place. */
	return shale_err_wrap(err, r == -EIO ? -EUCLEAN : r,
			      "chunk at offset %llu of blob %s",
			      (unsigned long long)chunk->off,
			      shale_digest_str(&chunk->blob, blob));
}

/* The whole content, checked. */
static int load(struct shale_chunks *chunks, const struct shale_chunk *chunk,
		uint8_t *out, struct shale_err *err)
{
	int r = read_stored(chunks, chunk, out, err);
	return shale_chunks_check(chunk, out, r, err);
}

/* With the lock held: an entry is loaded, or (`r`) cannot be. */
static void settle(struct shale_chunks_shard *shard,
		   struct shale_chunks_entry *e, int r)
{
	e->state = r < 0 ? SHALE_CHUNK_FAILED : SHALE_CHUNK_READY;
	if (r < 0)
		take_out(shard, e);
	pthread_cond_broadcast(&shard->loaded);
}

/*
 * Fill an entry that this thread has added.  Called and left with the lock
 * held; the caller's use of the entry stays.
 */
static int fill(struct shale_chunks *chunks, struct shale_chunks_shard *shard,
		struct shale_chunks_entry *e, const struct shale_chunk *chunk,
		struct shale_err *err)
{
	pthread_mutex_unlock(&shard->lock);
	int r = load(chunks, chunk, e->data, err);
	pthread_mutex_lock(&shard->lock);
	settle(shard, e, r);
	return r;
}

/*
 * Called and left with the lock held.  `*out` is in use by the caller, even
 * after an error; NULL: there is none, and `keep` did not ask for one.
 */
static int get(struct shale_chunks *chunks, struct shale_chunks_shard *shard,
	       const struct shale_chunk *chunk, bool keep,
	       struct shale_chunks_entry **out, struct shale_err *err)
{
	struct shale_chunks_entry **at = find(shard, chunk), *e;

	*(*at ? &shard->hits : &shard->misses) += 1;
	for (;; at = find(shard, chunk)) {
		e = *at;
		*out = NULL;
		if (!e && !keep)
			return 0;
		if (!e) {
			e = *out = add(shard, at, chunk);
			return e ? fill(chunks, shard, e, chunk, err)
				 : shale_err_set(err, ENOMEM, "read a chunk");
		}
		e->users++;
		while (e->state == SHALE_CHUNK_LOADING)
			pthread_cond_wait(&shard->loaded, &shard->lock);
		*out = e;
		if (e->state == SHALE_CHUNK_READY) {
			list_remove(shard, e);
			list_add(shard, e);
			return 0;
		}
		release(chunks, shard, e);
	}
}

int shale_chunks_outside(const struct shale_chunk *chunk, uint32_t off,
			 uint32_t len, struct shale_err *err)
{
	return shale_err_say(err, EUCLEAN, "bytes %u to %llu of a chunk of %u",
			     off, (unsigned long long)off + len, chunk->len);
}

int shale_chunks_read(struct shale_chunks *chunks,
		      const struct shale_chunk *chunk, uint32_t off,
		      uint32_t len, void *out, struct shale_err *err)
{
	if (off > chunk->len || len > chunk->len - off)
		return shale_chunks_outside(chunk, off, len, err);

	bool whole = len == chunk->len;
	struct shale_chunks_shard *shard = shard_of(chunks, chunk);
	struct shale_chunks_entry *e;

	pthread_mutex_lock(&shard->lock);
	int r = get(chunks, shard, chunk, !whole, &e, err);
	pthread_mutex_unlock(&shard->lock);

	if (r == 0 && !e)
		return load(chunks, chunk, out, err);
	if (r == 0)
		memcpy(out, e->data + off, len);
	if (e) {
		pthread_mutex_lock(&shard->lock);
		release(chunks, shard, e);
		pthread_mutex_unlock(&shard->lock);
	}
	return r;
}

struct shale_chunks_entry *shale_chunks_hold(struct shale_chunks *chunks,
					     const struct shale_chunk *chunk)
{
	struct shale_chunks_shard *shard = shard_of(chunks, chunk);
	struct shale_chunks_entry *e;

	pthread_mutex_lock(&shard->lock);
	(void)get(chunks, shard, chunk, false, &e, NULL);
	pthread_mutex_unlock(&shard->lock);
	return e;
}

void shale_chunks_drop(struct shale_chunks *chunks,
		       struct shale_chunks_entry *e)
{
	struct shale_chunk key = {.blob = e->blob, .off = e->off};
	struct shale_chunks_shard *shard = shard_of(chunks, &key);

	pthread_mutex_lock(&shard->lock);
	release(chunks, shard, e);
	pthread_mutex_unlock(&shard->lock);
}

int shale_chunks_copy(struct shale_chunks *chunks,
		      const struct shale_chunk *chunk, uint32_t off,
		      uint32_t len, void *out, struct shale_err *err)
{
	if (off > chunk->len || len > chunk->len - off)
		return shale_chunks_outside(chunk, off, len, err);
	struct shale_chunks_entry *e = shale_chunks_hold(chunks, chunk);
	if (!e)
		return -ENOENT;
	memcpy(out, e->data + off, len);
	shale_chunks_drop(chunks, e);
	return 0;
}

bool shale_chunks_equal(struct shale_chunks *chunks,
			const struct shale_chunk *chunk, const void *data)
{
	struct shale_chunks_entry *e = shale_chunks_hold(chunks, chunk);
	if (e) {
		bool same = memcmp(e->data, data, chunk->len) == 0;
		shale_chunks_drop(chunks, e);
		return same;
	}
	/* The same few buffers again and again: they stay in the caches. */
	uint8_t *got = shale_scratch_take(chunks->scratch, chunk->len);
	bool same = got && read_stored(chunks, chunk, got, NULL) == 0 &&
		    memcmp(got, data, chunk->len) == 0;
	if (got)
		shale_scratch_give(chunks->scratch, got, chunk->len);
	return same;
}

bool shale_chunks_cached(struct shale_chunks *chunks,
			 const struct shale_chunk *chunk)
{
	struct shale_chunks_shard *shard = shard_of(chunks, chunk);

	pthread_mutex_lock(&shard->lock);
	bool found = *find(shard, chunk) != NULL;
	pthread_mutex_unlock(&shard->lock);
	return found;
}

struct shale_chunks_entry *shale_chunks_claim(struct shale_chunks *chunks,
					      const struct shale_chunk *chunk,
					      bool ahead)
{
	struct shale_chunks_shard *shard = shard_of(chunks, chunk);
	struct shale_chunks_entry *e = NULL;

	if (chunk->len > chunks->per_shard)
		return NULL;
	pthread_mutex_lock(&shard->lock);
	struct shale_chunks_entry **at = find(shard, chunk);
	if (!*at)
		e = add(shard, at, chunk);
	shard->prefetched += e && ahead;
	pthread_mutex_unlock(&shard->lock);
	return e;
}

void shale_chunks_filled(struct shale_chunks *chunks,
			 const struct shale_chunk *chunk,
			 struct shale_chunks_entry *e, int r)
{
	struct shale_chunks_shard *shard = shard_of(chunks, chunk);

	pthread_mutex_lock(&shard->lock);
	settle(shard, e, r);
	release(chunks, shard, e);
	pthread_mutex_unlock(&shard->lock);
}

void shale_chunks_stats(struct shale_chunks *chunks,
			struct shale_chunks_stats *out)
{
	*out = (struct shale_chunks_stats){
		.limit = chunks->per_shard * chunks->n_shards,
	};
	for (unsigned i = 0; i < chunks->n_shards; i++) {
		struct shale_chunks_shard *shard = &chunks->shards[i];
		pthread_mutex_lock(&shard->lock);
		out->hits += shard->hits;
		out->misses += shard->misses;
		out->prefetched += shard->prefetched;
		out->bytes += shard->bytes;
		pthread_mutex_unlock(&shard->lock);
	}
}
