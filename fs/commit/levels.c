/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/commit/levels.h"

#include <errno.h>
#include <string.h>

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

void shale_levels_init(struct shale_levels *levels,
		       struct shale_snapshot *snapshot, uint64_t ino,
		       const struct shale_rec_content *content)
{
	levels->snapshot = snapshot;
	levels->ino = ino;
	levels->content = content;
	for (uint32_t i = 0; i < content->n_files; i++)
		levels->map[i].region = UINT64_MAX;
}

static int load_map(struct shale_levels *levels, uint32_t level,
		    uint64_t region, struct shale_err *err)
{
	if (levels->map[level].region == region)
		return 0;

	uint32_t epoch = levels->content->file[level].epoch;
	struct shale_key key = shale_key_map(levels->ino, epoch, region);
	cleanup_buf struct shale_buf value = {0};
	int r = shale_snapshot_get(levels->snapshot, key.b, key.len, &value,
				   err);
	if (r < 0 && r != -ENOENT)
		return r;
	if (r == 0 && value.len != SHALE_REGION_BYTES)
		return shale_err_say(err, EUCLEAN,
				     "block map of inode %llu is damaged",
				     (unsigned long long)levels->ino);
	if (r == 0)
		memcpy(levels->map[level].bits, value.data, SHALE_REGION_BYTES);
	else
		memset(levels->map[level].bits, 0, SHALE_REGION_BYTES);
	levels->map[level].region = region;
	return 0;
}

static bool bit(const uint8_t *bits, uint64_t i)
{
	return bits[i / 8] >> (i % 8) & 1;
}

/* Is the block at `off` present in this level, and up to which offset is the
 * answer the same (at most to the end of its map)? */
static int probe(struct shale_levels *levels, uint32_t level, uint64_t off,
		 bool *present, uint64_t *until, struct shale_err *err)
{
	uint64_t block = off / SHALE_BLOCK;
	uint64_t region = block / SHALE_REGION_BLOCKS;
	int r = load_map(levels, level, region, err);
	if (r < 0)
		return r;

	const uint8_t *bits = levels->map[level].bits;
	uint64_t i = block % SHALE_REGION_BLOCKS;
	*present = bit(bits, i);
	while (i < SHALE_REGION_BLOCKS && bit(bits, i) == *present)
		i++;
	*until = (region * SHALE_REGION_BLOCKS + i) * SHALE_BLOCK;
	return 0;
}

/* Below all data files: a range, or zeros up to the next one. */
static void find_range(const struct shale_rec_content *content, uint64_t off,
		       uint64_t end, struct shale_run *out)
{
	uint32_t low = 0, high = content->n_ranges;
	while (low < high) { /* first range that ends behind off */
		uint32_t mid = low + (high - low) / 2;
		const struct shale_rec_range *range = &content->ranges[mid];
		if (range->off + range->len <= off)
			low = mid + 1;
		else
			high = mid;
	}

	const struct shale_rec_range *range =
		low < content->n_ranges ? &content->ranges[low] : NULL;
	if (range && range->off <= off) {
		end = min_u64(end, range->off + range->len);
		*out = (struct shale_run){.kind = SHALE_RUN_RANGE,
					  .range = range};
	} else {
		end = range ? min_u64(end, range->off) : end;
		*out = (struct shale_run){.kind = SHALE_RUN_ZERO};
	}
	out->off = off;
	out->len = end - off;
}

int shale_levels_run(struct shale_levels *levels, uint64_t off,
		     struct shale_run *out, struct shale_err *err)
{
	const struct shale_rec_content *content = levels->content;
	uint64_t end = content->size;

	for (uint32_t i = 0; i < content->n_files; i++) {
		bool present;
		uint64_t until;
		int r = probe(levels, i, off, &present, &until, err);
		if (r < 0)
			return r;
		end = min_u64(end, until);

		uint64_t limit = content->file[i].limit;
		if (!present && off < limit) {
			end = min_u64(end, limit);
			continue;
		}
		*out = (struct shale_run){
			.kind = present ? SHALE_RUN_DATA : SHALE_RUN_ZERO,
			.off = off,
			.len = end - off,
			.epoch = content->file[i].epoch,
		};
		return 0;
	}
	find_range(content, off, end, out);
	return 0;
}
