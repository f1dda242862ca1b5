/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/live/body.h"
#include "fs/live/xattr.h"

#include "layers/base/cleanup.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

/*
 * Copying takes over by reference what lies in images and what is a hole, in
 * whole blocks where source and destination are shifted by whole blocks; what
 * lies in data files, and the edges, is read and written.
 */

enum {
	COPY_STEP = 256 << 10, /* data at a time */
	COPY_DATA = 16 << 20,  /* data in one operation */
	COPY_PIECES = 4096,    /* references in one operation */
};

struct copy {
	struct shale_body *src, *dst; /* may be one */
	uint64_t src_off, dst_off, len;
	uint64_t data; /* bytes that were read and written */
	uint8_t *buf;
};

static void advance(struct copy *c, uint64_t len)
{
	c->src_off += len;
	c->dst_off += len;
	c->len -= len;
}

static int copy_data(struct copy *c, uint64_t len)
{
	while (len) {
		size_t step = len < COPY_STEP ? (size_t)len : COPY_STEP;
		int r = shale_body_read(c->src, c->src_off, c->buf, step);
		if (r == 0)
			r = shale_body_write(c->dst, c->dst_off, c->buf, step);
		if (r < 0)
			return r;
		advance(c, step);
		c->data += step;
		len -= step;
	}
	return 0;
}

/* How much of the piece can be referred to from here on, in whole blocks. */
static uint64_t referable(const struct copy *c,
			  const struct shale_body_piece *piece)
{
	uint64_t end = c->dst_off + piece->len;

	if (piece->kind == SHALE_PIECE_FILE || c->dst_off % SHALE_BLOCK ||
	    c->src_off % SHALE_BLOCK)
		return 0;
	if (end < c->dst->c.size)
		end -= end % SHALE_BLOCK;
	/* Not at the end of the file yet if more is to come. */
	else if (piece->len < c->len)
		end -= end % SHALE_BLOCK;
	return end > c->dst_off ? end - c->dst_off : 0;
}

static int refer(struct copy *c, const struct shale_body_piece *piece,
		 uint64_t len)
{
	struct shale_rec_range range = piece->range;

	if (piece->kind == SHALE_PIECE_HOLE)
		range = (struct shale_rec_range){0};
	range.off = c->dst_off;
	range.len = len;
	range.epoch = c->dst->live->state.epoch;
	int r = shale_body_refer(c->dst, &range);
	if (r == 0)
		advance(c, len);
	return r;
}

/* Up to the next block boundary of the destination, if it is the source's. */
static uint64_t to_boundary(const struct copy *c, uint64_t len)
{
	uint64_t shift = c->dst_off % SHALE_BLOCK;

	if (shift && shift == c->src_off % SHALE_BLOCK &&
	    SHALE_BLOCK - shift < len)
		return SHALE_BLOCK - shift;
	return len;
}

static int copy_piece(struct copy *c)
{
	struct shale_body_piece piece;

	int r = shale_body_piece(c->src, c->src_off, c->len, &piece);
	if (r < 0)
		return r;
	uint64_t len = referable(c, &piece);
	if (len)
		return refer(c, &piece, len);
	len = to_boundary(c, piece.len);
	if (len > COPY_DATA - c->data)
		len = COPY_DATA - c->data;
	/* Shifted by part of a block, or less than one: with its neighbours. */
	if (piece.kind != SHALE_PIECE_FILE && len < SHALE_BLOCK &&
	    c->len > len && c->dst_off % SHALE_BLOCK == 0)
		len = c->len < SHALE_BLOCK ? c->len : SHALE_BLOCK;
	return copy_data(c, len);
}

static int run_copy(struct copy *c)
{
	int r = 0;

	if (c->dst_off > c->dst->c.size)
		r = shale_body_resize(c->dst, c->dst_off);
	for (unsigned i = 0;
	     r == 0 && c->len && c->data < COPY_DATA && i < COPY_PIECES; i++)
		r = copy_piece(c);
	return r;
}

static int copy_locked(struct shale_live *live, const struct shale_caller *who,
		       uint64_t src, uint64_t dst, struct copy *c, bool kill,
		       uint64_t *done)
{
	cleanup_change struct shale_change ch;
	cleanup_body struct shale_body from = {.live = live};
	cleanup_body struct shale_body to = {.live = live};
	cleanup_free uint8_t *buf = malloc(COPY_STEP);
	struct shale_live_node *node;

	shale_change_init(&ch, live);
	if (!buf)
		return -ENOMEM;
	c->buf = buf;
	int r = shale_change_load(&ch, dst, &node);
	if (r == 0)
		r = shale_body_of(&to, live, node);
	if (r == 0 && src != dst)
		r = shale_body_load(&from, live, src);
	if (r < 0)
		return r;
	if (to.lent || from.lent)
		return -EXDEV; /* the kernel has it: it copies, too */
	to.err = from.err = who->err;
	c->dst = &to;
	c->src = src == dst ? &to : &from;

	uint64_t size = c->src->c.size;
	if (c->src_off >= size)
		c->len = 0;
	else if (c->len > size - c->src_off)
		c->len = size - c->src_off;
	if (c->dst_off > INT64_MAX || c->len > INT64_MAX - c->dst_off)
		return -EFBIG;
	uint64_t want = c->len;
	*done = 0;
	if (!want)
		return 0;
	if (src == dst && c->src_off < c->dst_off + want &&
	    c->dst_off < c->src_off + want)
		return -EINVAL;
	r = run_copy(c);
	if (r == 0 && kill)
		r = shale_xattr_kill_privileges(&ch, who, node);
	if (r < 0)
		return r; /* 1: it had some */
	shale_body_store(&to, &ch);
	shale_change_modify(&ch, node, who);
	r = shale_change_commit(&ch, who);
	if (r == 0)
		*done = want - c->len;
	return r;
}

int shale_live_copy(struct shale_live *live, const struct shale_caller *who,
		    uint64_t src, uint64_t src_off, uint64_t dst,
		    uint64_t dst_off, uint64_t len, bool kill, uint64_t *done)
{
	struct copy c = {.src_off = src_off, .dst_off = dst_off, .len = len};
	uint64_t inos[2] = {src, dst};
	struct shale_locks locks;

	shale_locks_enter(live, &locks, inos, 2);
	int r = copy_locked(live, who, src, dst, &c, kill, done);
	shale_locks_leave(live, &locks);
	return r;
}
