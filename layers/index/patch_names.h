/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_INDEX_PATCH_NAMES_H
#define SHALE_INDEX_PATCH_NAMES_H

/* The names of one inode while a patch is written. */

#include "layers/index/patch_delta.h"

struct shale_patch_link {
	uint64_t dir, pos; /* directory, and the number of the entry */
	const char *name;
	uint16_t len;
};

/*
 * All names that an inode has above the base and its changes, by (directory,
 * name), in `out` (struct shale_patch_link; emptied first).  A name that stays
 * is known by its number in the base.
 */
int shale_patch_links(const struct shale_patch_delta *d, uint64_t ino,
		      struct shale_buf *out, struct shale_err *err);

#endif
