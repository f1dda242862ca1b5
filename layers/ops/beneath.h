/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_OPS_BENEATH_H
#define SHALE_OPS_BENEATH_H

/*
 * Opening paths below a directory without ever leaving it: no symlink is
 * followed on the way, whoever may be renaming things there meanwhile.
 */

#include <sys/types.h>

/*
 * Open `path` (relative, without "..", of any length; "": the directory itself)
 * below `root`.  `flags` and `mode` as for openat; O_CLOEXEC and O_NOFOLLOW
 * are added.  Returns a descriptor or -errno; -ELOOP: a symlink is in the way.
 */
int shale_beneath_open(int root, const char *path, int flags, mode_t mode);

/*
 * A path for calls that know no descriptors (xattrs, chmod of O_PATH): to
 * `name` in `dirfd`, or with `name` NULL to what `dirfd` itself is.  `out` has
 * SHALE_BENEATH_PROC bytes.
 */
#define SHALE_BENEATH_PROC 320
void shale_beneath_proc(int dirfd, const char *name, char *out);

#endif
