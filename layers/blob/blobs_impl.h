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
	atomic_uint next_tmp;
};

/*
 * Lock the directory of blobs (flock's LOCK_SH: to put blobs there, LOCK_EX: to
 * take some away); closing `*fd` ends it.  Held for moments only.
 */
int shale_blobs_lock(struct shale_blobs *blobs, int how, int *fd,
		     struct shale_err *err);

#endif
