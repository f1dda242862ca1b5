/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/live/told.h"

#include <stdatomic.h>

/* Linux numbers threads below 1 << 22, and inodes are numbered below 1 << 40.
 */
enum { THREAD_BITS = 22, THREADS = 1 << THREAD_BITS };

static uint64_t pack(uint64_t ino, uint64_t thread)
{
	return ino << THREAD_BITS | thread;
}

void shale_told_note(struct shale_told *t, uint64_t ino, uint32_t asker)
{
	_Atomic uint64_t *slot = &t->slot[ino % SHALE_TOLD_SLOTS];
	uint64_t now = atomic_load(slot), next;

	do {
		if (now >> THREAD_BITS != ino)
			return; /* it counts as told */
		uint64_t told = now % THREADS;
		bool known = asker && asker < THREADS;
		if (known && told == asker)
			return;
		next = known && !told ? pack(ino, asker) : 0;
	} while (!atomic_compare_exchange_weak(slot, &now, next));
}

bool shale_told_take(struct shale_told *t, uint64_t ino, uint32_t changer)
{
	uint64_t before =
		atomic_exchange(&t->slot[ino % SHALE_TOLD_SLOTS], pack(ino, 0));
	uint64_t told = before % THREADS;

	return before >> THREAD_BITS != ino || (told && told != changer);
}
