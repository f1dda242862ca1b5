/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/mount/push.h"

#include "layers/base/cleanup.h"
#include "layers/base/pool.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
	STREAMS = 8,
	TRUST = 4,            /* files in a row that make a stream */
	STEP = 8,             /* inode numbers from one file to the next */
	FILE_MAX = 128 << 10, /* longer ones: the kernel reads ahead itself */
	WINDOW_MIN = 128 << 10,
	WINDOW_MAX = 1 << 20, /* content of a window … */
	FILES = 256,          /* … and its files */
	SCAN = 4 * FILES,     /* inodes looked at for one */
	LONG = 2 << 20,       /* from here on a stream is read once */
	WORKERS = 2,
};

/* A reader on its way through the inodes. */
struct stream {
	uint64_t used;  /* when, in notes; 0: free */
	uint64_t next;  /* after the file that it asked for last */
	uint64_t ahead; /* after the last window */
	uint64_t trip;  /* asked for: time for another window */
	uint64_t total; /* bytes of all windows */
	unsigned row, window;
	bool busy; /* a worker has it, which alone writes `ahead` and so on */
};

struct shale_push {
	const struct shale_image *image;
	struct shale_pool *pool;
	pthread_mutex_t lock;
	shale_push_fn *fn; /* NULL: do not */
	void *arg;
	uint64_t now;
	struct stream stream[STREAMS];
};

/* What a worker is to do, and what came of it. */
struct window {
	uint64_t from, end; /* inode numbers */
	uint64_t bytes;
	unsigned size, pushed;
	bool once;
	int error;
	size_t n;
	uint64_t files[FILES]; /* the first is not pushed */
};

struct job {
	struct shale_push *push;
	struct stream *stream;
};

int shale_push_new(struct shale_push **out, const struct shale_image *image,
		   struct shale_err *err)
{
	cleanup_free struct shale_push *p = calloc(1, sizeof(*p));
	if (!p)
		return shale_err_set(err, ENOMEM, "push files");
	p->image = image;
	int r = shale_pool_new(&p->pool, WORKERS, STREAMS, err);
	if (r < 0)
		return r;
	pthread_mutex_init(&p->lock, NULL);
	*out = steal_ptr(&p);
	return 0;
}

void shale_push_free(struct shale_push *p)
{
	if (!p)
		return;
	shale_pool_free(p->pool);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

void shale_push_to(struct shale_push *p, shale_push_fn *fn, void *arg)
{
	pthread_mutex_lock(&p->lock);
	p->fn = fn;
	p->arg = arg;
	pthread_mutex_unlock(&p->lock);
	if (!fn)
		shale_pool_wait(p->pool);
}

/* ----------------------------------------------------------- one window */

/* Choose the files: as many as fit from w->from on. */
static void choose(const struct shale_push *p, struct window *w)
{
	const struct shale_index *ix = p->image->index;
	struct shale_attr attr;
	uint64_t pos;

	w->end = w->from;
	if (shale_index_seek(ix, w->from, &pos, NULL) < 0)
		return;
	for (unsigned i = 0; i < SCAN && w->n < FILES; i++) {
		if (pos + i >= shale_index_inodes(ix) ||
		    shale_index_attr_nth(ix, pos + i, &attr, NULL) < 0 ||
		    w->bytes >= w->size)
			return;
		w->end = attr.ino + 1;
		if (!S_ISREG(attr.mode) || !attr.size || attr.size > FILE_MAX)
			continue;
		w->files[w->n++] = attr.ino;
		w->bytes += attr.size;
	}
}

/*
 * Bring the chunks of files from number `i` on at once, as far as they stay in
 * the cache until the files are pushed.  Returns the number of the first file
 * that is left.
 */
static size_t load(const struct shale_push *p, const struct window *w, size_t i)
{
	struct shale_wanted wanted = {.chunks = p->image->chunks,
				      .once = w->once};
	struct shale_content content;

	for (; i < w->n && wanted.bytes < WINDOW_MAX; i++)
		if (shale_image_content(p->image, w->files[i], &content,
					NULL) == 0)
			shale_wanted_add(&wanted, &content, 0, content.size);
	shale_wanted_bring(&wanted);
	return i;
}

/* 0: go on; -ENOENT: the kernel does not know what comes now. */
static int push_file(struct shale_push *p, uint64_t ino, uint8_t *buf)
{
	size_t got = 0;

	/* An error is for the read to find. */
	if (shale_image_read(p->image, ino, 0, buf, FILE_MAX, &got, NULL) < 0 ||
	    got == 0)
		return 0;
	pthread_mutex_lock(&p->lock);
	shale_push_fn *fn = p->fn;
	void *arg = p->arg;
	pthread_mutex_unlock(&p->lock);
	return fn ? fn(arg, ino, 0, buf, got) : -ECANCELED;
}

static uint64_t reader_at(struct shale_push *p, const struct stream *s)
{
	pthread_mutex_lock(&p->lock);
	uint64_t next = s->next;
	pthread_mutex_unlock(&p->lock);
	return next;
}

/* Push files from number `i` to `end`, but for the first of the window, and
 * what the reader has asked for meanwhile. */
static void push_files(struct shale_push *p, const struct stream *s,
		       struct window *w, size_t i, size_t end, uint8_t *buf)
{
	for (i = i ? i : 1; i < end && !w->error; i++) {
		if (w->files[i] < reader_at(p, s))
			continue;
		w->error = push_file(p, w->files[i], buf);
		if (w->error)
			w->end = w->files[i]; /* the next window starts here */
		else
			w->pushed++;
	}
}

static void push_window(struct shale_push *p, const struct stream *s,
			struct window *w)
{
	cleanup_free uint8_t *buf = malloc(FILE_MAX);

	for (size_t i = 0, end; buf && i < w->n && !w->error; i = end) {
		end = load(p, w, i);
		push_files(p, s, w, i, end, buf);
	}
}

/* ---------------------------------------------------------------- workers */

/* With the lock held: is there a window to be made? */
static bool plan(const struct shale_push *p, const struct stream *s,
		 struct window *w)
{
	if (!p->fn || s->row < TRUST || s->next <= s->trip)
		return false;
	*w = (struct window){
		.from = s->ahead > s->next ? s->ahead : s->next,
		.size = s->window,
		.once = s->total >= LONG,
	};
	return true;
}

/* With the lock held: what came of it. */
static void note_window(struct shale_push *p, struct stream *s,
			const struct window *w)
{
	s->ahead = w->end;
	s->trip = w->n ? w->files[0] : UINT64_MAX; /* the image ends here */
	s->total += w->bytes;
	s->window = 2 * w->size < WINDOW_MAX ? 2 * w->size : WINDOW_MAX;
	if (w->error && w->error != -ENOENT)
		p->fn = NULL;
	if (w->error == -ENOENT && !w->pushed)
		s->row = 0; /* nothing of it is known there */
}

static void run(void *arg)
{
	cleanup_free struct job *job = arg;
	struct shale_push *p = job->push;
	struct stream *s = job->stream;
	cleanup_free struct window *w = malloc(sizeof(*w));

	pthread_mutex_lock(&p->lock);
	while (w && plan(p, s, w)) {
		pthread_mutex_unlock(&p->lock);
		choose(p, w);
		push_window(p, s, w);
		pthread_mutex_lock(&p->lock);
		note_window(p, s, w);
	}
	s->busy = false;
	pthread_mutex_unlock(&p->lock);
}

/* ----------------------------------------------------------------- readers */

static bool belongs(const struct stream *s, uint64_t ino)
{
	uint64_t last = s->ahead > s->next ? s->ahead : s->next;

	return s->used && ino >= s->next &&
	       ino - s->next < STEP + (last - s->next);
}

/* The stream that this file is the next of, or a new one; NULL: no room. */
static struct stream *find(struct shale_push *p, uint64_t ino)
{
	struct stream *oldest = NULL;

	for (size_t i = 0; i < STREAMS; i++) {
		struct stream *s = &p->stream[i];
		if (belongs(s, ino))
			return s;
		if (!s->busy && (!oldest || s->used < oldest->used))
			oldest = s;
	}
	if (oldest)
		*oldest = (struct stream){.window = WINDOW_MIN};
	return oldest;
}

static void give(struct shale_push *p, struct stream *s)
{
	cleanup_free struct job *job = malloc(sizeof(*job));

	if (!job)
		return;
	*job = (struct job){p, s};
	if (shale_pool_try(p->pool, run, job) < 0)
		return;
	s->busy = true;
	(void)steal_ptr(&job);
}

void shale_push_note(struct shale_push *p, uint64_t ino)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	struct stream *s = p->fn ? find(p, ino) : NULL;
	if (s) {
		s->used = ++p->now;
		s->next = ino + 1;
		s->row++;
		if (!s->busy && s->row >= TRUST && s->next > s->trip)
			give(p, s);
	}
	pthread_mutex_unlock(&p->lock);
}
