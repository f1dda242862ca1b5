/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/live/readahead.h"

#include "layers/base/cleanup.h"
#include "layers/base/pool.h"

#include <pthread.h>
#include <string.h>

enum {
	STREAMS = 64,
	STEP = 512 << 10, /* content of one job */
	WINDOW = 2 << 20, /* how far ahead of the reader */
	LONG = 2 << 20,   /* a stream from here on is read once */
	QUEUE = 64,
	TRUST = 2, /* requests in a row that make a stream */
};

struct stream {
	uint64_t key;
	uint64_t start;
	uint64_t next;  /* where a sequential reader would go on */
	uint64_t ahead; /* asked for up to here */
	unsigned row;
};

struct shale_readahead {
	pthread_mutex_t lock;
	struct stream stream[STREAMS];
	struct shale_pool *pool;
};

/* Content that is to be in the cache of chunks. */
struct part {
	struct shale_chunks *chunks;
	uint64_t off, end;
	bool once;
};

struct job {
	struct shale_readahead *ra;
	uint64_t key;
	struct part part;
	struct shale_content content;
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

/* What the reader has come to meanwhile he reads himself. */
static void catch_up(struct job *job)
{
	const struct stream *s = &job->ra->stream[job->key % STREAMS];

	pthread_mutex_lock(&job->ra->lock);
	if (s->key == job->key && s->next > job->part.off)
		job->part.off = s->next;
	pthread_mutex_unlock(&job->ra->lock);
}

/* Errors are left for the reader to find. */
static void run(void *arg)
{
	struct job *job = arg;
	const struct part *p = &job->part;
	struct shale_wanted wanted = {.chunks = p->chunks, .once = p->once};

	catch_up(job);
	if (p->off < p->end)
		shale_wanted_add(&wanted, &job->content, p->off,
				 p->end - p->off);
	shale_wanted_bring(&wanted);
	free(job);
}

static int give(struct shale_readahead *ra, uint64_t key,
		const struct shale_content *content, const struct part *part)
{
	size_t used = offsetof(struct shale_content, level) +
		      content->n * sizeof(content->level[0]);
	cleanup_free struct job *job = malloc(sizeof(*job));

	if (!job)
		return -ENOMEM;
	job->ra = ra;
	job->key = key;
	job->part = *part;
	memcpy(&job->content, content, used);
	int r = shale_pool_try(ra->pool, run, job);
	if (r == 0)
		(void)steal_ptr(&job);
	return r;
}

/* Requests of one reader overtake each other: is this one of the stream's? */
static bool belongs(const struct stream *s, uint64_t key, uint64_t off)
{
	if (s->key != key)
		return false;
	return off >= s->next ? off - s->next <= WINDOW
			      : s->row > TRUST && s->next - off <= WINDOW;
}

/*
 * Follow the reader: returns how far to read ahead, from `*from` on; 0 if it is
 * not sequential or enough is under way.
 */
static uint64_t follow(struct stream *s, uint64_t key, uint64_t off,
		       uint64_t end, uint64_t size, uint64_t *from)
{
	if (!belongs(s, key, off)) {
		*s = (struct stream){
			.key = key, .start = off, .next = end, .ahead = end};
		s->row = off == 0;
		return 0;
	}
	if (off < s->next) {
		s->row--; /* who goes back all the time is no stream */
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
	struct stream *s;
	uint64_t from = 0;

	if (!ra || !len || off >= content->size)
		return;
	uint64_t left = content->size - off;
	uint64_t end = len < left ? off + len : content->size;

	s = &ra->stream[key % STREAMS];
	pthread_mutex_lock(&ra->lock);
	uint64_t goal = follow(s, key, off, end, content->size, &from);
	bool once = end - s->start >= LONG;
	pthread_mutex_unlock(&ra->lock);
	while (from < goal) {
		struct part part = {
			.chunks = chunks, .off = from, .once = once};
		part.end = goal - from < STEP ? goal : from + STEP;
		if (give(ra, key, content, &part) < 0)
			return;
		from = part.end;
	}
}
