/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_LIVE_SETTLE_H
#define SHALE_LIVE_SETTLE_H

#include "fs/live/impl.h"

/*
 * Point contents at the last committed image: sealed data files that it holds
 * go, ranges of it take their place.  A batch an inode; safe to repeat.
 */
int shale_settle(struct shale_live *live);

#endif
