/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/chunk/cut.h"

#include "layers/chunk/gear.h"

/*
 * Normalised chunking, level 2: up to where most cuts are to be, one needs two
 * bits more than log2(mean) = 15 or so, behind it two bits less.  A bit of the
 * hash sees as many bytes as its number plus one, so the masks take high ones;
 * bit 63 stays free for the doubled hash of the two-byte round.
 *
 * Earlier versions cut by 18 and 14 bits, before and behind 64 KiB.  Those took
 * the bits of these masks, so where they cut, these see a place to cut as well.
 */
#define MASK_BITS(n) (((UINT64_C(1) << (n)) - 1) << (63 - (n)))
#define MASK_EARLY   MASK_BITS(17)
#define MASK_LATE    MASK_BITS(13)

/*
 * Look for a cut in data[at, end), two bytes a round: the hash before the
 * second byte is kept doubled, and so is the mask that it is tested with (Xia
 * et al., "The Design of Fast Content-Defined Chunking for Data Deduplication
 * Based Storage Systems", IEEE TPDS 2020, 3.5).  Cuts where one byte a round
 * would.  Returns the length up to and with the byte that cuts, or 0.
 */
static size_t find_cut(const uint8_t *data, size_t at, size_t end,
		       uint64_t mask, uint64_t *hash)
{
	uint64_t h = *hash;

	for (; at + 2 <= end; at += 2) {
		h = (h << 2) + (shale_gear[data[at]] << 1);
		if (!(h & mask << 1))
			return at + 1;
		h += shale_gear[data[at + 1]];
		if (!(h & mask))
			return at + 2;
	}
	if (at < end) {
		h = (h << 1) + shale_gear[data[at]];
		if (!(h & mask))
			return at + 1;
	}
	*hash = h;
	return 0;
}

size_t shale_cut(const uint8_t *data, size_t len)
{
	if (len <= SHALE_CHUNK_MIN)
		return len;
	if (len > SHALE_CHUNK_MAX)
		len = SHALE_CHUNK_MAX;

	uint64_t hash = 0;
	size_t mean = len < SHALE_CHUNK_MEAN ? len : SHALE_CHUNK_MEAN;
	size_t cut = find_cut(data, SHALE_CHUNK_MIN, mean, MASK_EARLY, &hash);
	if (!cut)
		cut = find_cut(data, mean, len, MASK_LATE, &hash);
	return cut ? cut : len;
}

/* What the hash is behind `len` bytes, more than SHALE_CHUNK_MIN: what lies
 * further back than 64 has left it, bit by bit. */
static uint64_t hash_behind(const uint8_t *data, size_t len)
{
	size_t at = len - SHALE_CHUNK_MIN > 64 ? len - 64 : SHALE_CHUNK_MIN;
	uint64_t hash = 0;
	while (at < len)
		hash = (hash << 1) + shale_gear[data[at++]];
	return hash;
}

bool shale_cut_behind(const uint8_t *data, size_t len)
{
	if (len <= SHALE_CHUNK_MIN || len >= SHALE_CHUNK_MAX)
		return len == SHALE_CHUNK_MAX;
	return !(hash_behind(data, len) &
		 (len <= SHALE_CHUNK_MEAN ? MASK_EARLY : MASK_LATE));
}

bool shale_cut_once(const uint8_t *data, size_t len)
{
	if (len <= SHALE_CHUNK_MIN || len > SHALE_CHUNK_LONGEST)
		return false;
	return len == SHALE_CHUNK_MAX || len == SHALE_CHUNK_LONGEST ||
	       !(hash_behind(data, len) & MASK_LATE);
}
