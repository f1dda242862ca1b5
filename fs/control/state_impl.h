/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_CONTROL_STATE_IMPL_H
#define SHALE_CONTROL_STATE_IMPL_H

/*
 * Private to state.c (state directories) and left.c (those that nobody serves).
 */

#include <stdbool.h>

/* "mounts/<id>", or a file in it. */
struct shale_state_path {
	char s[64];
};
struct shale_state_path shale_state_path(const char *id, const char *file);

bool shale_state_id_is_good(const char *id);

/*
 * Take the lock of a state directory, `how` as flock(2).  -EWOULDBLOCK:
 * somebody has it; -ENOENT.  With LOCK_EX nobody counts as serving any more.
 */
int shale_state_lock(int store_dirfd, const char *id, int how, int *out);

/* Call `fn` for each name in mounts/ until it returns true. */
void shale_state_each(int store_dirfd,
		      bool (*fn)(void *arg, int store_dirfd, const char *id),
		      void *arg);

#endif
