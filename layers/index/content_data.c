/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/index/content.h"

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/*
 * Of a content that no layer has patched, without a look at its chunks.  False:
 * some of it is a copy, of what may be hole.
 */
static bool sum_extents(const struct shale_content *c, uint64_t off,
			uint64_t end, unsigned steps, uint64_t *out)
{
	const struct shale_tree *tree = c->level[0].tree;
	uint64_t first = c->level[0].first, count = c->level[0].count, i;
	struct shale_extent e;

	*out = 0;
	if (!count)
		return true;
	if (shale_tree_extent_at(tree, first, count, off, &i, NULL) < 0)
		return false;
	for (; i < first + count; i++) {
		if (shale_tree_extent(tree, i, &e, NULL) < 0 ||
		    e.chunk == SHALE_CLONE)
			return false;
		uint64_t from = e.off > off ? e.off : off;
		if (e.off >= end)
			return true;
		if (steps-- == 0) {
			*out += end - from;
			return true;
		}
		if (e.chunk != SHALE_HOLE && e.len > from - e.off)
			*out += least(e.len - (from - e.off), end - from);
	}
	return true;
}

static uint64_t sum_pieces(const struct shale_content *c, uint64_t off,
			   uint64_t end, unsigned steps)
{
	struct shale_piece piece;
	uint64_t sum = 0;

	for (; off < end; off += piece.len) {
		if (steps-- == 0 ||
		    shale_content_piece(c, off, end - off, &piece, NULL) < 0)
			return sum + (end - off);
		if (piece.tree)
			sum += piece.len;
	}
	return sum;
}

uint64_t shale_content_data(const struct shale_content *c, uint64_t off,
			    uint64_t len, unsigned steps)
{
	uint64_t sum;

	if (off >= c->size)
		return 0;
	uint64_t end = off + least(len, c->size - off);
	if (c->n == 0)
		return 0;
	if (c->n == 1 && sum_extents(c, off, end, steps, &sum))
		return sum;
	return sum_pieces(c, off, end, steps);
}
