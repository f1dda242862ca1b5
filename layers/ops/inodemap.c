/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/inodemap.h"

#include "layers/base/cleanup.h"

void shale_inodemap_release(struct shale_inodemap *map)
{
	free(map->slot);
	*map = (struct shale_inodemap){0};
}

static struct shale_inodemap_slot *place(const struct shale_inodemap *map,
					 uint64_t dev, uint64_t ino)
{
	uint64_t h = (ino ^ dev << 32) * UINT64_C(0x9e3779b97f4a7c15);
	size_t at = (size_t)(h >> 20) & (map->slots - 1);
	while (map->slot[at].inode &&
	       (map->slot[at].dev != dev || map->slot[at].ino != ino))
		at = (at + 1) & (map->slots - 1);
	return &map->slot[at];
}

static int grow(struct shale_inodemap *map, struct shale_err *err)
{
	struct shale_inodemap wider = {
		.n = map->n,
		.slots = map->slots ? map->slots * 2 : 256,
	};
	wider.slot = calloc(wider.slots, sizeof(*wider.slot));
	if (!wider.slot)
		return shale_err_set(err, ENOMEM, "a table of inodes");
	for (size_t i = 0; i < map->slots; i++) {
		const struct shale_inodemap_slot *l = &map->slot[i];
		if (l->inode)
			*place(&wider, l->dev, l->ino) = *l;
	}
	free(map->slot);
	*map = wider;
	return 0;
}

int shale_inodemap_find(struct shale_inodemap *map, uint64_t dev, uint64_t ino,
			struct shale_inodemap_slot **out, struct shale_err *err)
{
	int r = 0;
	if ((map->n + 1) * 2 > map->slots)
		r = grow(map, err);
	if (r < 0)
		return r;
	struct shale_inodemap_slot *l = place(map, dev, ino);
	if (!l->inode) {
		l->dev = dev;
		l->ino = ino;
		map->n++;
	}
	*out = l;
	return 0;
}

uint32_t shale_inodemap_get(const struct shale_inodemap *map, uint64_t dev,
			    uint64_t ino)
{
	return map->slots ? place(map, dev, ino)->inode : 0;
}
