/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_INDEX_INODE_H
#define SHALE_INDEX_INODE_H

/*
 * An inode on its way into an index: what the layers, or another index, say of
 * it, and its record.
 */

#include "layers/index/index.h"
#include "layers/index/index_disk.h"

/* Pointers are good as long as what they come from is open. */
struct shale_index_inode {
	struct shale_attr attr; /* nlink is ignored: names are counted */
	const void *xattrs;
	uint32_t xattr_len;
	const char *target;
	struct shale_index_content content; /* regular files */
};

/* What an index says of an inode; `out` is zeros before.  -ENOENT, -EUCLEAN. */
int shale_index_read_inode(const struct shale_index *ix, uint64_t ino,
			   struct shale_index_inode *out,
			   struct shale_err *err);

/*
 * The record, as far as the inode alone tells it.  0 are: names (parent, entry,
 * nlink), a directory's entries, and places in STRINGS and XATTRS.  Mode 0, an
 * inode that is gone, has no content.
 */
struct shale_disk_index_inode
shale_index_encode_inode(const struct shale_index_inode *in);

#endif
