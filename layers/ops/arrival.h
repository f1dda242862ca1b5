/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_OPS_ARRIVAL_H
#define SHALE_OPS_ARRIVAL_H

/*
 * What a source says of one name: a directory walked, or an archive read.
 */

#include "layers/blob/tree.h"

struct shale_arrival {
	const char *path; /* as shale_arrival_clean_path() leaves it */
	size_t path_len;
	struct shale_attr attr; /* ino and nlink say nothing */
	const char *target;     /* symlinks: attr.size bytes */
	const void *xattrs;     /* encoded and sorted */
	uint32_t xattr_len;
	const char
		*link; /* a further name of the inode at this path, or NULL */
	size_t link_len;
};

/*
 * Bring a path from outside into the form that the rest relies on, in place:
 * relative, "" for the root, names of 1 to 255 bytes with one '/' between them.
 * Leading slashes, "." and a trailing slash go.  Sets `*len`.
 *
 * -EINVAL: it has a ".." or a name that is too long; the message names it.
 */
int shale_arrival_clean_path(char *path, size_t *len, struct shale_err *err);

#endif
