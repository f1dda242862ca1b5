/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_LIVE_MERGE_H
#define SHALE_LIVE_MERGE_H

/*
 * The algebra of names: what a directory has under a name, from what the base
 * and the workspace say of it, and what must be recorded when that changes.
 * Pure: no locks, no I/O.
 *
 *   base  record        is there            remove leaves
 *   yes   none          the base's          a tombstone
 *   yes   tombstone     nothing             -
 *   any   an inode      the record's        base or an older epoch has it: a
 *                                           tombstone; else nothing
 *   no    none          nothing             -
 *   no    tombstone     nothing             -
 */

#include "fs/live/record.h"

struct shale_name_state {
	uint64_t base_ino; /* 0: the base does not have the name */
	uint8_t base_type;
	uint64_t base_cookie;
	bool recorded;
	struct shale_rec_name rec;
};

/* What is there: 0 for nothing. */
uint64_t shale_merge_ino(const struct shale_name_state *state);
uint8_t shale_merge_type(const struct shale_name_state *state);

/* What to record. */
struct shale_name_plan {
	bool erase; /* no record at all; else `rec` */
	struct shale_rec_name rec;
	uint64_t cookie_add, cookie_del; /* R records; 0: none */
};

/*
 * The name is to stand for `ino`, whatever was there.  What is replaced keeps
 * its directory offset; what is new takes the one of `*counter` and raises it.
 */
void shale_merge_set(const struct shale_name_state *state, uint32_t epoch,
		     uint64_t ino, uint8_t type, uint64_t *counter,
		     struct shale_name_plan *out);

/* The name, which is there, goes. */
void shale_merge_remove(const struct shale_name_state *state, uint32_t epoch,
			struct shale_name_plan *out);

#endif
