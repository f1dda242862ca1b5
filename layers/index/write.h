/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_INDEX_WRITE_H
#define SHALE_INDEX_WRITE_H

/*
 * Writes an index from whatever can list its inodes and names in order.  The
 * lists are run through several times, a section of the file each time, so
 * that nothing but struct shale_living is kept.
 */

#include "layers/index/inode.h"

/* Pointers in what a source tells are good during the call. */
typedef int shale_index_each_inode(void *arg,
				   const struct shale_index_inode *in,
				   struct shale_err *err);
typedef int shale_index_each_name(void *arg, const struct shale_dirent *name,
				  struct shale_err *err);

/*
 * Both calls give each record to `each` and end with its first error.  They
 * give the same every time; pointers in `shale_index_inode.xattrs` stay good
 * from one call to the next.
 */
struct shale_index_source {
	void *ctx;
	/* Every inode that stands, by number.  Without `contents`, content may
	 * be left out. */
	int (*inodes)(void *ctx, bool contents, shale_index_each_inode *each,
		      void *arg, struct shale_err *err);
	/* Names by (dir, name); those in directories that do not stand are
	 * dropped. */
	int (*names)(void *ctx, shale_index_each_name *each, void *arg,
		     struct shale_err *err);
	/* Fill in TREES: struct shale_disk_index_tree. */
	const struct shale_disk_index_tree *trees;
	size_t n_trees;
	uint64_t next_ino;
};

/* Write the index to `fd`.  -EUCLEAN: the records do not make a tree. */
int shale_index_write(int fd, const struct shale_index_source *source,
		      struct shale_err *err);

#endif
