/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_COMMIT_SESSION_H
#define SHALE_COMMIT_SESSION_H

/*
 * The two ways to a commit: of a workspace that a daemon has mounted, which
 * freezes and is told of the result, and of one that rests, which this process
 * opens itself.
 */

#include "fs/commit/commit.h"

/*
 * Commit the workspace `name` that mount `id` of the store has open at
 * `mountpoint`.  Everything in `commit` but snapshot and files is given.
 * -EBUSY: another commit is under way, for seconds.  -ESTALE: its daemon has
 * gone before anything was done.
 */
int shale_commit_mounted(struct shale_commit *commit, const char *id,
			 const char *mountpoint, const char *name,
			 struct shale_commit_result *out,
			 struct shale_err *err);

/* Have the kernel write back what stores through mappings of a mount's files
 * left dirty; without an answer. */
void shale_commit_write_back(const char *mountpoint);

/* Commit a workspace that is not mounted.  -EBUSY: somebody has it open. */
int shale_commit_resting(struct shale_commit *commit, const char *name,
			 struct shale_commit_result *out,
			 struct shale_err *err);

#endif
