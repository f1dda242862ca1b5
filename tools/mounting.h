/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_TOOLS_MOUNTING_H
#define SHALE_TOOLS_MOUNTING_H

/*
 * What `mount` and `browse` share: the mountpoint, the mount(2) itself (as
 * root) or by way of fusermount3 (as a user), and the start of shalefs behind
 * it.
 */

#include "fs/control/control.h"
#include "tools/cmd.h"
#include "tools/mounting_options.h"

/*
 * Check a mountpoint: a directory, not a Shale mount already; one that is not
 * empty is warned of.  Its absolute path is the caller's.
 */
int shale_mounting_point(struct shale_ctx *ctx, const char *dir, char **out);

/*
 * Mount at info->mountpoint and start the daemon.  Returns when the mount
 * answers, or in the foreground when it has been unmounted.  After an error
 * nothing is mounted and the state is gone.  -EEXIST: somebody mounted there
 * at the same time.
 */
int shale_mounting_start(struct shale_ctx *ctx, struct shale_store *store,
			 struct shale_mount_info *info,
			 const struct shale_mounting *how);

/* Undo a mount: umount2(2), or fusermount3 for those who may not.  `lazy` lets
 * those inside finish.  -EINVAL: nothing is mounted there. */
int shale_mounting_undo(const char *dir, bool lazy, struct shale_err *err);
/* End the requests of a mount that nobody answers, where we may: ECONNABORTED
 * to those who wait for them.  True: that has unmounted it, too. */
bool shale_mounting_abort(const char *dir);

#endif
