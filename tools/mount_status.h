/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_TOOLS_MOUNT_STATUS_H
#define SHALE_TOOLS_MOUNT_STATUS_H

/*
 * How a mount is doing, as its daemon tells it.
 */

#include "tools/target.h"

#include <jansson.h>

/* Print what "status" was answered. */
void shale_mount_status_print(const struct shale_ctx *ctx,
			      const struct shale_target *target, json_t *reply);

/*
 * Print a line for each request that is answered from now on, until
 * interrupted, or the mount goes.  A daemon that follows is traced in turn.
 */
int shale_mount_trace(struct shale_ctx *ctx, const struct shale_target *target);

#endif
