/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_BLOB_BLOBS_IMPL_H
#define SHALE_BLOB_BLOBS_IMPL_H

/* The inside of struct shale_blobs. */

#include "layers/blob/blobs.h"
#include "layers/blob/fds.h"

#include <stdatomic.h>

struct shale_blobs {
	int dir; /* blobs/sha256 */
	int tmp; /* tmp */
	struct shale_fds *fds;
	struct shale_fds *direct; /* opened with O_DIRECT */
	atomic_uint next_tmp;
	atomic_bool scatter;
	atomic_bool no_direct; /* not wanted, or not to be had */
};

/*
 * A descriptor out of `fds`, which has those opened with `flags`; to be given
 * back with shale_blobs_give().  Returns 0 or -errno.
 */
struct shale_blobs_fd {
	struct shale_fds *fds;
	struct shale_fd *held; /* NULL: the cache had no room for it */
	int fd;
};
int shale_blobs_take(struct shale_blobs *blobs, struct shale_fds *fds,
		     int flags, const struct shale_digest *digest,
		     struct shale_blobs_fd *out, struct shale_err *err);
void shale_blobs_give(struct shale_blobs_fd *taken);

/*
 * Lock the directory of blobs (flock's LOCK_SH: to put blobs there, LOCK_EX: to
 * take some away); closing `*fd` ends it.  Held for moments only.
 */
int shale_blobs_lock(struct shale_blobs *blobs, int how, int *fd,
		     struct shale_err *err);

#endif
