/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_BLOB_CHUNKS_IMPL_H
#define SHALE_BLOB_CHUNKS_IMPL_H

/* The inside of struct shale_chunks: chunks.c, and chunks_run.c for many. */

#include "layers/blob/chunks.h"
#include "layers/blob/scratch.h"

#include <pthread.h>

enum {
	SHALE_CHUNKS_BUCKETS = 256,
	SHALE_CHUNKS_ROOM = 512 << 10, /* four make a huge page */
	/* stored bytes that are read at once */
	SHALE_CHUNKS_RUN = SHALE_CHUNKS_ROOM - SHALE_BLOBS_SLACK,
};

/*
 * Content of one chunk.  While it is loading, whoever wants it waits; one that
 * failed is out of the table, and its waiters try for themselves, so that each
 * gets an error of its own.
 */
struct shale_chunks_entry {
	struct shale_digest blob;
	uint64_t off;
	uint32_t len;
	unsigned users;
	enum {
		SHALE_CHUNK_LOADING,
		SHALE_CHUNK_READY,
		SHALE_CHUNK_FAILED
	} state;
	struct shale_chunks_entry *next;          /* in its bucket */
	struct shale_chunks_entry *newer, *older; /* in the shard's list, if not
						   * failed */
	uint8_t data[];
};

struct shale_chunks_shard {
	pthread_mutex_t lock;
	pthread_cond_t loaded;
	struct shale_chunks_entry *buckets[SHALE_CHUNKS_BUCKETS];
	struct shale_chunks_entry *newest, *oldest;
	size_t bytes;
	uint64_t hits, misses, prefetched;
};

struct shale_chunks {
	struct shale_blobs *blobs;
	struct shale_scratch *scratch; /* for one chunk's stored bytes … */
	struct shale_scratch *rooms;   /* … and for a run's */
	size_t per_shard;              /* bytes that one may keep */
	unsigned n_shards;
	struct shale_chunks_shard shards[];
};

/*
 * Take on a chunk that is not in the cache: whoever wants it waits until
 * shale_chunks_filled().  `ahead`: before anybody does.  NULL: it is there, or
 * has no place in the cache.
 */
struct shale_chunks_entry *shale_chunks_claim(struct shale_chunks *chunks,
					      const struct shale_chunk *chunk,
					      bool ahead);
/* `r`: 0, or why the entry's data is not the chunk's content. */
void shale_chunks_filled(struct shale_chunks *chunks,
			 const struct shale_chunk *chunk,
			 struct shale_chunks_entry *e, int r);

/*
 * Is `content`, got with `r`, the chunk's?  0, or an error that names the
 * chunk; what is damaged is -EUCLEAN.
 */
int shale_chunks_check(const struct shale_chunk *chunk, const uint8_t *content,
		       int r, struct shale_err *err);

/* Is it in the cache, or on its way? */
bool shale_chunks_cached(struct shale_chunks *chunks,
			 const struct shale_chunk *chunk);

/* -EUCLEAN: a chunk has no such bytes. */
int shale_chunks_outside(const struct shale_chunk *chunk, uint32_t off,
			 uint32_t len, struct shale_err *err);

/*
 * What the cache has of a chunk, waiting for who loads it; it stays until it is
 * dropped.  NULL: it is not there.
 */
struct shale_chunks_entry *shale_chunks_hold(struct shale_chunks *chunks,
					     const struct shale_chunk *chunk);
void shale_chunks_drop(struct shale_chunks *chunks,
		       struct shale_chunks_entry *e);

/* Copy from the cache, as above.  -ENOENT: it is not there. */
int shale_chunks_copy(struct shale_chunks *chunks,
		      const struct shale_chunk *chunk, uint32_t off,
		      uint32_t len, void *out, struct shale_err *err);

#endif
