/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/base/pool.h"

#include "layers/base/cleanup.h"

#include <pthread.h>
#include <stdbool.h>

struct job {
	void (*fn)(void *arg);
	void *arg;
};

struct shale_pool {
	pthread_mutex_t lock;
	pthread_cond_t job;  /* for one worker: a job came; for all: the end */
	pthread_cond_t room; /* for one that gives jobs: a job was taken */
	pthread_cond_t idle; /* no job is left */
	struct job *jobs;       /* ring of `cap` */
	size_t cap, head, len;
	unsigned running; /* jobs taken and not ended */
	bool ending;
	unsigned n;
	pthread_t threads[];
};

static void *work(void *arg)
{
	struct shale_pool *pool = arg;

	pthread_mutex_lock(&pool->lock);
	for (;;) {
		while (!pool->len && !pool->ending)
			pthread_cond_wait(&pool->job, &pool->lock);
		if (!pool->len)
			break;
		struct job job = pool->jobs[pool->head];
		pool->head = (pool->head + 1) % pool->cap;
		pool->len--;
		pool->running++;
		pthread_cond_signal(&pool->room);
		pthread_mutex_unlock(&pool->lock);

		job.fn(job.arg);

		pthread_mutex_lock(&pool->lock);
		pool->running--;
		if (!pool->running && !pool->len)
			pthread_cond_broadcast(&pool->idle);
	}
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

int shale_pool_new(struct shale_pool **out, unsigned threads, size_t queue,
		   struct shale_err *err)
{
	long online = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned want = threads ? threads : online > 0 ? (unsigned)online : 1;

	struct shale_pool *pool =
		calloc(1, sizeof(*pool) + want * sizeof(pool->threads[0]));
	if (!pool)
		return shale_err_set(err, ENOMEM, "start workers");
	pool->cap = queue ? queue : 1;
	pool->jobs = calloc(pool->cap, sizeof(*pool->jobs));
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->job, NULL);
	pthread_cond_init(&pool->room, NULL);
	pthread_cond_init(&pool->idle, NULL);

	int errnum = pool->jobs ? 0 : ENOMEM;
	while (!errnum && pool->n < want) {
		errnum = pthread_create(&pool->threads[pool->n], NULL, work,
					pool);
		pool->n += !errnum;
	}
	if (errnum && !pool->n) {
		shale_pool_free(pool);
		return shale_err_set(err, errnum, "start workers");
	}
	*out = pool;
	return 0;
}

void shale_pool_free(struct shale_pool *pool)
{
	if (!pool)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->ending = true;
	pthread_cond_broadcast(&pool->job);
	pthread_mutex_unlock(&pool->lock);
	for (unsigned i = 0; i < pool->n; i++)
		pthread_join(pool->threads[i], NULL);
	pthread_cond_destroy(&pool->job);
	pthread_cond_destroy(&pool->room);
	pthread_cond_destroy(&pool->idle);
	pthread_mutex_destroy(&pool->lock);
	free(pool->jobs);
	free(pool);
}

static void put(struct shale_pool *pool, void (*fn)(void *arg), void *arg)
{
	size_t at = (pool->head + pool->len) % pool->cap;
	pool->jobs[at] = (struct job){fn, arg};
	pool->len++;
	pthread_cond_signal(&pool->job);
}

void shale_pool_add(struct shale_pool *pool, void (*fn)(void *arg), void *arg)
{
	pthread_mutex_lock(&pool->lock);
	while (pool->len == pool->cap)
		pthread_cond_wait(&pool->room, &pool->lock);
	put(pool, fn, arg);
	pthread_mutex_unlock(&pool->lock);
}

int shale_pool_try(struct shale_pool *pool, void (*fn)(void *arg), void *arg)
{
	pthread_mutex_lock(&pool->lock);
	bool full = pool->len == pool->cap;
	if (!full)
		put(pool, fn, arg);
	pthread_mutex_unlock(&pool->lock);
	return full ? -EAGAIN : 0;
}

void shale_pool_wait(struct shale_pool *pool)
{
	pthread_mutex_lock(&pool->lock);
	while (pool->len || pool->running)
		pthread_cond_wait(&pool->idle, &pool->lock);
	pthread_mutex_unlock(&pool->lock);
}
