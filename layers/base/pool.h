/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_BASE_POOL_H
#define SHALE_BASE_POOL_H

/*
 * Worker threads that run jobs in the order in which they were given (first
 * in, first started).  A job must not wait for a job that was given later.
 */

#include "layers/base/err.h"

#include <stddef.h>

struct shale_pool;

/*
 * Start `threads` workers (0: one a processor).  shale_pool_add() blocks while
 * `queue` jobs wait.  Returns 0 or -errno.
 */
int shale_pool_new(struct shale_pool **out, unsigned threads, size_t queue,
		   struct shale_err *err);

/* Finish all jobs and end the workers.  NULL is fine. */
void shale_pool_free(struct shale_pool *pool);

/* Give a job.  Blocks while the queue is full. */
void shale_pool_add(struct shale_pool *pool, void (*fn)(void *arg), void *arg);

/* Like shale_pool_add, but returns -EAGAIN instead of blocking. */
int shale_pool_try(struct shale_pool *pool, void (*fn)(void *arg), void *arg);

/* Wait until every job given so far has ended. */
void shale_pool_wait(struct shale_pool *pool);

#endif
