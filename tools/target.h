/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_TOOLS_TARGET_H
#define SHALE_TOOLS_TARGET_H

/*
 * What `DIR|NAME` on the command line means: an argument with a slash, or one
 * that is a mountpoint, is the directory of a mount, or of one that was: then
 * the workspace named after it is meant.  Else it is the name of a workspace,
 * mounted or not.
 */

#include "fs/control/control.h"
#include "tools/cmd.h"

struct shale_target {
	struct shale_store *store;
	char *workspace; /* NULL: a mount without one (read-only, history) */
	bool mounted;
	struct shale_mount_info info; /* if mounted */
};

/* Each: release also after an error. */

/* -ENOKEY: neither a mount nor a workspace. */
int shale_target_find(struct shale_ctx *ctx, const char *arg,
		      struct shale_target *out);
/*
 * The mount at `dir`.  -ENOENT: none of Shale's.  With `mounted` set, after any
 * other error, there is one, but its store or state cannot be read.
 */
int shale_target_at(struct shale_ctx *ctx, const char *dir,
		    struct shale_target *out);
void shale_target_release(struct shale_target *target);

/*
 * A mount may come or go between being found and being asked.  Is that what
 * `r` means, of finding or asking it?  Then `target` is released, a moment has
 * passed, and it is worth finding again; `*tries`, 0 at first, limits how often.
 */
bool shale_target_again(struct shale_ctx *ctx, struct shale_target *target,
			int r, unsigned *tries);

/* Say that the daemon of a mount has died, and what to do: -ENOTCONN. */
int shale_target_dead(struct shale_ctx *ctx, const struct shale_target *target);

/*
 * Ask the daemon of a mount; `reply` as shale_control_call().  -ENOENT,
 * -ECONNREFUSED: it has died.
 */
int shale_target_ask(struct shale_ctx *ctx, const struct shale_target *target,
		     const char *what, json_t **reply);

#endif
