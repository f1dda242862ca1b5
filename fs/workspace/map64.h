/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_WORKSPACE_MAP64_H
#define SHALE_WORKSPACE_MAP64_H

/*
 * A hash map from numbers that are not 0 to numbers; 0 stands for "none".  Open
 * addressing with linear probing.  Zero initialised is empty.  Not thread-safe.
 */

#include <stddef.h>
#include <stdint.h>

struct shale_map64 {
	struct shale_pair64 {
		uint64_t key, value;
	} * at;
	size_t n, cap; /* cap: 0 or a power of two */
};

void shale_map64_release(struct shale_map64 *map);
uint64_t shale_map64_get(const struct shale_map64 *map, uint64_t key);
/* Make sure that one more key fits.  -ENOMEM. */
int shale_map64_reserve(struct shale_map64 *map);
/* 0 removes; a key that is new must have been reserved. */
void shale_map64_set(struct shale_map64 *map, uint64_t key, uint64_t value);

#endif
