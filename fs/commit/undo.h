/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_COMMIT_UNDO_H
#define SHALE_COMMIT_UNDO_H

/*
 * Back to the last committed image: a workspace that a daemon has mounted,
 * which does it, or one that rests, which this process opens.
 */

#include "layers/store/version.h"

/*
 * Discard what is at and below `paths` ("/a/b"), all with n == 0, as
 * shale_live_discard() does.  `*inodes` is how many were reset or went.
 * `mount`: id of the mount that has it open, at `mountpoint`, or NULL.
 * -EBUSY: a commit is running, or somebody else has it open.
 */
int shale_undo(struct shale_store *store, const char *workspace,
	       const char *mount, const char *mountpoint,
	       const char *const *paths, size_t n, uint64_t *inodes,
	       struct shale_err *err);

#endif
