/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/blob/pack_impl.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

/*
 * The bytes of the file from `offset` on:
 *
 *	head            head + segment               tail
 *	 | data of the segment | not looked at: less than a block |
 *
 * They are at work where the caller has them.  What cannot be cut off yet is
 * kept in the window, where the next call's are put behind them until none of
 * the old is left.
 */

static bool all_zero(const uint8_t *data, size_t len)
{
	return data[0] == 0 && memcmp(data, data + 1, len - 1) == 0;
}

bool shale_pack_ends(const uint8_t *data, size_t len, uint64_t off)
{
	/* What lies before the first whole block belongs to the one before. */
	size_t at =
		(SHALE_PACK_BLOCK - off % SHALE_PACK_BLOCK) % SHALE_PACK_BLOCK;
	for (; at < len; at += SHALE_PACK_BLOCK) {
		size_t left = len - at;
		if (all_zero(data + at,
			     left < SHALE_PACK_BLOCK ? left : SHALE_PACK_BLOCK))
			return false;
	}
	return shale_cut_once(data, len);
}

/* ------------------------------------------------------------- segments */

static void drop(struct shale_pack *pack, size_t len)
{
	pack->head += len;
	pack->offset += len;
}

/* What comes behind the segment. */
enum behind {
	MORE,     /* perhaps; it will be seen */
	NOTHING,  /* here it ends */
	ANYTHING, /* only what is certain anyhow is to be cut off */
};

/* Where the segment's first chunk ends; false: not known yet, for a cut needs
 * to see as much as the longest chunk, and one that is followed all of it. */
static bool find_chunk(struct shale_pack *pack, enum behind behind,
		       struct shale_pack_cut *cut)
{
	if (shale_pack_follow(pack, pack->segment, behind == NOTHING, cut))
		return true;
	if (pack->lead.given ||
	    (behind == MORE && pack->segment < SHALE_CHUNK_MAX))
		return false;
	cut->len = (uint32_t)shale_cut(cut->data, pack->segment);
	if (behind == ANYTHING && cut->len == pack->segment &&
	    !shale_cut_behind(cut->data, cut->len))
		return false;
	shale_pack_lead(pack, cut);
	return true;
}

/* Cut chunks off a segment. */
static int cut_segment(struct shale_pack *pack, enum behind behind,
		       struct shale_err *err)
{
	while (pack->segment) {
		struct shale_pack_cut cut = {
			.data = pack->bytes + pack->head,
			.off = pack->offset,
		};
		if (!find_chunk(pack, behind, &cut))
			break;
		int r = shale_pack_place_chunk(pack, &cut, err);
		if (r < 0)
			return r;
		drop(pack, cut.len);
		pack->segment -= cut.len;
	}
	return 0;
}

static int end_segment(struct shale_pack *pack, struct shale_err *err)
{
	int r = 0;
	if (pack->cutting || pack->segment >= SHALE_PACK_SMALL) {
		r = cut_segment(pack, NOTHING, err);
	} else if (pack->segment) {
		r = shale_pack_place_small(pack, pack->bytes + pack->head,
					   (uint32_t)pack->segment,
					   pack->offset, err);
		drop(pack, pack->segment);
		pack->segment = 0;
	}
	pack->cutting = false;
	return r;
}

/* ---------------------------------------------------------------- holes */

static int end_hole(struct shale_pack *pack, struct shale_err *err)
{
	struct shale_pack_note note = {
		.extent = {.ino = pack->ino,
			   .off = pack->hole,
			   .len = pack->hole_len,
			   .chunk = SHALE_HOLE},
		.kind = SHALE_NOTE_BARE,
	};
	if (!pack->hole_len)
		return 0;
	pack->hole_len = 0;
	return pack->patch ? shale_pack_place_note(pack, &note, err) : 0;
}

/* The next `len` bytes of the file, of which none are at work. */
static void add_hole(struct shale_pack *pack, uint64_t off, uint64_t len)
{
	if (!pack->hole_len)
		pack->hole = off;
	pack->hole_len += len;
}

/* ------------------------------------------------------------- the bytes */

/* Tell data from holes, block by block.  `end`: what is left is the tail of a
 * run, however short. */
static int look(struct shale_pack *pack, bool end, struct shale_err *err)
{
	int r = 0;
	while (r == 0) {
		uint64_t at = pack->offset + pack->segment;
		const uint8_t *data = pack->bytes + pack->head + pack->segment;
		size_t left = pack->tail - pack->head - pack->segment;
		size_t len = SHALE_PACK_BLOCK - at % SHALE_PACK_BLOCK;
		if (left < len && (!end || !left))
			break;
		if (len > left)
			len = left;

		if (at % SHALE_PACK_BLOCK == 0 && all_zero(data, len)) {
			r = end_segment(pack, err);
			add_hole(pack, at, len);
			drop(pack, len);
		} else {
			r = end_hole(pack, err);
			pack->segment += len;
		}
	}
	if (pack->segment >= SHALE_PACK_SMALL)
		pack->cutting = true;
	return r;
}

/* Bring all that is at work to its end: something else follows. */
static int end_run(struct shale_pack *pack, struct shale_err *err)
{
	int r = look(pack, true, err);
	if (r == 0)
		r = end_segment(pack, err);
	return r;
}

static int cut_off(struct shale_pack *pack, struct shale_err *err)
{
	int r = look(pack, false, err);
	return r < 0 ? r : cut_segment(pack, MORE, err);
}

static size_t at_work(const struct shale_pack *pack)
{
	return pack->tail - pack->head;
}

/* Put some of the next bytes behind those in the window. */
static size_t take_in(struct shale_pack *pack, const uint8_t *data, size_t len)
{
	if (len > SHALE_PACK_STEP)
		len = SHALE_PACK_STEP;
	if (len > SHALE_PACK_WINDOW - pack->tail) {
		pack->tail = at_work(pack);
		memmove(pack->window, pack->window + pack->head, pack->tail);
		pack->head = 0;
	}
	memcpy(pack->window + pack->tail, data, len);
	pack->tail += len;
	return len;
}

/* All bytes at work are the last before data[at]: go on where they are. */
static int work_in_place(struct shale_pack *pack, const uint8_t *data,
			 size_t at, size_t len, struct shale_err *err)
{
	size_t from = at - at_work(pack);
	pack->bytes = data;
	pack->head = from;
	pack->tail = len;
	int r = cut_off(pack, err);

	size_t left = at_work(pack);
	assert(r < 0 || left < SHALE_CHUNK_LONGEST + SHALE_PACK_BLOCK);
	if (r == 0)
		memcpy(pack->window, data + pack->head, left);
	pack->bytes = pack->window;
	pack->head = 0;
	pack->tail = r < 0 ? 0 : left;
	return r;
}

/* ------------------------------------------------------------- the calls */

/* May `len` more bytes follow?  All that was put in counts. */
static int check_room(struct shale_pack *pack, uint64_t len,
		      struct shale_err *err)
{
	assert(pack->in_file);
	uint64_t at = pack->offset + at_work(pack);
	if (len > INT64_MAX - at)
		return shale_err_say(err, EFBIG,
				     "inode %llu grows over 2^63 - 1 bytes",
				     (unsigned long long)pack->ino);
	return shale_pack_failed(pack, err);
}

/* After an error of the feeding thread nothing goes on either. */
static int checked(struct shale_pack *pack, int r, const struct shale_err *err)
{
	static const struct shale_err unsaid;
	return r < 0 ? shale_pack_fail(pack, r, err ? err : &unsaid) : r;
}

int shale_pack_begin(struct shale_pack *pack, uint64_t ino,
		     struct shale_err *err)
{
	assert(!pack->in_file);
	pack->ino = ino;
	pack->in_file = true;
	pack->patch = pack->cutting = pack->lead.given = false;
	pack->head = pack->tail = pack->segment = 0;
	pack->offset = pack->hole_len = 0;
	pack->rows_of = 0;
	pack->sought = UINT64_MAX;
	return shale_pack_failed(pack, err);
}

void shale_pack_patch(struct shale_pack *pack)
{
	assert(pack->in_file && !pack->offset && !pack->tail);
	pack->patch = true;
}

int shale_pack_write(struct shale_pack *pack, const void *data, size_t len,
		     struct shale_err *err)
{
	const uint8_t *bytes = data;
	size_t at = 0;
	int r = check_room(pack, len, err);

	pack->content += len;
	while (r == 0 && at < len && at_work(pack) > at) {
		at += take_in(pack, bytes + at, len - at);
		r = cut_off(pack, err);
	}
	if (r == 0 && at_work(pack) <= at && len)
		r = work_in_place(pack, bytes, at, len, err);
	return checked(pack, r, err);
}

int shale_pack_hole(struct shale_pack *pack, uint64_t len,
		    struct shale_err *err)
{
	int r = check_room(pack, len, err);
	if (r == 0 && len)
		r = end_run(pack, err);
	if (r == 0 && len) {
		pack->content += len;
		add_hole(pack, pack->offset, len);
		pack->offset += len;
	}
	return checked(pack, r, err);
}

/* What comes next is no data of this file: end what was there before. */
static int end_data(struct shale_pack *pack, struct shale_err *err)
{
	int r = end_run(pack, err);
	return r < 0 ? r : end_hole(pack, err);
}

/* As above, if anything comes: `len` bytes. */
static int begin_other(struct shale_pack *pack, uint64_t len,
		       struct shale_err *err)
{
	int r = check_room(pack, len, err);
	return r < 0 || !len ? r : end_data(pack, err);
}

/* `len` bytes were taken over from elsewhere. */
static void count_shared(struct shale_pack *pack, uint64_t len)
{
	pack->content += len;
	pack->shared += len;
	pack->offset += len;
}

int shale_pack_skip(struct shale_pack *pack, uint64_t len,
		    struct shale_err *err)
{
	int r = begin_other(pack, len, err);
	if (r == 0)
		pack->offset += len;
	return checked(pack, r, err);
}

int shale_pack_clone(struct shale_pack *pack, uint64_t ino, uint64_t off,
		     uint64_t len, struct shale_err *err)
{
	int r = begin_other(pack, len, err);
	if (r == 0 && len) {
		struct shale_pack_note note = {.extent = {.ino = pack->ino,
							  .off = pack->offset,
							  .len = len,
							  .chunk = SHALE_CLONE,
							  .clone_ino = ino,
							  .clone_off = off},
					       .kind = SHALE_NOTE_BARE};
		r = shale_pack_place_note(pack, &note, err);
		count_shared(pack, len);
	}
	return checked(pack, r, err);
}

int shale_pack_refer(struct shale_pack *pack, const struct shale_chunk *chunk,
		     uint32_t chunk_off, uint32_t len,
		     const struct shale_hash128 *packed, struct shale_err *err)
{
	int r = begin_other(pack, len, err);
	if (r == 0 && len) {
		struct shale_pack_note note = {
			.extent = {.ino = pack->ino,
				   .off = pack->offset,
				   .len = len,
				   .chunk_off = chunk_off},
			.kind = SHALE_NOTE_CHUNK,
			.packed = packed != NULL,
			.chunk = *chunk};
		if (packed)
			note.hash = *packed;
		r = shale_pack_place_note(pack, &note, err);
		count_shared(pack, len);
	}
	return checked(pack, r, err);
}

/* Cut off all that is at work, if it is certain that its last chunk ends where
 * it does. */
static int settle(struct shale_pack *pack, struct shale_err *err)
{
	const uint8_t *tail = pack->bytes + pack->head + pack->segment;
	size_t left = at_work(pack) - pack->segment;
	bool begins = (pack->offset + pack->segment) % SHALE_PACK_BLOCK == 0;

	/* A block that begins with zeros may go on with them. */
	if ((left && begins && all_zero(tail, left)) ||
	    (!pack->cutting && pack->segment + left < SHALE_PACK_SMALL))
		return 0;
	int r = left ? end_hole(pack, err) : 0;
	pack->cutting = true;
	pack->segment += left;
	if (r == 0)
		r = cut_segment(pack, ANYTHING, err);
	pack->segment -= left < pack->segment ? left : pack->segment;
	return r;
}

int shale_pack_same(struct shale_pack *pack, const struct shale_chunk *chunk,
		    struct shale_err *err)
{
	int r = check_room(pack, chunk->len, err);
	if (r == 0 && at_work(pack))
		r = settle(pack, err);
	if (r == 0 && (at_work(pack) ||
		       (!pack->cutting && chunk->len < SHALE_PACK_SMALL)))
		return 0;
	if (r == 0)
		r = end_hole(pack, err);
	struct shale_pack_note note = {.extent = {.ino = pack->ino,
						  .off = pack->offset,
						  .len = chunk->len},
				       .kind = SHALE_NOTE_CHUNK,
				       .chunk = *chunk};
	if (r == 0)
		r = shale_pack_place_note(pack, &note, err);
	if (r < 0)
		return checked(pack, r, err);
	pack->cutting = true;
	pack->lead.given = false;
	pack->followed += chunk->len;
	count_shared(pack, chunk->len);
	return 1;
}

int shale_pack_end(struct shale_pack *pack, struct shale_err *err)
{
	int r = check_room(pack, 0, err);
	if (r == 0)
		r = end_data(pack, err);
	pack->in_file = false;
	return checked(pack, r, err);
}
