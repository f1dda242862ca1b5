/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_WORKSPACE_RESULTS_H
#define SHALE_WORKSPACE_RESULTS_H

/*
 * The last request that each thread journalled, over all processes of a
 * connection: what a takeover must not execute twice.  A thread serves one
 * request at a time and has replied to it before it takes the next, so its next
 * batch retires it.  Bounded: the oldest goes when there are too many threads.
 * Thread-safe.
 */

#include "layers/base/buf.h"
#include "layers/base/err.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { SHALE_RESULTS_MAX = 256 };

struct shale_result {
	uint32_t thread;
	uint64_t pos; /* behind its batch */
	uint64_t connection, unique;
};

struct shale_results {
	bool ready;
	pthread_key_t own;     /* this thread's tag; 0: it has none yet */
	_Atomic uint32_t next; /* from a random one on: earlier processes had
				* others */
	pthread_mutex_t lock;  /* of what follows */
	size_t n;
	struct shale_result list[SHALE_RESULTS_MAX];
};

int shale_results_init(struct shale_results *results, struct shale_err *err);
void shale_results_release(struct shale_results *results);

/* The calling thread's tag. */
uint32_t shale_results_thread(struct shale_results *results);

void shale_results_note(struct shale_results *results,
			const struct shale_result *result);
bool shale_results_has(struct shale_results *results, uint64_t connection,
		       uint64_t unique);

/* Those at or before `pos`, as they stand in LMDB, appended to `out`. */
int shale_results_encode(struct shale_results *results, uint64_t pos,
			 struct shale_buf *out);
int shale_results_decode(struct shale_results *results,
			 const struct shale_buf *in, struct shale_err *err);

#endif
