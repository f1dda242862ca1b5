/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_OPS_INODEMAP_H
#define SHALE_OPS_INODEMAP_H

/*
 * Inodes of a plan by a number from elsewhere: (device, inode number) of a
 * host's file with several names, or (0, inode number) of the parent image.
 * Zero initialised is empty.
 */

#include "layers/base/err.h"

#include <stddef.h>
#include <stdint.h>

struct shale_inodemap_slot {
	uint64_t dev, ino;
	uint32_t inode; /* of the plan, plus 1; 0: a free slot */
};

struct shale_inodemap {
	struct shale_inodemap_slot *slot;
	size_t n, slots;
};

void shale_inodemap_release(struct shale_inodemap *map);

/*
 * The place for (dev, ino), made if it is not there: `(*out)->inode` is 0 then.
 * Good until the next call.
 */
int shale_inodemap_find(struct shale_inodemap *map, uint64_t dev, uint64_t ino,
			struct shale_inodemap_slot **out,
			struct shale_err *err);

/* The inode of the plan, plus 1; 0: none. */
uint32_t shale_inodemap_get(const struct shale_inodemap *map, uint64_t dev,
			    uint64_t ino);

#endif
