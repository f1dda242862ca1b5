/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/blob/pack_seen.h"

#include "layers/base/buf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_SLOTS = 1024 };

/* Open addressing: a slot holds the number of a place plus one, or 0. */
struct shale_pack_seen {
	struct shale_buf places;
	uint32_t *slots;
	size_t n_slots; /* a power of two, more than half of them free */
};

struct shale_pack_seen *shale_pack_seen_new(void)
{
	struct shale_pack_seen *seen = calloc(1, sizeof(*seen));
	if (!seen)
		return NULL;
	seen->n_slots = FIRST_SLOTS;
	seen->slots = calloc(seen->n_slots, sizeof(*seen->slots));
	if (!seen->slots) {
		free(seen);
		return NULL;
	}
	return seen;
}

void shale_pack_seen_free(struct shale_pack_seen *seen)
{
	if (!seen)
		return;
	shale_buf_release(&seen->places);
	free(seen->slots);
	free(seen);
}

static size_t first_slot(const struct shale_hash128 *hash, size_t n_slots)
{
	size_t word;
	memcpy(&word, hash->b, sizeof(word));
	return word & (n_slots - 1);
}

static const struct shale_pack_place *
place_at(const struct shale_pack_seen *seen, size_t slot)
{
	uint32_t number = seen->slots[slot];
	const struct shale_pack_place *all =
		(const struct shale_pack_place *)seen->places.data;
	return number ? &all[number - 1] : NULL;
}

const struct shale_pack_place *
shale_pack_seen_find(const struct shale_pack_seen *seen,
		     const struct shale_hash128 *hash, uint32_t len)
{
	const struct shale_pack_place *place;
	size_t slot = first_slot(hash, seen->n_slots);

	while ((place = place_at(seen, slot))) {
		if (place->len == len &&
		    memcmp(place->hash.b, hash->b, sizeof(hash->b)) == 0)
			return place;
		slot = (slot + 1) & (seen->n_slots - 1);
	}
	return NULL;
}

static int grow(struct shale_pack_seen *seen)
{
	size_t n = seen->n_slots * 2;
	uint32_t *slots = calloc(n, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	for (size_t i = 0; i < seen->n_slots; i++) {
		const struct shale_pack_place *place = place_at(seen, i);
		if (!place)
			continue;
		size_t slot = first_slot(&place->hash, n);
		while (slots[slot])
			slot = (slot + 1) & (n - 1);
		slots[slot] = seen->slots[i];
	}
	free(seen->slots);
	seen->slots = slots;
	seen->n_slots = n;
	return 0;
}

int shale_pack_seen_add(struct shale_pack_seen *seen,
			const struct shale_pack_place *place)
{
	size_t n = seen->places.len / sizeof(*place);
	if (n >= UINT32_MAX - 1)
		return -ENOMEM;
	if (n >= seen->n_slots / 2 && grow(seen) < 0)
		return -ENOMEM;
	if (shale_buf_append(&seen->places, place, sizeof(*place)) < 0)
		return -ENOMEM;

	size_t slot = first_slot(&place->hash, seen->n_slots);
	while (seen->slots[slot])
		slot = (slot + 1) & (seen->n_slots - 1);
	seen->slots[slot] = (uint32_t)n + 1;
	return 0;
}
