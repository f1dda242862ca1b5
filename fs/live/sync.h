/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_LIVE_SYNC_H
#define SHALE_LIVE_SYNC_H

#include "fs/live/impl.h"

/*
 * A rename by which `ino` replaces another file is about to be committed, with
 * the inode locked: from now on no fsync makes names durable without its data.
 * -ENOMEM.
 */
int shale_sync_replacing(struct shale_live *live, uint64_t ino);
/* It stands at `pos`; 0: it failed. */
void shale_sync_replaced(struct shale_live *live, uint64_t ino, uint64_t pos);

#endif
