/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/live/body.h"

#include "fs/live/lend.h"
#include "fs/live/ranges.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

static void begin(struct shale_body *body, struct shale_live *live,
		  uint64_t ino)
{
	*body = (struct shale_body){.live = live, .ino = ino};
	shale_blockmap_init(&body->map, live->db, ino);
}

static int load_record(struct shale_body *body)
{
	cleanup_buf struct shale_buf value = {0};
	struct shale_key key = shale_key_content(body->ino);

	int r = shale_live_get(body->live, &key, &value);
	if (r == 0)
		r = shale_rec_content_decode(&value, &body->c, NULL);
	return r;
}

/* Who has no lock may find that it has been taken back, and has gone, since. */
static int look_at_lent(struct shale_body *body)
{
	int r = 0;

	for (int tries = 0; tries < 2; tries++) {
		body->old_size = body->c.size;
		if (!body->c.lent)
			return 0;
		r = shale_lend_look(body);
		if (r != -ENOENT)
			return r;
		r = load_record(body);
		if (r < 0)
			return r;
	}
	return 0; /* it is missing: reading will say so */
}

/* No record: all of the base's content, or nothing. */
static int from_base(struct shale_body *body,
		     const struct shale_live_node *node)
{
	struct shale_rec_range whole = {
		.len = node->base_size,
		.image = body->live->state.pinned,
		.ino = body->ino,
	};

	if (!S_ISREG(node->attr.mode))
		return S_ISDIR(node->attr.mode) ? -EISDIR : -EINVAL;
	body->c.size = node->base_size;
	return whole.len ? shale_ranges_put(&body->c, &whole) : 0;
}

int shale_body_of(struct shale_body *body, struct shale_live *live,
		  const struct shale_live_node *node)
{
	begin(body, live, node->ino);
	int r = node->stored ? load_record(body) : -ENOENT;
	if (r == -ENOENT)
		r = from_base(body, node);
	return r < 0 ? r : look_at_lent(body);
}

int shale_body_load(struct shale_body *body, struct shale_live *live,
		    uint64_t ino)
{
	struct shale_live_node node;

	begin(body, live, ino);
	int r = shale_live_touched(live, ino) ? load_record(body) : -ENOENT;
	if (r == -ENOENT) {
		r = shale_node_load(live, ino, &node);
		if (r == 0)
			r = from_base(body, &node);
	}
	return r < 0 ? r : look_at_lent(body);
}

void shale_body_release(struct shale_body *body)
{
	if (body->reserved)
		atomic_fetch_sub(&body->live->blocks, (int64_t)body->reserved);
	shale_rec_content_release(&body->c);
	shale_blockmap_release(&body->map);
	body->reserved = 0;
}

/* ---------------------------------------------------------------- reading */

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* What the ranges show at `off`. */
static void range_piece(const struct shale_rec_content *c, uint64_t off,
			uint64_t len, struct shale_body_piece *out)
{
	uint64_t next;
	const struct shale_rec_range *range = shale_ranges_at(c, off, &next);

	if (!range) {
		*out = (struct shale_body_piece){
			.kind = SHALE_PIECE_HOLE,
			.len = least(len, next - off),
		};
		return;
	}
	uint64_t skip = off - range->off;
	*out = (struct shale_body_piece){
		.kind = SHALE_PIECE_RANGE,
		.len = least(len, range->len - skip),
		.range = *range,
	};
	out->range.off = off;
	out->range.src += skip;
	out->range.len = out->len;
}

int shale_body_piece(struct shale_body *body, uint64_t off, uint64_t max,
		     struct shale_body_piece *out)
{
	const struct shale_rec_content *c = &body->c;
	uint64_t bound = c->size, len = least(max, c->size - off);

	if (body->lent) {
		*out = (struct shale_body_piece){
			.kind = SHALE_PIECE_FILE,
			.len = len,
			.epoch = c->file[0].epoch,
		};
		return 0;
	}
	for (uint32_t i = 0; i < c->n_files; i++) {
		uint64_t block = off / SHALE_BLOCK, run;
		bool present;

		if (off >= bound)
			break;
		len = least(len, bound - off);
		int r = shale_blockmap_run(&body->map, c->file[i].epoch, block,
					   (off + len - 1) / SHALE_BLOCK -
						   block + 1,
					   &present, &run);
		if (r < 0)
			return r;
		len = least(len, (block + run) * SHALE_BLOCK - off);
		if (present) {
			*out = (struct shale_body_piece){
				.kind = SHALE_PIECE_FILE,
				.len = len,
				.epoch = c->file[i].epoch,
			};
			return 0;
		}
		bound = least(bound, c->file[i].limit);
	}
	if (off >= bound) {
		*out = (struct shale_body_piece){
			.kind = SHALE_PIECE_HOLE,
			.len = len,
		};
		return 0;
	}
	range_piece(c, off, least(len, bound - off), out);
	return 0;
}

static int read_piece(struct shale_body *body, uint64_t off,
		      const struct shale_body_piece *piece, void *data)
{
	switch (piece->kind) {
	case SHALE_PIECE_FILE:
		return shale_files_read(body->live->files, body->ino,
					piece->epoch, data, (size_t)piece->len,
					off, body->err);
	case SHALE_PIECE_RANGE:
		return shale_source_read(body->live->source, piece->range.image,
					 piece->range.ino, piece->range.src,
					 data, (size_t)piece->len, body->err);
	default:
		memset(data, 0, (size_t)piece->len);
		return 0;
	}
}

int shale_body_read(struct shale_body *body, uint64_t off, void *data,
		    size_t len)
{
	uint8_t *to = data;

	while (len) {
		struct shale_body_piece piece;
		if (off >= body->c.size) {
			memset(to, 0, len);
			return 0;
		}
		int r = shale_body_piece(body, off, len, &piece);
		if (r == 0)
			r = read_piece(body, off, &piece, to);
		if (r < 0)
			return r;
		to += piece.len;
		off += piece.len;
		len -= (size_t)piece.len;
	}
	return 0;
}

/* ---------------------------------------------------------------- storing */

bool shale_body_store(struct shale_body *body, struct shale_change *ch)
{
	cleanup_buf struct shale_buf value = {0};
	struct shale_key key = shale_key_content(body->ino);

	if (body->lent)
		return false;
	ch->batch.follows |= body->wrote;
	bool maps = shale_blockmap_store(&body->map, ch);
	if (!maps && !body->dirty)
		return false;
	if (!body->same_epoch)
		body->c.epoch = body->live->state.epoch;
	body->c.present -= body->freed;
	int r = shale_rec_content_encode(&body->c, &value);
	if (r < 0)
		ch->r = ch->r ? ch->r : r;
	else
		shale_change_put(ch, &key, value.data, value.len);
	ch->bytes += (int64_t)body->c.size - (int64_t)body->old_size;
	ch->blocks -= (int64_t)body->freed;
	ch->batch.frees |= body->freed > 0 && !body->reserved;
	ch->reserved += (int64_t)body->reserved;
	body->reserved = body->freed = 0;
	return true;
}

int shale_body_renew(struct shale_change *ch,
		     const struct shale_live_node *node)
{
	cleanup_body struct shale_body body;

	int r = shale_body_of(&body, ch->live, node);
	if (r < 0)
		return r == -EINVAL ? 0 : r; /* a fifo has none */
	body.dirty = body.c.size || body.c.n_files;
	shale_body_store(&body, ch);
	return 0;
}
