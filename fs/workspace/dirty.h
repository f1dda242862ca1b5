/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_WORKSPACE_DIRTY_H
#define SHALE_WORKSPACE_DIRTY_H

/*
 * Which bytes of a data file were written since they were last on disk, while
 * they are few: an fsync puts few bytes into the journal, and flushes the file
 * for many.  Writes have numbers that rise.  The caller's lock covers it.
 */

#include <stdbool.h>
#include <stdint.h>

enum {
	SHALE_DIRTY_RANGES = 4,
	SHALE_DIRTY_MAX = 64 << 10, /* bytes */
};

struct shale_dirty_range {
	uint64_t off, end;
	uint64_t last; /* number of the last write in it */
};

/* Zero initialised: none. */
struct shale_dirty {
	uint64_t much; /* up to this write there is more than fits; 0: no */
	uint32_t n;
	struct shale_dirty_range range[SHALE_DIRTY_RANGES]; /* disjoint */
};

/* Write `number` wrote [off, off + len). */
void shale_dirty_add(struct shale_dirty *dirty, uint64_t off, uint64_t len,
		     uint64_t number);

/* Write `number` may have written any of it. */
void shale_dirty_all(struct shale_dirty *dirty, uint64_t number);

/* What was written up to write `number` is on disk, or in the journal. */
void shale_dirty_clean(struct shale_dirty *dirty, uint64_t number);

/* Bytes in the ranges. */
uint64_t shale_dirty_bytes(const struct shale_dirty *dirty);

#endif
