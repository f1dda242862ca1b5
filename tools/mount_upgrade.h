/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_TOOLS_MOUNT_UPGRADE_H
#define SHALE_TOOLS_MOUNT_UPGRADE_H

#include "tools/cmd.h"

/*
 * `shale mount --upgrade DIR`: the daemon of the mount at `dir` ends, and the
 * installed one takes over; applications see a pause.  Returns when that one
 * answers.  -EOPNOTSUPP: this mount cannot be taken over.
 */
int shale_mount_upgrade(struct shale_ctx *ctx, const char *dir);

#endif
