/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/live/readahead.h"

#include "layers/base/cleanup.h"
#include "layers/base/pool.h"

#include <pthread.h>
#include <string.h>

enum {
	STREAMS = 64,
	STEP = 256 << 10, /* content of one job */
	WINDOW = 1 << 20, /* how far ahead of the reader */
	QUEUE = 64,
	TRUST = 2, /* requests in a row that make a stream */
};

struct stream {
	uint64_t key;
	uint64_t next;  /* where a sequential reader would go on */
	uint64_t ahead; /* asked for up to here */
	unsigned row;
};

struct shale_readahead {
	pthread_mutex_t lock;
	struct stream stream[STREAMS];
	struct shale_pool *pool;
};

struct job {
	struct shale_content content;
	struct shale_chunks *chunks;
	uint64_t off, end;
};

int shale_readahead_new(struct shale_readahead **out, unsigned threads,
			struct shale_err *err)
{
	cleanup_free struct shale_readahead *ra = calloc(1, sizeof(*ra));
	if (!ra)
		return shale_err_set(err, ENOMEM, "read ahead");
	int r = shale_pool_new(&ra->pool, threads ? threads : 2, QUEUE, err);
	if (r < 0)
		return r;
	pthread_mutex_init(&ra->lock, NULL);
	*out = steal_ptr(&ra);
	return 0;
}

void shale_readahead_free(struct shale_readahead *ra)
{
	if (!ra)
		return;
	shale_pool_free(ra->pool);
	pthread_mutex_destroy(&ra->lock);
	free(ra);
}

static int fetch_piece(const struct job *job, const struct shale_piece *piece)
{
	uint64_t left = piece->len;
	uint32_t skip = piece->chunk_off;

	for (uint64_t i = piece->chunk; left > 0; i++, skip = 0) {
		struct shale_chunk chunk;
		int r = shale_tree_chunk(piece->tree, i, &chunk, NULL);
		if (r < 0)
			return r;
		if (skip >= chunk.len)
			return -EUCLEAN;
		shale_chunks_prefetch(job->chunks, &chunk);
		uint64_t len = chunk.len - skip;
		left -= len < left ? len : left;
	}
	return 0;
}

/* Errors are left for the reader to find. */
static void run(void *arg)
{
	struct job *job = arg;
	struct shale_piece piece;

	for (uint64_t off = job->off; off < job->end; off += piece.len) {
		if (shale_content_piece(&job->content, off, job->end - off,
					&piece, NULL) < 0)
			break;
		if (piece.tree && fetch_piece(job, &piece) < 0)
			break;
	}
	free(job);
}

static int give(struct shale_readahead *ra, const struct shale_content *content,
		struct shale_chunks *chunks, uint64_t off, uint64_t end)
{
	size_t used = offsetof(struct shale_content, level) +
		      content->n * sizeof(content->level[0]);
	cleanup_free struct job *job = malloc(sizeof(*job));

	if (!job)
		return -ENOMEM;
	memcpy(&job->content, content, used);
	job->chunks = chunks;
	job->off = off;
	job->end = end;
	int r = shale_pool_try(ra->pool, run, job);
	if (r == 0)
		(void)steal_ptr(&job);
	return r;
}

/*
 * Follow the reader: returns how far to read ahead, from `*from` on; 0 if it is
 * not sequential or enough is under way.
 */
static uint64_t follow(struct stream *s, uint64_t key, uint64_t off,
		       uint64_t end, uint64_t size, uint64_t *from)
{
	if (s->key != key || off < s->next || off - s->next > WINDOW) {
		*s = (struct stream){.key = key, .next = end, .ahead = end};
		s->row = off == 0;
		return 0;
	}
	s->next = end;
	if (s->ahead < end)
		s->ahead = end;
	if (++s->row < TRUST)
		return 0;
	uint64_t goal = size - end < WINDOW ? size : end + WINDOW;
	*from = s->ahead;
	if (goal <= s->ahead || (goal < size && goal - s->ahead < STEP))
		return 0;
	s->ahead = goal;
	return goal;
}

void shale_readahead_note(struct shale_readahead *ra, uint64_t key,
			  const struct shale_content *content,
			  struct shale_chunks *chunks, uint64_t off, size_t len)
{
	uint64_t from = 0;

	if (!ra || !len || off >= content->size)
		return;
	uint64_t left = content->size - off;
	uint64_t end = len < left ? off + len : content->size;

	pthread_mutex_lock(&ra->lock);
	uint64_t goal = follow(&ra->stream[key % STREAMS], key, off, end,
			       content->size, &from);
	pthread_mutex_unlock(&ra->lock);
	while (from < goal) {
		uint64_t to = goal - from < STEP ? goal : from + STEP;
		if (give(ra, content, chunks, from, to) < 0)
			return;
		from = to;
	}
}
