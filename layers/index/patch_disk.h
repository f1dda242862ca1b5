/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_INDEX_PATCH_DISK_H
#define SHALE_INDEX_PATCH_DISK_H

/*
 * Records of a patch, transcribed from docs/format.md 10.3: a table file of
 * kind "SHALEIDP", version 1.  Its first sections are those of an index, with
 * what differs from the base; the rest say how the two fit together.
 */

#include "layers/index/index_disk.h"

enum shale_patch_section {
	SHALE_PATCH_PLACES = SHALE_INDEX_NSECTIONS, /* one an inode record */
	SHALE_PATCH_RUNS,                           /* by start, without gaps */
	SHALE_PATCH_NSECTIONS,
};

/* Header fields behind those of an index. */
enum shale_patch_field {
	SHALE_PATCH_BASE_TREES = 2, /* the base is of so many of TREES */
	SHALE_PATCH_BASE_INODES = 3,
	SHALE_PATCH_BASE_ENTRIES = 4,
	SHALE_PATCH_INODES = 5,    /* of the merged tree */
	SHALE_PATCH_ENTRIES = 6,   /* of the merged tree */
	SHALE_PATCH_POSITIONS = 7, /* numbers that RUNS gives meaning to */
};

struct shale_disk_patch_place {
	struct le64 before; /* +0x00  inodes of the merged tree before it */
	struct le64 base;   /* +0x08  the base goes on with this inode */
};                          /* +0x10 */
static_assert(sizeof(struct shale_disk_patch_place) == 0x10,
	      "docs/format.md 10.3");

struct shale_disk_patch_run {
	struct le64
		start; /* +0x00  its first number, less the base's entries */
	struct le64 first; /* +0x08  the entry there: one of the base, or, less
			    *        the base's entries, one of the patch */
};                         /* +0x10 */
static_assert(sizeof(struct shale_disk_patch_run) == 0x10,
	      "docs/format.md 10.3");

#endif
