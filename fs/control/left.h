/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_CONTROL_LEFT_H
#define SHALE_CONTROL_LEFT_H

/*
 * Mounts that are to be mounted again.  A mount ends by umount, and then its
 * state goes.  What ends otherwise (the machine stopped; holder and daemon were
 * killed; a signal told them to end, as at a shutdown) leaves its state, from
 * which `shale mount --recover` mounts it again.
 *
 * A mount is *settled* once its state has again.json: info.json as it was when
 * the daemon began to serve.  Ephemeral mounts, and those in the
 * foreground, never are: who watches over them starts them again.  A state
 * whose lock is free stays while all of this holds:
 *
 *     it is settled
 *     no mount that is served has its mountpoint, or its workspace
 *     it is of another boot;
 *       or still mounted, with nobody behind it;
 *       or marked: unmounted, but to be mounted again
 */

#include "fs/control/served.h"

/* The id of this boot.  `out` has 40 bytes. */
int shale_left_boot(char *out, struct shale_err *err);

/* The mount is about to be served: note what is mounted; and have that on disk,
 * which may take a while. */
int shale_left_settle(int store_dirfd, const char *id, struct shale_err *err);
int shale_left_flush(int store_dirfd, const char *id, struct shale_err *err);
bool shale_left_is_settled(int store_dirfd, const char *id);

/* Though it is about to be unmounted, it is to be mounted again; or not. */
int shale_left_mark(int store_dirfd, const char *id, struct shale_err *err);
void shale_left_unmark(int store_dirfd, const char *id);

/* A daemon has ended: its state goes, or what only a daemon needs. */
void shale_left_end(int store_dirfd, const char *id);

/* Is this state, whose lock the caller has, to be mounted again? */
bool shale_left_stays(const struct shale_served *served, int store_dirfd,
		      const char *id);

/* A state that is to be mounted again. */
struct shale_left {
	struct shale_mount_info info;
	bool mounted; /* of this boot, and still there */
};

/*
 * All of them, those on top of others' directories last.  With `mark`, those
 * that are still mounted are marked, so that who is killed while he mounts them
 * again loses none.
 */
int shale_left_list(int store_dirfd, bool mark, struct shale_left **out,
		    size_t *n, struct shale_err *err);
void shale_left_free(struct shale_left *left, size_t n);

/* Nobody wants to have mounted again what was there; how many were. */
size_t shale_left_forget(int store_dirfd, const char *mountpoint);
/* The workspace is gone. */
size_t shale_left_forget_workspace(int store_dirfd, const char *workspace);

#endif
