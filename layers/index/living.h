/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_INDEX_LIVING_H
#define SHALE_INDEX_LIVING_H

/*
 * The inodes that stand in an image while its index is made or verified, and
 * what the names say of them: parents, link counts, sizes of directories.  32
 * bytes an inode and 24 a further name of a hard-linked file.  One thread.
 */

#include "layers/base/buf.h"
#include "layers/base/err.h"
#include "layers/index/index_disk.h"

#include <stdbool.h>
#include <stdint.h>

struct shale_living_inode {
	uint64_t ino : 40;
	uint64_t type : 4;  /* S_IFMT >> 12 */
	uint64_t reach : 2; /* of directories, see shale_living_check() */
	uint64_t parent;    /* position of the directory of its first name */
	uint64_t entry;     /* entry number of its first name */
	uint32_t names;     /* directories: entries in it; others: its names */
	uint32_t subdirs;   /* directories in it */
};
static_assert(sizeof(struct shale_living_inode) == 32, "memory an inode");

#define SHALE_LIVING_NONE UINT64_MAX /* no parent yet */

struct shale_living {
	struct shale_living_inode *inodes; /* by ino */
	uint64_t n;
	struct shale_buf buf;   /* holds `inodes` */
	struct shale_buf links; /* struct shale_disk_index_link, by entry until
				 * shale_living_check() sorts by ino */
	uint64_t hint;
};

#define cleanup_living __attribute__((cleanup(shale_living_release)))

void shale_living_release(struct shale_living *set);

/* Add an inode; numbers ascend, the root comes first.  -EUCLEAN, -ENOMEM. */
int shale_living_add(struct shale_living *set, uint64_t ino, uint32_t mode,
		     struct shale_err *err);

/* Position of an inode, or false. */
bool shale_living_find(struct shale_living *set, uint64_t ino, uint64_t *pos);

/*
 * Directory `dir` names inode `child` (positions) in entry number `entry`.
 * -EUCLEAN: no directory, a directory with a second name, the root.
 */
int shale_living_name(struct shale_living *set, uint64_t dir, uint64_t child,
		      uint64_t entry, struct shale_err *err);

/*
 * After the last name: everything has one, and every directory is below the
 * root.  Sorts the links.  -EUCLEAN names the inode that is not.
 */
int shale_living_check(struct shale_living *set, struct shale_err *err);

#endif
