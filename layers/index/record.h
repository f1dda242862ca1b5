/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_INDEX_RECORD_H
#define SHALE_INDEX_RECORD_H

/*
 * Raw records of an open index, for the files of this room that decode them.
 */

#include "layers/index/index.h"
#include "layers/index/index_disk.h"

struct shale_index {
	struct shale_table *table;
	uint64_t inodes, entries, links; /* records */
	uint32_t trees;
};

/* -EUCLEAN, saying what is wrong with an inode. */
int shale_index_damaged(const struct shale_index *ix, uint64_t ino,
			const char *what, struct shale_err *err);

/* The i-th inode record. */
int shale_index_get_inode(const struct shale_index *ix, uint64_t i,
			  const struct shale_disk_index_inode **out,
			  struct shale_err *err);

/* The record of inode `ino`, and its position in `*pos` (may be NULL);
 * -ENOENT. */
int shale_index_find_inode(const struct shale_index *ix, uint64_t ino,
			   uint64_t *pos,
			   const struct shale_disk_index_inode **out,
			   struct shale_err *err);

#endif
