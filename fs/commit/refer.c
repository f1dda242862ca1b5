/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/commit/refer.h"

/* The piece's part of its first chunk. */
static int refer_piece(struct shale_pack *pack, const struct shale_piece *piece,
		       uint64_t *n, struct shale_err *err)
{
	struct shale_chunk chunk;
	int r = shale_tree_chunk(piece->tree, piece->chunk, &chunk, err);
	if (r < 0)
		return r;
	*n = chunk.len - piece->chunk_off;
	*n = *n < piece->len ? *n : piece->len;
	return shale_pack_refer(pack, &chunk, piece->chunk_off, (uint32_t)*n,
				NULL, err);
}

int shale_refer_chunks(struct shale_pack *pack,
		       const struct shale_content *content, uint64_t off,
		       uint64_t len, struct shale_err *err)
{
	while (len) {
		struct shale_piece piece;
		if (off >= content->size)
			return shale_pack_hole(pack, len, err);
		int r = shale_content_piece(content, off, len, &piece, err);
		if (r < 0)
			return r;
		uint64_t n = piece.len;
		r = piece.tree ? refer_piece(pack, &piece, &n, err)
			       : shale_pack_hole(pack, n, err);
		if (r < 0)
			return r;
		off += n;
		len -= n;
	}
	return 0;
}
