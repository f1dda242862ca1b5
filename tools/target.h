/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_TOOLS_TARGET_H
#define SHALE_TOOLS_TARGET_H

/*
 * What `DIR|NAME` on the command line means: an argument with a slash, or one
 * that is a mountpoint, is the directory of a mount; else it is the name of a
 * workspace, mounted or not.
 */

#include "tools/cmd.h"

struct shale_target {
	struct shale_store *store;
	char *workspace;  /* NULL: a mount without one (read-only, history) */
	char *mountpoint; /* NULL: not mounted */
	char id[17];      /* of the mount; "" when not mounted */
};

/* Release also after an error.  -ENOKEY: neither a mount nor a workspace. */
int shale_target_find(struct shale_ctx *ctx, const char *arg,
		      struct shale_target *out);
void shale_target_release(struct shale_target *target);

#endif
