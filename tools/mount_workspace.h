/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_TOOLS_MOUNT_WORKSPACE_H
#define SHALE_TOOLS_MOUNT_WORKSPACE_H

/*
 * The workspace of a writable mount: its name, whether it is free, and making
 * it.
 */

#include "tools/cmd.h"

/*
 * `given`, or named after the directory; an ephemeral one gets a random end.
 * Allocated.
 */
int shale_mount_workspace_name(struct shale_ctx *ctx, const char *given,
			       const char *dir, bool ephemeral, char **out);

/*
 * Nobody may have it mounted: -EBUSY names the mount.  A daemon whose mount has
 * gone is given a moment to end.
 */
int shale_mount_workspace_free(struct shale_ctx *ctx, struct shale_store *store,
			       const char *name);

/*
 * Make it on the `n` images unless it is there; n == 0: it must be.  `*made`:
 * it was not, so it goes again if the mount fails.
 */
int shale_mount_workspace_need(struct shale_ctx *ctx, struct shale_store *store,
			       const char *name, struct shale_version *const *v,
			       size_t n, char **refs, bool ephemeral,
			       bool *made);

#endif
