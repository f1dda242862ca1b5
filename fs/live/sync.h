/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_LIVE_SYNC_H
#define SHALE_LIVE_SYNC_H

#include "fs/live/impl.h"

/* `ino` replaced another file by a rename that stands at `pos`. */
void shale_sync_replaced(struct shale_live *live, uint64_t ino, uint64_t pos);

#endif
