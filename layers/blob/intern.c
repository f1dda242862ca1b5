/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/blob/intern.h"

#include <errno.h>
#include <stdlib.h>

struct shale_intern_slot {
	uint32_t tag; /* upper half of the hash: saves most comparisons */
	uint32_t id;  /* plus one; 0: free */
};

void shale_intern_release(struct shale_intern *t)
{
	free(t->slots);
	*t = (struct shale_intern){0};
}

/*
 * The home of a hash comes from its upper bits too: growing puts an entry in
 * its place by the tag alone, without asking for the key again.
 */
static uint64_t home(uint32_t tag, uint64_t cap)
{
	return tag * UINT64_C(0x9e3779b97f4a7c15) >> 20 & (cap - 1);
}

uint32_t shale_intern_find(const struct shale_intern *t, uint64_t hash,
			   shale_intern_equal *equal, const void *array,
			   const void *key)
{
	uint32_t tag = (uint32_t)(hash >> 32);

	if (!t->cap)
		return SHALE_INTERN_NONE;
	for (uint64_t i = home(tag, t->cap); t->slots[i].id;
	     i = (i + 1) & (t->cap - 1))
		if (t->slots[i].tag == tag &&
		    equal(array, t->slots[i].id - 1, key))
			return t->slots[i].id - 1;
	return SHALE_INTERN_NONE;
}

static void place(struct shale_intern_slot *slots, uint64_t cap,
		  struct shale_intern_slot slot)
{
	uint64_t i = home(slot.tag, cap);
	while (slots[i].id)
		i = (i + 1) & (cap - 1);
	slots[i] = slot;
}

static int grow(struct shale_intern *t)
{
	uint64_t cap = t->cap ? t->cap * 2 : 64;
	struct shale_intern_slot *slots = calloc(cap, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	for (uint64_t i = 0; i < t->cap; i++)
		if (t->slots[i].id)
			place(slots, cap, t->slots[i]);
	free(t->slots);
	t->slots = slots;
	t->cap = cap;
	return 0;
}

int shale_intern_add(struct shale_intern *t, uint64_t hash, uint32_t id)
{
	if (t->n * 3 >= t->cap * 2 && grow(t) < 0)
		return -ENOMEM;
	place(t->slots, t->cap,
	      (struct shale_intern_slot){(uint32_t)(hash >> 32), id + 1});
	t->n++;
	return 0;
}
