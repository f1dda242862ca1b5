/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_OPS_RING_H
#define SHALE_OPS_RING_H

/*
 * What one thread reads on its way to the thread that packs it: a few batches
 * of bytes and items that go round between the two, so that reading overlaps
 * cutting and memory stays bounded.  One producer, one consumer.
 */

#include "layers/base/buf.h"
#include "layers/base/err.h"

#include <stdbool.h>

enum { SHALE_RING_BATCH = 1 << 20 };

struct shale_batch {
	uint8_t *data; /* SHALE_RING_BATCH bytes */
	size_t len;
	struct shale_buf items; /* records of the user's */
	struct shale_buf heap;  /* what items point into by offset */
	struct shale_batch *next;
};

struct shale_ring;

/* `batches` is at least 2. */
int shale_ring_new(struct shale_ring **out, size_t batches,
		   struct shale_err *err);
void shale_ring_free(struct shale_ring *ring);

/*
 * Producer: an empty batch, waiting for one; NULL when the consumer has given
 * up.  Each goes back by shale_ring_post().
 */
struct shale_batch *shale_ring_empty(struct shale_ring *ring);
void shale_ring_post(struct shale_ring *ring, struct shale_batch *batch);
/* Producer: there will be no more. */
void shale_ring_end(struct shale_ring *ring);

/*
 * Consumer: the next full batch, which goes back by shale_ring_return().  NULL
 * at the end (`*ended`), or when none came for a moment: time to see whether
 * anybody still wants it.
 */
struct shale_batch *shale_ring_take(struct shale_ring *ring, bool *ended);
void shale_ring_return(struct shale_ring *ring, struct shale_batch *batch);
/* Consumer: give up; the producer's next shale_ring_empty() says so. */
void shale_ring_stop(struct shale_ring *ring);
/* Producer: has it? */
bool shale_ring_stopped(struct shale_ring *ring);

#endif
