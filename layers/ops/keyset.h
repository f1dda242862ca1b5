/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_OPS_KEYSET_H
#define SHALE_OPS_KEYSET_H

/*
 * A set of 64-bit keys that are hashes already: 8 to 16 bytes a key, whatever
 * they stand for.  Zero initialised is empty.  One thread at a time.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct shale_keyset {
	uint64_t *slots; /* 0: free */
	size_t cap, n;
	bool zero; /* the key 0 is in */
};

void shale_keyset_release(struct shale_keyset *set);

/* Returns 1 if it was not in yet, 0 if it was, -ENOMEM. */
int shale_keyset_add(struct shale_keyset *set, uint64_t key);
bool shale_keyset_has(const struct shale_keyset *set, uint64_t key);

#endif
