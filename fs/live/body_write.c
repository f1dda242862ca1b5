/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/live/body.h"

#include "fs/live/lend.h"
#include "fs/live/quota.h"
#include "fs/live/ranges.h"
#include "layers/base/cleanup.h"

#include <errno.h>
#include <string.h>

static const uint8_t zeros[SHALE_BLOCK];

static uint64_t block_of(uint64_t off)
{
	return off / SHALE_BLOCK;
}

static uint64_t round_up(uint64_t off)
{
	return (off + SHALE_BLOCK - 1) / SHALE_BLOCK * SHALE_BLOCK;
}

/* Count blocks before they are written. */
static int reserve(struct shale_body *body, uint64_t blocks)
{
	int r = blocks ? shale_quota_take_blocks(body->live, blocks) : 0;

	if (r == 0)
		body->reserved += blocks;
	return r;
}

/* The active file is the newest one, if it is of this epoch. */
static bool is_active(const struct shale_body *body)
{
	return body->c.n_files &&
	       body->c.file[0].epoch == body->live->state.epoch;
}

/*
 * Have an active file.  What was active is sealed by that, and shows up to the
 * present size only.
 */
static int activate(struct shale_body *body)
{
	struct shale_rec_content *c = &body->c;

	if (is_active(body))
		return 0;
	if (c->n_files == SHALE_CONTENT_FILES)
		return -ENOSPC; /* as many commits have failed */
	memmove(c->file + 1, c->file, c->n_files * sizeof(*c->file));
	c->n_files++;
	c->file[0] = (struct shale_rec_file){
		.epoch = body->live->state.epoch,
		.limit = c->size,
	};
	body->dirty = true;
	return 0;
}

static int in_active(struct shale_body *body, uint64_t block, bool *out)
{
	uint64_t n;

	*out = false;
	if (!is_active(body))
		return 0;
	return shale_blockmap_run(&body->map, body->c.file[0].epoch, block, 1,
				  out, &n);
}

static int write_active(struct shale_body *body, uint64_t off, const void *data,
			size_t len)
{
	int r = shale_files_write(body->live->files, body->ino,
				  body->live->state.epoch, data, len, off,
				  body->err);

	body->wrote = r == 0;
	return r;
}

/*
 * Before the size grows to `size`: bytes behind the end that are in the block
 * of the end must be zeros by then.  In the active file they are written; what
 * lies in older ones is hidden by the active file's limit.
 */
static int clean_tail(struct shale_body *body, uint64_t size)
{
	uint64_t end = round_up(body->c.size);
	bool present;

	if (end > size)
		end = size;
	if (end <= body->c.size || !body->c.n_files)
		return 0;
	if (!is_active(body))
		return activate(body);
	int r = in_active(body, block_of(body->c.size), &present);
	if (r < 0 || !present)
		return r;
	return write_active(body, body->c.size, zeros,
			    (size_t)(end - body->c.size));
}

static int set_blocks(struct shale_body *body, uint64_t first, uint64_t end)
{
	uint64_t changed;

	int r = shale_blockmap_set(&body->map, body->live->state.epoch, first,
				   end, &changed);
	if (r < 0)
		return r;
	body->c.present += changed;
	body->dirty |= changed > 0;
	return 0;
}

/*
 * Write whole blocks where the edges do not count in the active file yet: what
 * shows there now is written with the data.
 */
static int write_padded(struct shale_body *body, uint64_t off, const void *data,
			size_t len, uint64_t start, uint64_t end)
{
	cleanup_free uint8_t *whole = malloc((size_t)(end - start));
	size_t head = (size_t)(off - start);

	if (!whole)
		return -ENOMEM;
	int r = shale_body_read(body, start, whole, head);
	if (r == 0)
		r = shale_body_read(body, off + len, whole + head + len,
				    (size_t)(end - off - len));
	if (r < 0)
		return r;
	memcpy(whole + head, data, len);
	return write_active(body, start, whole, (size_t)(end - start));
}

int shale_body_write(struct shale_body *body, uint64_t off, const void *data,
		     size_t len)
{
	if (off > INT64_MAX || len > INT64_MAX - off)
		return -EFBIG;
	if (!len)
		return 0;
	if (body->lent)
		return shale_lend_write(body, off, data, len);
	uint64_t end = off + len, first = block_of(off);
	uint64_t last = block_of(end - 1), start = off, stop = end, have;
	bool head, tail;

	int r = activate(body);
	if (r == 0 && off > body->c.size)
		r = clean_tail(body, off);
	if (r == 0)
		r = in_active(body, first, &head);
	if (r == 0)
		r = in_active(body, last, &tail);
	if (r == 0)
		r = shale_blockmap_count(&body->map, body->live->state.epoch,
					 first, last + 1, &have);
	if (r == 0)
		r = reserve(body, last + 1 - first - have);
	if (r < 0)
		return r;
	if (!head)
		start = first * SHALE_BLOCK;
	if (!tail && end < body->c.size)
		stop = round_up(end);
	r = start == off && stop == end
		    ? write_active(body, off, data, len)
		    : write_padded(body, off, data, len, start, stop);
	if (r == 0)
		r = set_blocks(body, first, last + 1);
	if (r == 0 && end > body->c.size) {
		body->c.size = end;
		body->dirty = true;
	}
	return r;
}

/* ------------------------------------------------------ taking things away */

/* Nothing shows in these blocks any more, on any level. */
static int clear(struct shale_body *body, uint64_t first, uint64_t end)
{
	for (uint32_t i = 0; i < body->c.n_files; i++) {
		uint64_t changed;
		int r = shale_blockmap_clear(&body->map, body->c.file[i].epoch,
					     first, end, &changed);
		if (r < 0)
			return r;
		body->freed += changed;
	}
	body->dirty = true;
	return shale_ranges_cut(&body->c, first * SHALE_BLOCK,
				end * SHALE_BLOCK);
}

static int shrink(struct shale_body *body, uint64_t size)
{
	struct shale_rec_content *c = &body->c;

	/* A sealed file may have the block of the new end: hide its rest. */
	if (size % SHALE_BLOCK && c->n_files) {
		int r = activate(body);
		if (r < 0)
			return r;
	}
	int r = clear(body, block_of(size + SHALE_BLOCK - 1),
		      (UINT64_C(1) << 63) / SHALE_BLOCK);
	if (r == 0)
		r = shale_ranges_cut(c, size, UINT64_MAX);
	if (r < 0)
		return r;
	for (uint32_t i = 0; i < c->n_files; i++)
		if (c->file[i].limit > size)
			c->file[i].limit = size;
	c->size = size;
	return 0;
}

int shale_body_resize(struct shale_body *body, uint64_t size)
{
	if (size > INT64_MAX)
		return -EFBIG;
	if (size == body->c.size)
		return 0;
	if (body->lent)
		return shale_lend_resize(body, size);
	body->dirty = true;
	if (size < body->c.size)
		return shrink(body, size);
	int r = clean_tail(body, size);
	if (r == 0)
		body->c.size = size;
	return r;
}

/* Zeros in part of one block; where there is a hole it stays one. */
static int zero_part(struct shale_body *body, uint64_t off, uint64_t end)
{
	uint64_t data = end;
	int r = off < end ? shale_body_seek(body, off, true, &data) : 0;

	if (r == -ENXIO || (r == 0 && data >= end))
		return 0;
	return r < 0 ? r
		     : shale_body_write(body, off, zeros, (size_t)(end - off));
}

int shale_body_punch(struct shale_body *body, uint64_t off, uint64_t end)
{
	uint64_t inner = round_up(off);
	/* Behind the end of the file there is nothing to keep. */
	uint64_t stop = end == body->c.size ? round_up(end)
					    : end / SHALE_BLOCK * SHALE_BLOCK;

	if (body->lent)
		return shale_lend_punch(body, off, end);
	if (inner > end)
		return zero_part(body, off, end);
	int r = zero_part(body, off, inner);
	if (r == 0 && stop < end)
		r = zero_part(body, stop, end);
	if (r == 0 && inner < stop)
		r = clear(body, block_of(inner), block_of(stop));
	return r;
}

/* --------------------------------------------------------------- referring */

/* Have a block in the active file, as it shows now. */
static int own_block(struct shale_body *body, uint64_t block)
{
	uint8_t data[SHALE_BLOCK];
	bool present;

	int r = activate(body);
	if (r == 0)
		r = in_active(body, block, &present);
	if (r < 0 || present)
		return r;
	r = reserve(body, 1);
	if (r == 0)
		r = shale_body_read(body, block * SHALE_BLOCK, data,
				    sizeof(data));
	if (r == 0)
		r = write_active(body, block * SHALE_BLOCK, data, sizeof(data));
	return r < 0 ? r : set_blocks(body, block, block + 1);
}

/*
 * Let ranges show up to `to`.  A limit inside of a block hides the rest of that
 * block in older files: the active one takes the block over.  Limits on block
 * boundaries hide nothing, since nothing counts behind them.  Blocks [first,
 * end) are cleared already.
 */
static int raise_limits(struct shale_body *body, uint64_t to, uint64_t first,
			uint64_t end)
{
	for (uint32_t i = 0; i < body->c.n_files; i++) {
		uint64_t limit = body->c.file[i].limit;
		uint64_t block = block_of(limit);
		int r = 0;

		if (limit >= to)
			continue;
		if (limit % SHALE_BLOCK && (block < first || block >= end)) {
			uint32_t files = body->c.n_files;
			r = own_block(body, block);
			i += body->c.n_files - files;
		}
		if (r < 0)
			return r;
		body->c.file[i].limit = to;
	}
	return 0;
}

int shale_body_refer(struct shale_body *body,
		     const struct shale_rec_range *range)
{
	uint64_t end = range->off + range->len;
	uint64_t first = block_of(range->off), stop = block_of(round_up(end));

	assert(!body->lent);
	if (end > body->c.size) {
		int r = shale_body_resize(body, end);
		if (r < 0)
			return r;
	}
	int r = clear(body, first, stop);
	if (r < 0 || !range->ino)
		return r;
	r = raise_limits(body, end, first, stop);
	return r < 0 ? r : shale_ranges_put(&body->c, range);
}
