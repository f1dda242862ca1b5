/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/workspace/map64.h"

#include <errno.h>
#include <stdlib.h>

void shale_map64_release(struct shale_map64 *map)
{
	free(map->at);
	*map = (struct shale_map64){0};
}

static size_t home(const struct shale_map64 *map, uint64_t key)
{
	uint64_t mixed = key * 0x9e3779b97f4a7c15u;
	return (size_t)(mixed ^ mixed >> 32) & (map->cap - 1);
}

/* Where the key is, or the free place where it would be. */
static size_t place(const struct shale_map64 *map, uint64_t key)
{
	size_t i = home(map, key);
	while (map->at[i].key && map->at[i].key != key)
		i = (i + 1) & (map->cap - 1);
	return i;
}

uint64_t shale_map64_get(const struct shale_map64 *map, uint64_t key)
{
	return map->cap ? map->at[place(map, key)].value : 0;
}

int shale_map64_reserve(struct shale_map64 *map)
{
	if (map->cap && map->n + 1 <= map->cap / 2)
		return 0;
	struct shale_map64 bigger = {.cap = map->cap ? 2 * map->cap : 64,
				     .n = map->n};
	bigger.at = calloc(bigger.cap, sizeof(*bigger.at));
	if (!bigger.at)
		return -ENOMEM;
	for (size_t i = 0; i < map->cap; i++)
		if (map->at[i].key)
			bigger.at[place(&bigger, map->at[i].key)] = map->at[i];
	free(map->at);
	*map = bigger;
	return 0;
}

/* Close the gap at `i`: move back what probing would no longer reach. */
static void take_out(struct shale_map64 *map, size_t i)
{
	size_t mask = map->cap - 1;

	for (size_t k = (i + 1) & mask; map->at[k].key; k = (k + 1) & mask) {
		size_t from_home = (k - home(map, map->at[k].key)) & mask;
		if (from_home >= ((k - i) & mask)) {
			map->at[i] = map->at[k];
			i = k;
		}
	}
	map->at[i] = (struct shale_pair64){0, 0};
	map->n--;
}

void shale_map64_set(struct shale_map64 *map, uint64_t key, uint64_t value)
{
	if (!map->cap)
		return;
	size_t i = place(map, key);
	if (!map->at[i].key) {
		if (!value)
			return;
		map->at[i].key = key;
		map->n++;
	}
	if (value)
		map->at[i].value = value;
	else
		take_out(map, i);
}
