/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/diff_impl.h"

#include "layers/base/cleanup.h"

#include <errno.h>
#include <string.h>

/*
 * Both contents are walked side by side in runs that lie in one chunk (or
 * hole) of each.  A run that is the same part of the same chunk is equal
 * without a look at it, where "same" is what the SHA-256 of the stored bytes
 * says; whole chunks whose XXH3-128 differ are not.  Only what is left is read.
 */
struct side {
	const struct shale_image *image;
	struct shale_content content;
	struct shale_piece piece; /* at the offset that is compared */
	struct shale_chunk chunk; /* of its first byte; not of a hole */
	uint8_t *buf;             /* room for a chunk, when it is needed */
};

enum { READ_MAX = 256 << 10 };

/* What lies at `off`, at most `max` long. */
static int look(struct side *s, uint64_t off, uint64_t max,
		struct shale_err *err)
{
	int r = shale_content_piece(&s->content, off, max, &s->piece, err);
	if (r < 0 || !s->piece.tree)
		return r;
	r = shale_tree_chunk(s->piece.tree, s->piece.chunk, &s->chunk, err);
	if (r < 0)
		return r;
	if (s->piece.chunk_off >= s->chunk.len)
		return shale_err_say(err, EUCLEAN,
				     "%s: an extent leaves its chunk",
				     shale_tree_name(s->piece.tree));
	uint32_t rest = s->chunk.len - s->piece.chunk_off;
	if (s->piece.len > rest)
		s->piece.len = rest;
	return 0;
}

static bool whole(const struct side *s, uint64_t len)
{
	return s->piece.chunk_off == 0 && len == s->chunk.len;
}

/* 0: equal, 1: different, 2: only the bytes tell. */
static int judge(const struct side *a, const struct side *b, uint64_t len)
{
	if (!a->piece.tree && !b->piece.tree)
		return 0;
	if (!a->piece.tree || !b->piece.tree)
		return 2; /* zeros may be stored, too */
	bool hash =
		!memcmp(&a->chunk.hash, &b->chunk.hash, sizeof(a->chunk.hash));
	if (hash && a->piece.chunk_off == b->piece.chunk_off &&
	    a->chunk.len == b->chunk.len && a->chunk.codec == b->chunk.codec &&
	    shale_digest_equal(&a->chunk.sha256, &b->chunk.sha256))
		return 0;
	return !hash && whole(a, len) && whole(b, len) ? 1 : 2;
}

static int fetch(struct side *s, uint64_t done, size_t len,
		 struct shale_err *err)
{
	if (!s->buf && !(s->buf = malloc(READ_MAX)))
		return shale_err_set(err, ENOMEM, "compare");
	if (!s->piece.tree) {
		memset(s->buf, 0, len);
		return 0;
	}
	return shale_chunks_read(s->image->chunks, &s->chunk,
				 s->piece.chunk_off + (uint32_t)done,
				 (uint32_t)len, s->buf, err);
}

/* 1: they differ. */
static int compare_bytes(struct side *a, struct side *b, uint64_t len,
			 struct shale_err *err)
{
	for (uint64_t done = 0; done < len;) {
		size_t n =
			len - done < READ_MAX ? (size_t)(len - done) : READ_MAX;
		int r = fetch(a, done, n, err);
		if (r == 0)
			r = fetch(b, done, n, err);
		if (r < 0)
			return r;
		if (memcmp(a->buf, b->buf, n) != 0)
			return 1;
		done += n;
	}
	return 0;
}

/* Call `fn` for what differs below `size`; without one, 1: something does. */
static int compare_runs(struct side *a, struct side *b, uint64_t size,
			shale_diff_range_fn *fn, void *arg,
			struct shale_err *err)
{
	for (uint64_t off = 0; off < size;) {
		int r = look(a, off, size - off, err);
		if (r == 0)
			r = look(b, off, size - off, err);
		if (r < 0)
			return r;
		uint64_t len = a->piece.len < b->piece.len ? a->piece.len
							   : b->piece.len;
		r = judge(a, b, len);
		if (r == 2)
			r = compare_bytes(a, b, len, err);
		if (r == 1 && fn)
			r = fn(arg, off, len, !b->piece.tree);
		if (r != 0)
			return r;
		off += len;
	}
	return 0;
}

/* What `b` has from `off` on that is no hole. */
static int rest(struct side *b, uint64_t off, shale_diff_range_fn *fn,
		void *arg, struct shale_err *err)
{
	while (off < b->content.size) {
		int r = look(b, off, b->content.size - off, err);
		if (r == 0 && b->piece.tree)
			r = fn(arg, off, b->piece.len, false);
		if (r != 0)
			return r;
		off += b->piece.len;
	}
	return 0;
}

static int compare(const struct shale_image *a, uint64_t a_ino,
		   const struct shale_image *b, uint64_t b_ino,
		   shale_diff_range_fn *fn, void *arg, struct shale_err *err)
{
	struct side x = {.image = a}, y = {.image = b};

	int r = shale_image_content(a, a_ino, &x.content, err);
	if (r == 0)
		r = shale_image_content(b, b_ino, &y.content, err);
	if (r < 0)
		return r;
	uint64_t size = x.content.size < y.content.size ? x.content.size
							: y.content.size;
	if (!fn && x.content.size != y.content.size)
		return 1;
	r = compare_runs(&x, &y, size, fn, arg, err);
	if (r == 0 && fn)
		r = rest(&y, size, fn, arg, err);
	free(x.buf);
	free(y.buf);
	return r;
}

int shale_diff_ranges(const struct shale_image *a, uint64_t a_ino,
		      const struct shale_image *b, uint64_t b_ino,
		      shale_diff_range_fn *fn, void *arg, struct shale_err *err)
{
	return compare(a, a_ino, b, b_ino, fn, arg, err);
}

int shale_diff_content(const struct shale_image *a, uint64_t a_ino,
		       const struct shale_image *b, uint64_t b_ino,
		       struct shale_err *err)
{
	return compare(a, a_ino, b, b_ino, NULL, NULL, err);
}
