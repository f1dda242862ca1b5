/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/live/lend.h"

#include <errno.h>

/* In a piece of an image: its own holes count. */
static int seek_range(struct shale_live *live,
		      const struct shale_rec_range *range, bool data,
		      uint64_t *out)
{
	struct shale_content content;
	struct shale_chunks *chunks;
	uint64_t found;

	int r = shale_source_content(live->source, range->image, range->ino,
				     &content, &chunks, NULL);
	if (r < 0)
		return r;
	r = shale_content_seek(&content, range->src, data, &found, NULL);
	if (r < 0)
		return r;
	if (found - range->src >= range->len)
		return -ENXIO;
	*out = range->off + (found - range->src);
	return 0;
}

int shale_body_seek(struct shale_body *body, uint64_t off, bool data,
		    uint64_t *out)
{
	if (body->lent)
		return shale_lend_seek(body, off, data, out);
	while (off < body->c.size) {
		struct shale_body_piece piece;
		int r = shale_body_piece(body, off, UINT64_MAX, &piece);
		if (r < 0)
			return r;
		if (piece.kind == SHALE_PIECE_RANGE) {
			r = seek_range(body->live, &piece.range, data, out);
			if (r != -ENXIO)
				return r;
		} else if ((piece.kind == SHALE_PIECE_FILE) == data) {
			*out = off;
			return 0;
		}
		off += piece.len;
	}
	if (data)
		return -ENXIO;
	*out = body->c.size; /* there is a hole at every end */
	return 0;
}
