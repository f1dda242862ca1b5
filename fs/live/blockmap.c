/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/live/blockmap.h"

#include "layers/base/cleanup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MAP_PREFIX = 1 + 8 + 4 }; /* of a key: all regions of one file */

struct shale_region {
	uint32_t epoch;
	uint64_t index;
	bool stored, dirty;
	uint8_t bits[SHALE_REGION_BYTES];
};

void shale_blockmap_init(struct shale_blockmap *map, struct shale_db *db,
			 uint64_t ino)
{
	*map = (struct shale_blockmap){.db = db, .ino = ino};
}

void shale_blockmap_release(struct shale_blockmap *map)
{
	for (size_t i = 0; i < map->n; i++)
		free(map->regions[i]);
	free(map->regions);
	*map = (struct shale_blockmap){0};
}

static bool is_empty(const struct shale_region *region)
{
	static const uint8_t none[SHALE_REGION_BYTES];

	return memcmp(region->bits, none, sizeof(none)) == 0;
}

static bool bit(const struct shale_region *region, unsigned i)
{
	return region->bits[i / 8] >> (i % 8) & 1;
}

/* Place of the first region that is not before (epoch, index). */
static size_t place_of(const struct shale_blockmap *map, uint32_t epoch,
		       uint64_t index)
{
	size_t lo = 0, hi = map->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct shale_region *at = map->regions[mid];
		if (at->epoch < epoch ||
		    (at->epoch == epoch && at->index < index))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static int add(struct shale_blockmap *map, size_t place,
	       struct shale_region *region)
{
	if (map->n == map->cap) {
		size_t cap = map->cap ? map->cap * 2 : 8;
		void *more = realloc(map->regions, cap * sizeof(*map->regions));
		if (!more)
			return -ENOMEM;
		map->regions = more;
		map->cap = cap;
	}
	memmove(map->regions + place + 1, map->regions + place,
		(map->n - place) * sizeof(*map->regions));
	map->regions[place] = region;
	map->n++;
	return 0;
}

static int get(struct shale_blockmap *map, uint32_t epoch, uint64_t index,
	       struct shale_region **out)
{
	cleanup_buf struct shale_buf value = {0};
	size_t place = place_of(map, epoch, index);

	if (place < map->n && map->regions[place]->epoch == epoch &&
	    map->regions[place]->index == index) {
		*out = map->regions[place];
		return 0;
	}
	struct shale_key key = shale_key_map(map->ino, epoch, index);
	int r = shale_db_get(map->db, key.b, key.len, &value, NULL);
	if (r < 0 && r != -ENOENT)
		return r;
	if (r == 0 && value.len != SHALE_REGION_BYTES)
		return -EUCLEAN;
	cleanup_free struct shale_region *region = malloc(sizeof(*region));
	if (!region)
		return -ENOMEM;
	*region = (struct shale_region){
		.epoch = epoch,
		.index = index,
		.stored = r == 0,
	};
	if (region->stored)
		memcpy(region->bits, value.data, SHALE_REGION_BYTES);
	r = add(map, place, region);
	if (r == 0)
		*out = steal_ptr(&region);
	return r;
}

/* The first stored region of the file at or after `index`; -ENOENT. */
static int next_stored(struct shale_blockmap *map, uint32_t epoch,
		       uint64_t index, uint64_t *found)
{
	cleanup_buf struct shale_buf key = {0};
	struct shale_key from = shale_key_map(map->ino, epoch, index);
	uint64_t ino;
	uint32_t of;

	int r = shale_db_next(map->db, from.b, from.len, MAP_PREFIX, &key, NULL,
			      NULL);
	return r < 0 ? r : shale_key_map_parts(&key, &ino, &of, found);
}

/* The first region at or after `index` that has any block; -ENOENT. */
static int next_region(struct shale_blockmap *map, uint32_t epoch,
		       uint64_t index, struct shale_region **out)
{
	for (;;) {
		uint64_t found = UINT64_MAX;
		size_t place = place_of(map, epoch, index);

		while (place < map->n && map->regions[place]->epoch == epoch &&
		       is_empty(map->regions[place]))
			place++;
		if (place < map->n && map->regions[place]->epoch == epoch)
			found = map->regions[place]->index;
		uint64_t stored;
		int r = next_stored(map, epoch, index, &stored);
		if (r < 0 && r != -ENOENT)
			return r;
		if (r == 0 && stored < found)
			found = stored;
		if (found == UINT64_MAX)
			return -ENOENT;
		r = get(map, epoch, found, out);
		if (r < 0 || !is_empty(*out))
			return r;
		index = found + 1; /* emptied since it was stored */
	}
}

/* How many bits from `at` on, up to `max`, are `want`. */
static uint64_t same(const struct shale_region *region, unsigned at,
		     uint64_t max, bool want)
{
	uint64_t n = 0;

	for (; at < SHALE_REGION_BLOCKS && n < max && bit(region, at) == want;
	     at++)
		n++;
	return n;
}

int shale_blockmap_run(struct shale_blockmap *map, uint32_t epoch,
		       uint64_t block, uint64_t max, bool *present, uint64_t *n)
{
	struct shale_region *region;
	unsigned at = block % SHALE_REGION_BLOCKS;

	int r = get(map, epoch, block / SHALE_REGION_BLOCKS, &region);
	if (r < 0)
		return r;
	bool want = bit(region, at);
	uint64_t done = 0;
	for (; done < max; at = 0) {
		uint64_t some = same(region, at, max - done, want);
		done += some;
		if (at + some < SHALE_REGION_BLOCKS || done >= max)
			break;
		uint64_t next = (block + done) / SHALE_REGION_BLOCKS;
		r = want ? get(map, epoch, next, &region)
			 : next_region(map, epoch, next, &region);
		if (r < 0 && r != -ENOENT)
			return r;
		done = r == -ENOENT
			       ? max
			       : region->index * SHALE_REGION_BLOCKS - block;
	}
	*present = want;
	*n = done < max ? done : max;
	return 0;
}

/* The part of [first, end) that lies in a region, as bit numbers. */
static void clip(const struct shale_region *region, uint64_t first,
		 uint64_t end, unsigned *from, unsigned *to)
{
	uint64_t start = region->index * SHALE_REGION_BLOCKS;

	*from = first > start ? (unsigned)(first - start) : 0;
	*to = end - start < SHALE_REGION_BLOCKS ? (unsigned)(end - start)
						: SHALE_REGION_BLOCKS;
}

int shale_blockmap_count(struct shale_blockmap *map, uint32_t epoch,
			 uint64_t first, uint64_t end, uint64_t *n)
{
	*n = 0;
	while (first < end) {
		bool present;
		uint64_t run;
		int r = shale_blockmap_run(map, epoch, first, end - first,
					   &present, &run);
		if (r < 0)
			return r;
		if (present)
			*n += run;
		first += run;
	}
	return 0;
}

int shale_blockmap_set(struct shale_blockmap *map, uint32_t epoch,
		       uint64_t first, uint64_t end, uint64_t *changed)
{
	*changed = 0;
	for (uint64_t i = first / SHALE_REGION_BLOCKS;
	     i * SHALE_REGION_BLOCKS < end; i++) {
		struct shale_region *region;
		unsigned from, to;

		int r = get(map, epoch, i, &region);
		if (r < 0)
			return r;
		clip(region, first, end, &from, &to);
		for (unsigned b = from; b < to; b++) {
			if (bit(region, b))
				continue;
			region->bits[b / 8] |= (uint8_t)(1 << b % 8);
			region->dirty = true;
			++*changed;
		}
	}
	return 0;
}

int shale_blockmap_clear(struct shale_blockmap *map, uint32_t epoch,
			 uint64_t first, uint64_t end, uint64_t *changed)
{
	uint64_t index = first / SHALE_REGION_BLOCKS;

	*changed = 0;
	for (;;) {
		struct shale_region *region;
		unsigned from, to;

		int r = next_region(map, epoch, index, &region);
		if (r == -ENOENT ||
		    (r == 0 && region->index >= (end + SHALE_REGION_BLOCKS -
						 1) / SHALE_REGION_BLOCKS))
			return 0;
		if (r < 0)
			return r;
		clip(region, first, end, &from, &to);
		for (unsigned b = from; b < to; b++) {
			if (!bit(region, b))
				continue;
			region->bits[b / 8] &= (uint8_t) ~(1 << b % 8);
			region->dirty = true;
			++*changed;
		}
		index = region->index + 1;
	}
}

bool shale_blockmap_store(struct shale_blockmap *map, struct shale_change *ch)
{
	bool any = false;

	for (size_t i = 0; i < map->n; i++) {
		struct shale_region *region = map->regions[i];
		struct shale_key key =
			shale_key_map(map->ino, region->epoch, region->index);
		if (!region->dirty)
			continue;
		if (!is_empty(region))
			shale_change_put(ch, &key, region->bits,
					 SHALE_REGION_BYTES);
		else if (region->stored)
			shale_change_del(ch, &key);
		any = true;
	}
	return any;
}
