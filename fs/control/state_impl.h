/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_CONTROL_STATE_IMPL_H
#define SHALE_CONTROL_STATE_IMPL_H

/*
 * Private to state.c (state directories) and left.c (those that nobody serves).
 */

#include "fs/control/control.h"

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

/* The process that serves a mount: 0: none; 1: it is being started, or somebody
 * looks at what is left of it. */
int shale_state_pid(int store_dirfd, const char *id);

/* One of a state's descriptions, without who serves it.  -EUCLEAN, … */
int shale_state_read(int store_dirfd, const char *id, const char *file,
		     struct shale_mount_info *out, struct shale_err *err);

/* Call `fn` for each name in mounts/ until it returns true. */
void shale_state_each(int store_dirfd,
		      bool (*fn)(void *arg, int store_dirfd, const char *id),
		      void *arg);

#endif
