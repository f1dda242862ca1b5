/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_LIVE_ORPHAN_H
#define SHALE_LIVE_ORPHAN_H

#include "fs/live/impl.h"

enum shale_orphans {
	SHALE_ORPHANS_CLOSED, /* regular files that no handle holds: the kernel
				 may still have all else */
	SHALE_ORPHANS_UNHELD, /* whatever no handle holds */
	SHALE_ORPHANS_ALL,
};

/* Free inodes without a name. */
int shale_orphans_free(struct shale_live *live, enum shale_orphans which);

#endif
