/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_LIVE_QUOTA_H
#define SHALE_LIVE_QUOTA_H

/*
 * What a workspace may hold: the present blocks of all epochs, and a fixed sum
 * for each I record that is newer than the last commit (tombstones too: they
 * take room).  Counted as it changes, counted anew at each open; a commit lets
 * go of both, since the image has them then.  Any thread.
 *
 * I records are counted in two parts, so that a commit ends one at once:
 *   live->fresh   of the present epoch
 *   live->sealed  older, not committed yet
 */

#include "fs/live/impl.h"

uint64_t shale_quota_bytes(const struct shale_live *live);
uint64_t shale_quota_inodes(const struct shale_live *live);

/* Count `n` blocks, or I records of the present epoch, that are about to be
 * there.  -EDQUOT: nothing is counted. */
int shale_quota_take_blocks(struct shale_live *live, uint64_t n);
int shale_quota_take_inodes(struct shale_live *live, int64_t n);

/* The epoch has been raised; all of older ones is committed.  The caller holds
 * `freeze` exclusively. */
void shale_quota_seal(struct shale_live *live);
int shale_quota_settle(struct shale_live *live);

#endif
