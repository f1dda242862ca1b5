/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/blob/pack_impl.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

/*
 * The window holds the bytes of the file from `offset` on:
 *
 *	head            head + segment               tail
 *	 | data of the segment | not looked at: less than a block |
 */

static bool all_zero(const uint8_t *data, size_t len)
{
	return data[0] == 0 && memcmp(data, data + 1, len - 1) == 0;
}

/* ------------------------------------------------------------- segments */

static void drop(struct shale_pack *pack, size_t len)
{
	pack->head += len;
	pack->offset += len;
}

/* Cut chunks off a segment of which more may come: a cut needs to see as much
 * as the longest chunk.  `end`: nothing more comes. */
static int cut_segment(struct shale_pack *pack, bool end, struct shale_err *err)
{
	while (end ? pack->segment > 0 : pack->segment >= SHALE_CHUNK_MAX) {
		const uint8_t *data = pack->window + pack->head;
		size_t len = shale_cut(data, pack->segment);
		int r = shale_pack_place_chunk(pack, data, (uint32_t)len,
					       pack->offset, err);
		if (r < 0)
			return r;
		drop(pack, len);
		pack->segment -= len;
	}
	return 0;
}

static int end_segment(struct shale_pack *pack, struct shale_err *err)
{
	int r = 0;
	if (pack->cutting || pack->segment >= SHALE_PACK_SMALL) {
		r = cut_segment(pack, true, err);
	} else if (pack->segment) {
		r = shale_pack_place_small(pack, pack->window + pack->head,
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

/* The next `len` bytes of the file, of which none are in the window. */
static void add_hole(struct shale_pack *pack, uint64_t off, uint64_t len)
{
	if (!pack->hole_len)
		pack->hole = off;
	pack->hole_len += len;
}

/* ------------------------------------------------------------ the window */

/* Tell data from holes, block by block.  `end`: what is left is the tail of a
 * run, however short. */
static int look(struct shale_pack *pack, bool end, struct shale_err *err)
{
	int r = 0;
	while (r == 0) {
		uint64_t at = pack->offset + pack->segment;
		const uint8_t *data = pack->window + pack->head + pack->segment;
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

/* Bring all that is in the window to its end: something else follows. */
static int end_run(struct shale_pack *pack, struct shale_err *err)
{
	int r = look(pack, true, err);
	if (r == 0)
		r = end_segment(pack, err);
	return r;
}

static size_t take_in(struct shale_pack *pack, const uint8_t *data, size_t len)
{
	size_t held = pack->tail - pack->head;
	if (pack->tail == SHALE_PACK_WINDOW) {
		memmove(pack->window, pack->window + pack->head, held);
		pack->head = 0;
		pack->tail = held;
	}
	size_t room = SHALE_PACK_WINDOW - pack->tail;
	if (len > room)
		len = room;
	memcpy(pack->window + pack->tail, data, len);
	pack->tail += len;
	return len;
}

/* ------------------------------------------------------------- the calls */

/* May `len` more bytes follow?  All that was put in counts. */
static int check_room(struct shale_pack *pack, uint64_t len,
		      struct shale_err *err)
{
	assert(pack->in_file);
	uint64_t at = pack->offset + (pack->tail - pack->head);
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
	pack->patch = pack->cutting = false;
	pack->head = pack->tail = pack->segment = 0;
	pack->offset = pack->hole_len = 0;
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
	const uint8_t *at = data;
	int r = check_room(pack, len, err);

	pack->content += len;
	while (r == 0 && len) {
		size_t taken = take_in(pack, at, len);
		at += taken;
		len -= taken;
		r = look(pack, false, err);
		if (r == 0)
			r = cut_segment(pack, false, err);
	}
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

int shale_pack_end(struct shale_pack *pack, struct shale_err *err)
{
	int r = check_room(pack, 0, err);
	if (r == 0)
		r = end_data(pack, err);
	pack->in_file = false;
	return checked(pack, r, err);
}
