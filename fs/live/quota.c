/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/live/quota.h"

#include <errno.h>

static uint64_t positive(int64_t n)
{
	return n > 0 ? (uint64_t)n : 0;
}

uint64_t shale_quota_inodes(const struct shale_live *live)
{
	return positive(atomic_load(&live->fresh) + atomic_load(&live->sealed));
}

uint64_t shale_quota_bytes(const struct shale_live *live)
{
	return positive(atomic_load(&live->blocks)) * SHALE_BLOCK +
	       shale_quota_inodes(live) * LIVE_INODE_BYTES;
}

static bool over(const struct shale_live *live)
{
	return (live->quota_bytes &&
		shale_quota_bytes(live) > live->quota_bytes) ||
	       (live->quota_inodes &&
		shale_quota_inodes(live) > live->quota_inodes);
}

int shale_quota_take_blocks(struct shale_live *live, uint64_t n)
{
	atomic_fetch_add(&live->blocks, (int64_t)n);
	if (!live->quota_bytes || shale_quota_bytes(live) <= live->quota_bytes)
		return 0;
	atomic_fetch_sub(&live->blocks, (int64_t)n);
	return -EDQUOT;
}

int shale_quota_take_inodes(struct shale_live *live, int64_t n)
{
	atomic_fetch_add(&live->fresh, n);
	if (!over(live))
		return 0;
	atomic_fetch_sub(&live->fresh, n);
	return -EDQUOT;
}

void shale_quota_seal(struct shale_live *live)
{
	atomic_fetch_add(&live->sealed, atomic_exchange(&live->fresh, 0));
}

struct count {
	const struct shale_rec_state *state;
	int64_t sealed;
};

static int count_sealed(void *arg, const struct shale_buf *key,
			const struct shale_buf *value, struct shale_err *err)
{
	struct count *count = arg;
	struct shale_rec_attr attr;

	(void)err;
	(void)key;
	int r = shale_rec_attr_decode(value, &attr, NULL);
	count->sealed += r == 0 && attr.epoch > count->state->committed &&
			 attr.epoch < count->state->epoch;
	return r;
}

/* Records of epochs that failed commits have frozen since are still there. */
int shale_quota_settle(struct shale_live *live)
{
	struct count count = {.state = &live->state};
	int r = 0;

	if (live->state.committed + 1 < live->state.epoch)
		r = shale_live_each(live, 'I', count_sealed, &count, NULL);
	if (r == 0)
		atomic_store(&live->sealed, count.sealed);
	return r;
}
