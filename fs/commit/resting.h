/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_COMMIT_RESTING_H
#define SHALE_COMMIT_RESTING_H

/*
 * A workspace that no daemon has mounted, opened by this process: its live tree
 * on its last committed image.
 */

#include "fs/live/live.h"
#include "layers/store/version.h"

struct shale_resting {
	struct shale_workspace *ws;
	struct shale_image *base;
	struct shale_handles *handles;
	struct shale_live *live;
};

/* -EBUSY: somebody has it open; -ENOKEY.  Close it also after an error. */
int shale_resting_open(struct shale_resting *rest, struct shale_store *store,
		       const char *name, struct shale_err *err);
/* Everything is on disk.  Returns `r` if that is an error, else its own. */
int shale_resting_close(struct shale_resting *rest, int r,
			struct shale_err *err);

#endif
