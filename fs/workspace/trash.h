/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_WORKSPACE_TRASH_H
#define SHALE_WORKSPACE_TRASH_H

/*
 * Where data files go that nothing needs any more: `gone/` beside them.  Giving
 * the blocks of a large file back to the host takes as long as its disk likes
 * (seconds, where freed blocks are discarded), so nobody waits for that: a file
 * is renamed, and a thread of its own frees it a piece at a time, with pauses
 * as long as the pieces took.  What is left when a process dies is freed by the
 * next one.  Thread-safe.
 */

#include "layers/base/err.h"

#include <stdbool.h>

struct shale_trash;

/* `dirfd`: that of data files, which stays the caller's. */
int shale_trash_new(struct shale_trash **out, int dirfd, struct shale_err *err);
/* Waits until all is freed.  NULL is fine. */
void shale_trash_free(struct shale_trash *trash);

/* `name` below `dirfd` is gone when this returns.  -ENOENT, -errno. */
int shale_trash_put(struct shale_trash *trash, const char *name);

/* Free what an earlier process left. */
void shale_trash_resume(struct shale_trash *trash);

/* Make haste, and return when all that was put before is freed.  False: it was
 * before. */
bool shale_trash_wait(struct shale_trash *trash);

#endif
