/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/index/content.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* The chunks of a piece from number `i` on that hold `len` bytes from `skip`
 * on, or the first `room` of them: how many, and how much that is. */
static int list_chunks(const struct shale_piece *p, uint64_t i, uint32_t skip,
		       uint64_t len, struct shale_chunk *list, size_t room,
		       size_t *n, uint64_t *bytes, struct shale_err *err)
{
	*bytes = 0;
	for (*n = 0; *n < room && *bytes < len; skip = 0) {
		struct shale_chunk *chunk = &list[*n];
		int r = shale_tree_chunk(p->tree, i + (*n)++, chunk, err);
		if (r < 0)
			return r;
		if (skip >= chunk->len)
			return shale_err_say(
				err, EUCLEAN,
				"%s: extent %" PRIu64 " leaves its chunk",
				shale_tree_name(p->tree), p->extent);
		*bytes += chunk->len - skip;
	}
	if (*bytes > len)
		*bytes = len;
	return 0;
}

/* A piece of data, some chunks at a time. */
static int read_piece(const struct shale_piece *p, struct shale_chunks *chunks,
		      uint8_t *out, struct shale_view *view,
		      struct shale_err *err)
{
	struct shale_chunk list[SHALE_CHUNKS_LIST];
	uint64_t i = p->chunk, bytes;
	uint32_t skip = p->chunk_off;
	size_t n;

	for (uint64_t left = p->len; left > 0; left -= bytes) {
		int r = list_chunks(p, i, skip, left, list, SHALE_CHUNKS_LIST,
				    &n, &bytes, err);
		if (r == 0)
			r = shale_chunks_read_list(chunks, list, n, skip, bytes,
						   out, view, err);
		if (r < 0)
			return r;
		out += bytes;
		i += n;
		skip = 0;
	}
	return 0;
}

/* The chunks of a piece, but for one that the list ends with. */
static int add_piece(struct shale_wanted *w, const struct shale_piece *p)
{
	uint64_t i = p->chunk, bytes;
	uint32_t skip = p->chunk_off;
	size_t n;

	for (uint64_t left = p->len; left > 0; left -= bytes) {
		if (w->n == SHALE_CHUNKS_LIST)
			shale_wanted_bring(w);
		struct shale_chunk *last = w->n ? &w->list[w->n - 1] : NULL;
		int r = list_chunks(p, i, skip, left, &w->list[w->n],
				    SHALE_CHUNKS_LIST - w->n, &n, &bytes, NULL);
		if (r < 0)
			return r;
		i += n;
		skip = 0;
		if (last && last[0].off == last[1].off &&
		    shale_digest_equal(&last[0].blob, &last[1].blob))
			memmove(&last[1], &last[2], --n * sizeof(*last));
		for (; n > 0; n--)
			w->bytes += w->list[w->n++].len;
	}
	return 0;
}

void shale_wanted_add(struct shale_wanted *w, const struct shale_content *c,
		      uint64_t off, uint64_t len)
{
	uint64_t end =
		off < c->size && len < c->size - off ? off + len : c->size;
	struct shale_piece piece;

	for (; off < end; off += piece.len)
		if (shale_content_piece(c, off, end - off, &piece, NULL) < 0 ||
		    (piece.tree && add_piece(w, &piece) < 0))
			return;
}

void shale_wanted_bring(struct shale_wanted *w)
{
	shale_chunks_prefetch(w->chunks, w->list, w->n, w->once);
	w->n = 0;
	w->bytes = 0;
}

static int read_content(const struct shale_content *c,
			struct shale_chunks *chunks, uint64_t off, void *out,
			size_t len, struct shale_view *view,
			struct shale_err *err)
{
	for (size_t done = 0; done < len;) {
		struct shale_piece piece;
		uint8_t *to = (uint8_t *)out + done;

		int r = shale_content_piece(c, off + done, len - done, &piece,
					    err);
		if (r < 0)
			return r;
		if (piece.tree)
			r = read_piece(&piece, chunks, to, view, err);
		else
			memset(to, 0, (size_t)piece.len);
		if (r < 0)
			return r;
		if (!piece.tree && view)
			shale_view_bytes(view, to, (size_t)piece.len);
		done += (size_t)piece.len;
	}
	return 0;
}

/* How much of `len` bytes at `off` there is. */
static size_t within(const struct shale_content *c, uint64_t off, size_t len)
{
	if (off >= c->size)
		return 0;
	return len > c->size - off ? (size_t)(c->size - off) : len;
}

int shale_content_read(const struct shale_content *c,
		       struct shale_chunks *chunks, uint64_t off, void *out,
		       size_t len, size_t *got, struct shale_err *err)
{
	len = within(c, off, len);
	int r = read_content(c, chunks, off, out, len, NULL, err);
	if (r == 0)
		*got = len;
	return r;
}

int shale_content_view(const struct shale_content *c,
		       struct shale_chunks *chunks, uint64_t off, void *out,
		       size_t len, struct shale_view *view,
		       struct shale_err *err)
{
	return read_content(c, chunks, off, out, within(c, off, len), view,
			    err);
}
