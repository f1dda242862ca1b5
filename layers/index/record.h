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
	struct shale_index *base; /* of a patch: what it changes; owned */
	uint64_t inodes, entries; /* of the merged tree */
	uint64_t positions;       /* numbers of entries are below */
	uint64_t records, links;  /* of INODES and LINKS in this file */
	uint32_t trees;
};

/* The record of an inode, and the file in which it stands: its offsets into
 * STRINGS and XATTRS mean that one's. */
struct shale_index_record {
	const struct shale_index *in;
	const struct shale_disk_index_inode *disk;
};

/* -EUCLEAN, saying what is wrong with an inode. */
int shale_index_damaged(const struct shale_index *ix, uint64_t ino,
			const char *what, struct shale_err *err);

/* shale_table_intact() of what the index is made of. */
int shale_index_intact(const struct shale_index *ix, struct shale_err *err);

/* The record of the i-th tree, which is not below its image's lowest. */
int shale_index_get_tree(const struct shale_index *ix, uint32_t i,
			 const struct shale_disk_index_tree **out,
			 struct shale_err *err);

/* The record of the i-th inode. */
int shale_index_get_inode(const struct shale_index *ix, uint64_t i,
			  struct shale_index_record *out,
			  struct shale_err *err);

/* The record of inode `ino`, and which inode it is in `*pos` (may be NULL);
 * -ENOENT. */
int shale_index_find_inode(const struct shale_index *ix, uint64_t ino,
			   uint64_t *pos, struct shale_index_record *out,
			   struct shale_err *err);

/*
 * Look for an inode among the records of this file alone, be it whole or a
 * patch.  Returns 1, or 0 if there is none; `*at` is its place, or where it
 * would stand.
 */
int shale_index_search(const struct shale_index *ix, uint64_t ino, uint64_t *at,
		       const struct shale_disk_index_inode **out,
		       struct shale_err *err);

/* The same of a patch and its base together: layers/index/patch.c. */
int shale_patch_find(const struct shale_index *ix, uint64_t ino, uint64_t *pos,
		     struct shale_index_record *out, struct shale_err *err);
int shale_patch_nth(const struct shale_index *ix, uint64_t i,
		    struct shale_index_record *out, struct shale_err *err);

/* In which file entry `pos` stands, and its number there. */
int shale_patch_entry(const struct shale_index *ix, uint64_t pos,
		      const struct shale_index **in, uint64_t *at,
		      struct shale_err *err);

#endif
