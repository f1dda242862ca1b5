/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/alike.h"

#include "layers/base/cleanup.h"
#include "layers/base/io.h"
#include "layers/blob/pack.h"
#include "layers/chunk/cut.h"

#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

enum {
	RANGE = 1 << 20, /* bytes of the file that a thread takes at a time */
	RANGES = 1024,   /* that may be done and not taken */
	GIVE_UP = 16,    /* ranges in a row that have nothing in common */
	THREADS_MAX = 64,
};

/* What was found of the chunks that begin in a range. */
struct range {
	struct shale_buf found; /* struct shale_alike_chunk */
	bool done;
};

struct shale_alike {
	int fd;
	struct stat st;
	struct shale_content parent;
	struct shale_chunks *chunks;
	uint64_t end; /* ranges: what both have */

	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t done, room;
	uint64_t claimed, taken; /* ranges; in turn, each has a fixed place */
	bool stopped;
	struct range ranges[RANGES];

	/* The taker's. */
	size_t at;       /* of the range whose turn it is */
	unsigned barren; /* ranges before it without anything */

	unsigned n;
	pthread_t threads[THREADS_MAX];
};

/* --------------------------------------------------------------- comparing */

struct worker {
	struct shale_alike *alike;
	struct range *range;
	uint8_t *bytes; /* of one chunk */
};

/* Does the file have the chunk's bytes at `off`?  Whatever keeps either from
 * being read means no. */
static bool is_same(struct worker *w, const struct shale_chunk *chunk,
		    uint64_t off)
{
	if (shale_pread_full(w->alike->fd, w->bytes, chunk->len, off, "a file",
			     NULL) < 0)
		return false;
	struct shale_hash128 hash = shale_xxh128(w->bytes, chunk->len);
	return memcmp(hash.b, chunk->hash.b, sizeof(hash.b)) == 0 &&
	       shale_chunks_equal(w->alike->chunks, chunk, w->bytes);
}

static int look_at(struct worker *w, const struct shale_piece *piece,
		   uint32_t number, const struct shale_chunk *chunk,
		   uint64_t off)
{
	struct shale_alike_chunk found = {
		.off = off,
		.tree = piece->tree,
		.number = number,
		.len = chunk->len,
	};
	if (chunk->len > SHALE_CHUNK_LONGEST || !is_same(w, chunk, off))
		return 0;
	found.ends = shale_pack_ends(w->bytes, chunk->len, off);
	return shale_buf_append(&w->range->found, &found, sizeof(found));
}

/* The whole chunks of a piece, of those that begin before `end`. */
static int look_along(struct worker *w, const struct shale_piece *piece,
		      uint64_t end)
{
	uint64_t off = piece->off, last = piece->off + piece->len;
	uint32_t number = piece->chunk, skip = piece->chunk_off;
	int r = 0;

	for (; r == 0 && off < end && off < last; number++) {
		struct shale_chunk chunk;
		r = shale_tree_chunk(piece->tree, number, &chunk, NULL);
		if (r < 0)
			break;
		if (!skip && chunk.len <= last - off)
			r = look_at(w, piece, number, &chunk, off);
		off += chunk.len - skip;
		skip = 0;
	}
	return r;
}

/* The chunks that begin in [off, end).  What fails is not alike. */
static void look_through(struct worker *w, uint64_t off, uint64_t end)
{
	struct shale_piece piece;
	while (off < end) {
		int r = shale_content_piece(&w->alike->parent, off,
					    w->alike->end - off, &piece, NULL);
		if (r == 0 && piece.tree)
			r = look_along(w, &piece, end);
		if (r < 0)
			return;
		off += piece.len;
	}
}

static bool claim(struct shale_alike *a, uint64_t *number)
{
	pthread_mutex_lock(&a->lock);
	while (!a->stopped && a->claimed - a->taken == RANGES)
		pthread_cond_wait(&a->room, &a->lock);
	bool any = !a->stopped && a->claimed * RANGE < a->end;
	if (any)
		*number = a->claimed++;
	pthread_mutex_unlock(&a->lock);
	return any;
}

static void *work(void *arg)
{
	struct worker w = {.alike = arg};
	struct shale_alike *a = arg;
	uint64_t number;

	cleanup_free uint8_t *bytes = malloc(SHALE_CHUNK_LONGEST);
	w.bytes = bytes;
	while (claim(a, &number)) {
		uint64_t off = number * RANGE, left = a->end - off;
		w.range = &a->ranges[number % RANGES];
		if (bytes)
			look_through(&w, off,
				     off + (left < RANGE ? left : RANGE));
		pthread_mutex_lock(&a->lock);
		w.range->done = true;
		pthread_cond_signal(&a->done);
		pthread_mutex_unlock(&a->lock);
	}
	return NULL;
}

/* ----------------------------------------------------------- begin and end */

static bool start_threads(struct shale_alike *a, unsigned threads)
{
	long online = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned want = threads ? threads : online > 0 ? (unsigned)online : 1;
	while (a->n < want && a->n < THREADS_MAX &&
	       pthread_create(&a->threads[a->n], NULL, work, a) == 0)
		a->n++;
	return a->n > 0;
}

static bool is_worth_it(const struct stat *st)
{
	return S_ISREG(st->st_mode) && st->st_size >= SHALE_ALIKE_FROM &&
	       st->st_blocks >= st->st_size / 512;
}

struct shale_alike *shale_alike_new(int fd, const struct shale_image *parent,
				    uint64_t ino, struct shale_chunks *chunks,
				    unsigned threads)
{
	struct stat st;
	if (fstat(fd, &st) < 0 || !is_worth_it(&st))
		return NULL;
	struct shale_alike *a = calloc(1, sizeof(*a));
	if (!a)
		return NULL;
	a->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	a->st = st;
	a->chunks = chunks;
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->done, NULL);
	pthread_cond_init(&a->room, NULL);
	bool begun = a->fd >= 0 &&
		     shale_image_content(parent, ino, &a->parent, NULL) == 0;
	if (begun) {
		uint64_t size = (uint64_t)st.st_size;
		a->end = size < a->parent.size ? size : a->parent.size;
		(void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
		begun = start_threads(a, threads);
	}
	if (!begun) {
		shale_alike_free(a);
		return NULL;
	}
	return a;
}

static void stop(struct shale_alike *a)
{
	pthread_mutex_lock(&a->lock);
	a->stopped = true;
	pthread_cond_broadcast(&a->room);
	pthread_mutex_unlock(&a->lock);
}

void shale_alike_free(struct shale_alike *a)
{
	if (!a)
		return;
	stop(a);
	for (unsigned i = 0; i < a->n; i++)
		pthread_join(a->threads[i], NULL);
	for (size_t i = 0; i < RANGES; i++)
		shale_buf_release(&a->ranges[i].found);
	pthread_cond_destroy(&a->room);
	pthread_cond_destroy(&a->done);
	pthread_mutex_destroy(&a->lock);
	if (a->fd >= 0)
		close(a->fd);
	free(a);
}

const struct stat *shale_alike_stat(const struct shale_alike *a)
{
	return &a->st;
}

/* ------------------------------------------------------------------ taking */

/* Wait for the range whose turn it is. */
static struct range *in_turn(struct shale_alike *a)
{
	struct range *range = &a->ranges[a->taken % RANGES];
	pthread_mutex_lock(&a->lock);
	while (!range->done)
		pthread_cond_wait(&a->done, &a->lock);
	pthread_mutex_unlock(&a->lock);
	return range;
}

static void go_on(struct shale_alike *a, struct range *range)
{
	a->barren = range->found.len ? 0 : a->barren + 1;
	a->at = range->found.len = 0;
	pthread_mutex_lock(&a->lock);
	range->done = false;
	a->taken++;
	pthread_cond_signal(&a->room);
	pthread_mutex_unlock(&a->lock);
}

bool shale_alike_next(struct shale_alike *a, struct shale_alike_chunk *out)
{
	while (a->barren < GIVE_UP && a->taken * RANGE < a->end) {
		struct range *range = in_turn(a);
		if (a->at < range->found.len) {
			memcpy(out, range->found.data + a->at, sizeof(*out));
			a->at += sizeof(*out);
			return true;
		}
		go_on(a, range);
	}
	if (a->barren == GIVE_UP)
		stop(a);
	return false;
}
