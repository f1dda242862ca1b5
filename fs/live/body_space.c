/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/live/lend.h"

/* Ranges and pieces that are looked at for one stat. */
enum { RANGES = 64, PIECES = 128, SECTOR = 512 };

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t data_of(struct shale_live *live,
			const struct shale_rec_range *range)
{
	return shale_source_data(live->source, range->image, range->ino,
				 range->src, range->len);
}

/* What ranges have, whether it shows or not. */
static uint64_t below(const struct shale_body *body)
{
	const struct shale_rec_content *c = &body->c;
	uint64_t sum = 0;

	for (uint32_t i = 0; i < c->n_ranges; i++)
		sum += i < RANGES ? data_of(body->live, &c->ranges[i])
				  : c->ranges[i].len;
	return sum;
}

/* Of [off, size), of which nothing is known but that `files` bytes of blocks
 * that count may be in it. */
static uint64_t most_behind(const struct shale_rec_content *c, uint64_t off,
			    uint64_t files)
{
	uint64_t sum = files;

	for (uint32_t i = 0; i < c->n_ranges; i++) {
		const struct shale_rec_range *range = &c->ranges[i];
		uint64_t skip = off > range->off ? off - range->off : 0;
		if (skip < range->len)
			sum += range->len - skip;
	}
	return least(sum, c->size - off);
}

/* What shows, piece by piece. */
static uint64_t shown(struct shale_body *body)
{
	uint64_t files = body->c.present * SHALE_BLOCK, sum = 0, off = 0;
	struct shale_body_piece piece;

	for (int i = 0; i < PIECES && off < body->c.size; i++) {
		if (shale_body_piece(body, off, UINT64_MAX, &piece) < 0)
			break;
		if (piece.kind == SHALE_PIECE_FILE) {
			sum += piece.len;
			files -= least(files, piece.len);
		} else if (piece.kind == SHALE_PIECE_RANGE) {
			sum += data_of(body->live, &piece.range);
		}
		off += piece.len;
	}
	return off < body->c.size ? sum + most_behind(&body->c, off, files)
				  : sum;
}

static uint64_t space_of(struct shale_body *body)
{
	const struct shale_rec_content *c = &body->c;
	uint64_t files = c->present * SHALE_BLOCK;

	if (c->size < SHALE_HOLES_FROM || !c->n_ranges || files >= c->size)
		return most_behind(c, 0, files);
	uint64_t images = below(body);
	/* All that is not written is there, or the other way round. */
	if (images >= c->size || !files)
		return least(images, c->size);
	return shown(body);
}

int shale_body_stat(struct shale_live *live, const struct shale_live_node *node,
		    struct shale_node *out, uint64_t *space)
{
	cleanup_body struct shale_body body;

	int r = shale_body_of(&body, live, node);
	if (r < 0)
		return r;
	out->size = body.c.size;
	if (body.lent) {
		shale_lend_times(&body.host, &out->mtime, &out->ctime);
		*space = most_behind(&body.c, 0,
				     (uint64_t)body.host.st_blocks * SECTOR);
	} else {
		*space = space_of(&body);
	}
	return 0;
}
