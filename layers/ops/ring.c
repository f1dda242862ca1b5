/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/ring.h"

#include "layers/base/cleanup.h"
#include "layers/base/clock.h"

#include <pthread.h>

enum { MOMENT = 200000000 }; /* ns */

struct queue {
	struct shale_batch *first, **last;
};

struct shale_ring {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct queue empty, full;
	bool ended, stopped;
	size_t n;
	struct shale_batch batch[];
};

static void push(struct queue *q, struct shale_batch *b)
{
	b->next = NULL;
	*q->last = b;
	q->last = &b->next;
}

static struct shale_batch *pop(struct queue *q)
{
	struct shale_batch *b = q->first;
	if (!b)
		return NULL;
	q->first = b->next;
	if (!q->first)
		q->last = &q->first;
	return b;
}

int shale_ring_new(struct shale_ring **out, size_t batches,
		   struct shale_err *err)
{
	struct shale_ring *ring =
		calloc(1, sizeof(*ring) + batches * sizeof(ring->batch[0]));
	if (!ring)
		return shale_err_set(err, ENOMEM, "buffers for reading");
	pthread_mutex_init(&ring->lock, NULL);
	shale_clock_cond_init(&ring->changed);
	ring->empty.last = &ring->empty.first;
	ring->full.last = &ring->full.first;
	ring->n = batches;
	for (size_t i = 0; i < batches; i++) {
		ring->batch[i].data = malloc(SHALE_RING_BATCH);
		if (!ring->batch[i].data) {
			shale_ring_free(ring);
			return shale_err_set(err, ENOMEM,
					     "buffers for reading");
		}
		push(&ring->empty, &ring->batch[i]);
	}
	*out = ring;
	return 0;
}

void shale_ring_free(struct shale_ring *ring)
{
	if (!ring)
		return;
	for (size_t i = 0; i < ring->n; i++) {
		free(ring->batch[i].data);
		shale_buf_release(&ring->batch[i].items);
		shale_buf_release(&ring->batch[i].heap);
	}
	pthread_cond_destroy(&ring->changed);
	pthread_mutex_destroy(&ring->lock);
	free(ring);
}

struct shale_batch *shale_ring_empty(struct shale_ring *ring)
{
	struct shale_batch *b = NULL;
	pthread_mutex_lock(&ring->lock);
	while (!ring->stopped && !(b = pop(&ring->empty)))
		pthread_cond_wait(&ring->changed, &ring->lock);
	pthread_mutex_unlock(&ring->lock);
	if (b)
		b->len = b->items.len = b->heap.len = 0;
	return b;
}

static void hand_over(struct shale_ring *ring, struct queue *q,
		      struct shale_batch *batch)
{
	pthread_mutex_lock(&ring->lock);
	push(q, batch);
	pthread_cond_broadcast(&ring->changed);
	pthread_mutex_unlock(&ring->lock);
}

void shale_ring_post(struct shale_ring *ring, struct shale_batch *batch)
{
	hand_over(ring, &ring->full, batch);
}

void shale_ring_return(struct shale_ring *ring, struct shale_batch *batch)
{
	hand_over(ring, &ring->empty, batch);
}

static void set(struct shale_ring *ring, bool *flag)
{
	pthread_mutex_lock(&ring->lock);
	*flag = true;
	pthread_cond_broadcast(&ring->changed);
	pthread_mutex_unlock(&ring->lock);
}

void shale_ring_end(struct shale_ring *ring)
{
	set(ring, &ring->ended);
}

void shale_ring_stop(struct shale_ring *ring)
{
	set(ring, &ring->stopped);
}

bool shale_ring_stopped(struct shale_ring *ring)
{
	pthread_mutex_lock(&ring->lock);
	bool stopped = ring->stopped;
	pthread_mutex_unlock(&ring->lock);
	return stopped;
}

struct shale_batch *shale_ring_take(struct shale_ring *ring, bool *ended)
{
	struct shale_batch *b;
	struct timespec until = shale_clock_in(MOMENT);
	int r = 0;

	pthread_mutex_lock(&ring->lock);
	while (!(b = pop(&ring->full)) && !ring->ended && r != ETIMEDOUT)
		r = pthread_cond_timedwait(&ring->changed, &ring->lock, &until);
	*ended = !b && ring->ended;
	pthread_mutex_unlock(&ring->lock);
	return b;
}
