/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_MOUNT_OPCOUNT_H
#define SHALE_MOUNT_OPCOUNT_H

/*
 * How many requests of each kind were answered, and how long that took.  Each
 * thread counts for itself, in memory of its own: counting takes no lock, and
 * no cache line that another thread writes.  Who asks adds the threads up, and
 * may see a request that is counted in part.  Knows nothing of FUSE.
 *
 * Latencies are kept in buckets of a quarter of an octave, so a percentile is
 * right to about a tenth of itself.
 */

#include "layers/base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum {
	SHALE_OPCOUNT_KINDS = 64,
	SHALE_OPCOUNT_BUCKETS = 120,
};

struct shale_opcount;

int shale_opcount_new(struct shale_opcount **out, struct shale_err *err);
/* No thread counts any more.  NULL is fine. */
void shale_opcount_free(struct shale_opcount *counts);

/* A request of a kind below SHALE_OPCOUNT_KINDS was answered. */
void shale_opcount_note(struct shale_opcount *counts, unsigned kind,
			uint64_t ns, uint64_t bytes, bool failed);

struct shale_opcount_sum {
	uint64_t count;
	uint64_t failed; /* of these were answered with an error */
	uint64_t bytes;
	uint64_t ns, max_ns;
	uint64_t bucket[SHALE_OPCOUNT_BUCKETS];
};
/* What all threads together counted of a kind. */
void shale_opcount_sum(struct shale_opcount *counts, unsigned kind,
		       struct shale_opcount_sum *out);

/* Nanoseconds within which `per_mille` of 1,000 requests were answered; 0
 * without any. */
uint64_t shale_opcount_percentile(const struct shale_opcount_sum *sum,
				  unsigned per_mille);

#endif
