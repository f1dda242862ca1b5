/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/keyset.h"

#include <errno.h>
#include <stdlib.h>

enum { FIRST = 64 };

void shale_keyset_release(struct shale_keyset *set)
{
	free(set->slots);
	*set = (struct shale_keyset){0};
}

/* Where a key is or would be; the table is never full. */
static size_t find(const uint64_t *slots, size_t cap, uint64_t key)
{
	size_t i = key & (cap - 1);
	while (slots[i] && slots[i] != key)
		i = (i + 1) & (cap - 1);
	return i;
}

static int grow(struct shale_keyset *set)
{
	size_t cap = set->cap ? set->cap * 2 : FIRST;
	uint64_t *slots = calloc(cap, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	for (size_t i = 0; i < set->cap; i++)
		if (set->slots[i])
			slots[find(slots, cap, set->slots[i])] = set->slots[i];
	free(set->slots);
	set->slots = slots;
	set->cap = cap;
	return 0;
}

int shale_keyset_add(struct shale_keyset *set, uint64_t key)
{
	if (key == 0) {
		int added = !set->zero;
		set->zero = true;
		return added;
	}
	if (set->n + 1 > set->cap / 4 * 3 && grow(set) < 0)
		return -ENOMEM;
	size_t i = find(set->slots, set->cap, key);
	if (set->slots[i])
		return 0;
	set->slots[i] = key;
	set->n++;
	return 1;
}

bool shale_keyset_has(const struct shale_keyset *set, uint64_t key)
{
	if (key == 0)
		return set->zero;
	return set->cap && set->slots[find(set->slots, set->cap, key)] == key;
}
