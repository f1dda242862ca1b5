/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_TOOLS_MOUNT_RECOVER_H
#define SHALE_TOOLS_MOUNT_RECOVER_H

#include "tools/cmd.h"

/*
 * `shale mount --recover [DIR…]`: what was mounted when the machine stopped, or
 * when holder and daemon were killed, is mounted again, at these directories or
 * everywhere, as it was (fs/control/left.h).  One process of a store does so at
 * a time; who comes second waits, and then has nothing to do.  `dry_run`: only
 * say what would be.  Returns an exit code: SHALE_EXIT_PARTLY if some failed.
 */
int shale_mount_recover(struct shale_ctx *ctx, char **dirs, int n,
			bool dry_run);

#endif
