/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_LIVE_BLOCKMAP_H
#define SHALE_LIVE_BLOCKMAP_H

/*
 * Which blocks of an inode's data files count: its M records, read as they are
 * needed and changed in memory until they are stored.  For the time of one
 * operation, by one thread.
 */

#include "fs/live/change.h"

struct shale_region;

struct shale_blockmap {
	struct shale_db *db;
	uint64_t ino;
	struct shale_region **regions; /* by (epoch, index) */
	size_t n, cap;
};

void shale_blockmap_init(struct shale_blockmap *map, struct shale_db *db,
			 uint64_t ino);
void shale_blockmap_release(struct shale_blockmap *map);

/*
 * From `block` on, up to `max` (at least 1) blocks that all count or all do
 * not.
 */
int shale_blockmap_run(struct shale_blockmap *map, uint32_t epoch,
		       uint64_t block, uint64_t max, bool *present,
		       uint64_t *n);

/* How many of [first, end) count. */
int shale_blockmap_count(struct shale_blockmap *map, uint32_t epoch,
			 uint64_t first, uint64_t end, uint64_t *n);

/* Make [first, end) count, or not; `*changed` is how many did not (did). */
int shale_blockmap_set(struct shale_blockmap *map, uint32_t epoch,
		       uint64_t first, uint64_t end, uint64_t *changed);
int shale_blockmap_clear(struct shale_blockmap *map, uint32_t epoch,
			 uint64_t first, uint64_t end, uint64_t *changed);

/* Record what has changed.  True if anything has. */
bool shale_blockmap_store(struct shale_blockmap *map, struct shale_change *ch);

#endif
