/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_BLOB_INTERN_H
#define SHALE_BLOB_INTERN_H

/*
 * A hash table of numbers: it finds the entry of somebody's array that equals a
 * key.  Zero initialised is empty; entries are never taken out.  Not
 * thread-safe.
 */

#include <stdbool.h>
#include <stdint.h>

struct shale_intern {
	struct shale_intern_slot *slots;
	uint64_t cap; /* slots, a power of two */
	uint64_t n;   /* of them in use */
};

#define SHALE_INTERN_NONE UINT32_MAX

/* Does entry `id` of the array behind `array` equal `key`? */
typedef bool shale_intern_equal(const void *array, uint32_t id,
				const void *key);

void shale_intern_release(struct shale_intern *t);

/* The entry that equals `key`, whose hash is `hash`; SHALE_INTERN_NONE. */
uint32_t shale_intern_find(const struct shale_intern *t, uint64_t hash,
			   shale_intern_equal *equal, const void *array,
			   const void *key);

/* Remember entry `id` under `hash`.  Returns 0 or -ENOMEM. */
int shale_intern_add(struct shale_intern *t, uint64_t hash, uint32_t id);

#endif
