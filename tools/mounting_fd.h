/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_TOOLS_MOUNTING_FD_H
#define SHALE_TOOLS_MOUNTING_FD_H

/*
 * The kernel's side of a mount: a descriptor of /dev/fuse, connected.
 */

#include "tools/mounting.h"

/*
 * Mount at `dir` with that source, by mount(2), or fusermount3 where that is
 * not allowed.  `*fuse` is the caller's.
 */
int shale_mounting_fd(const char *dir, const char *source,
		      const struct shale_mounting *how, int *fuse,
		      struct shale_err *err);

#endif
