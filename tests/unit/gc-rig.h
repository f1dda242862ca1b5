/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_TESTS_GC_RIG_H
#define SHALE_TESTS_GC_RIG_H

/*
 * Stores with garbage in them.  Any failure fails the test.
 */

#include "layers/ops/gc_impl.h"

/* What a run removes; `root` (may be NULL) is needed by somebody. */
struct shale_gc_result gc(struct shale_store *store,
			  const struct shale_digest *root);

/* Blobs: is it there; have one with that text. */
bool has(struct shale_store *store, const struct shale_digest *digest);
struct shale_digest put(struct shale_store *store, const char *text);

/* Times of files come by ticks: what comes next is later. */
void tick(void);

/* A chain of three, of which the middle one is forgotten. */
struct chain {
	struct shale_store *store;
	struct shale_version *v[3];
};
struct chain chain(void);
void end(struct chain *c);
/* Is all of the i-th version there? */
bool whole(const struct chain *c, int i);

#endif
