/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/workspace/dirty.h"

static void take_out(struct shale_dirty *dirty, uint32_t i)
{
	dirty->range[i] = dirty->range[--dirty->n];
}

/* Take out all that touch `with`, which grows by them. */
static void merge(struct shale_dirty *dirty, struct shale_dirty_range *with)
{
	for (uint32_t i = 0; i < dirty->n;) {
		const struct shale_dirty_range *it = &dirty->range[i];
		if (it->end < with->off || it->off > with->end) {
			i++;
			continue;
		}
		if (it->off < with->off)
			with->off = it->off;
		if (it->end > with->end)
			with->end = it->end;
		take_out(dirty, i);
		i = 0; /* it may touch those before now */
	}
}

void shale_dirty_all(struct shale_dirty *dirty, uint64_t number)
{
	dirty->much = number;
	dirty->n = 0;
}

void shale_dirty_add(struct shale_dirty *dirty, uint64_t off, uint64_t len,
		     uint64_t number)
{
	struct shale_dirty_range it = {off, off + len, number};

	if (!len)
		return;
	if (!dirty->much)
		merge(dirty, &it);
	if (dirty->much || dirty->n == SHALE_DIRTY_RANGES ||
	    shale_dirty_bytes(dirty) + (it.end - it.off) > SHALE_DIRTY_MAX) {
		shale_dirty_all(dirty, number);
		return;
	}
	dirty->range[dirty->n++] = it;
}

void shale_dirty_clean(struct shale_dirty *dirty, uint64_t number)
{
	if (dirty->much <= number)
		dirty->much = 0;
	for (uint32_t i = 0; i < dirty->n;)
		if (dirty->range[i].last <= number)
			take_out(dirty, i);
		else
			i++;
}

uint64_t shale_dirty_bytes(const struct shale_dirty *dirty)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < dirty->n; i++)
		bytes += dirty->range[i].end - dirty->range[i].off;
	return bytes;
}
