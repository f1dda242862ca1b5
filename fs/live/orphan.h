/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_LIVE_ORPHAN_H
#define SHALE_LIVE_ORPHAN_H

#include "fs/live/impl.h"

/* Free every inode without a name; `all`: those that a handle holds, too. */
int shale_orphans_free(struct shale_live *live, bool all);

#endif
