/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_INDEX_PATCH_IMPL_H
#define SHALE_INDEX_PATCH_IMPL_H

/* A patch while it is written: patch_write.c, and patch_inodes.c for the part
 * that is about inodes. */

#include "layers/index/patch_delta.h"
#include "layers/index/patch_disk.h"
#include "layers/index/record.h"

struct shale_patching {
	struct shale_patch_delta delta;
	struct shale_buf section[SHALE_PATCH_NSECTIONS];
	struct shale_buf links;  /* struct shale_patch_link, of one inode */
	uint64_t positions;      /* numbers given to entries */
	int64_t shift;           /* inodes more than the base had, so far */
	int64_t entries;         /* entries more than the base had */
	uint64_t bytes;          /* of regular files */
	const void *last_xattrs; /* the list written last */
	uint32_t last_xattr_len;
	uint64_t last_xattr_off;
};

/* Write down every inode that is touched: its record, names and place.  Entries
 * have been laid out. */
int shale_patch_inodes(struct shale_patching *p, struct shale_err *err);

#endif
