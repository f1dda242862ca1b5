/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/mount/fill.h"

#include "layers/base/cleanup.h"
#include "layers/base/pool.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

enum {
	QUEUE = 16,
	WORKERS = 1,
	ALL = 1 << 20, /* of the notes were close */
	MEMORY = 256,  /* notes, or so, that count */
};

struct shale_fill {
	const struct shale_image *image;
	struct shale_pool *pool;
	pthread_mutex_t lock;
	shale_push_fn *fn; /* NULL: do not */
	void *arg;
	/* Windows that were read from once, each where its hash says; what
	 * comes later takes the place. */
	uint32_t seen[SHALE_FILL_SEEN];
	int close; /* how many notes came close to others, of ALL */
};

struct job {
	struct shale_fill *fill;
	uint64_t ino, off;
};

int shale_fill_new(struct shale_fill **out, const struct shale_image *image,
		   struct shale_err *err)
{
	cleanup_free struct shale_fill *f = calloc(1, sizeof(*f));
	if (!f)
		return shale_err_set(err, ENOMEM, "fill windows");
	f->image = image;
	int r = shale_pool_new(&f->pool, WORKERS, QUEUE, err);
	if (r < 0)
		return r;
	pthread_mutex_init(&f->lock, NULL);
	*out = steal_ptr(&f);
	return 0;
}

void shale_fill_free(struct shale_fill *f)
{
	if (!f)
		return;
	shale_pool_free(f->pool);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

void shale_fill_to(struct shale_fill *f, shale_push_fn *fn, void *arg)
{
	pthread_mutex_lock(&f->lock);
	f->fn = fn;
	f->arg = arg;
	pthread_mutex_unlock(&f->lock);
	if (!fn)
		shale_pool_wait(f->pool);
}

static void give(struct shale_fill *f, const struct job *job,
		 const uint8_t *data, size_t len)
{
	pthread_mutex_lock(&f->lock);
	shale_push_fn *fn = f->fn;
	void *arg = f->arg;
	pthread_mutex_unlock(&f->lock);
	int r = fn ? fn(arg, job->ino, job->off, data, len) : 0;
	if (r == 0 || r == -ENOENT)
		return;
	pthread_mutex_lock(&f->lock);
	f->fn = NULL;
	pthread_mutex_unlock(&f->lock);
}

static void run(void *arg)
{
	cleanup_free struct job *job = arg;
	cleanup_free uint8_t *data = malloc(SHALE_FILL_WINDOW);
	size_t got = 0;

	/* An error is for the read to find. */
	if (data &&
	    shale_image_read(job->fill->image, job->ino, job->off, data,
			     SHALE_FILL_WINDOW, &got, NULL) == 0 &&
	    got)
		give(job->fill, job, data, got);
}

static uint64_t hash_of(uint64_t ino, uint64_t window)
{
	uint64_t z = (ino + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ window;
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	return z ^ z >> 31;
}

/* With the lock held: a note more, close to an earlier one or not. */
static void weigh(struct shale_fill *f, bool close)
{
	f->close += ((close ? ALL : 0) - f->close) / MEMORY;
}

/*
 * Was this window read from before, and is not filled since?  `*far`: it was
 * not, and so it goes with most.
 */
static bool again(struct shale_fill *f, uint64_t hash, bool *far)
{
	uint32_t *seen = &f->seen[hash % SHALE_FILL_SEEN];
	uint32_t tag = (uint32_t)(hash >> 32) | 1;

	pthread_mutex_lock(&f->lock);
	bool found = f->fn && *seen == tag;
	*seen = found ? 0 : tag;
	weigh(f, found);
	*far = f->fn && !found && f->close < ALL / SHALE_FILL_FEW;
	pthread_mutex_unlock(&f->lock);
	return found;
}

static void give_window(struct shale_fill *f, uint64_t ino, uint64_t window)
{
	cleanup_free struct job *job = malloc(sizeof(*job));
	if (!job)
		return;
	*job = (struct job){f, ino, window * SHALE_FILL_WINDOW};
	if (shale_pool_try(f->pool, run, job) == 0)
		(void)steal_ptr(&job);
}

bool shale_fill_note(struct shale_fill *f, uint64_t ino, uint64_t size,
		     uint64_t off, size_t len)
{
	uint64_t window = off / SHALE_FILL_WINDOW;
	bool far;

	/* Of what is shorter the kernel has all after a read or two. */
	if (!f || len > SHALE_FILL_SMALL || size <= 2 * SHALE_FILL_WINDOW)
		return false;
	if (again(f, hash_of(ino, window), &far))
		give_window(f, ino, window);
	return far;
}
