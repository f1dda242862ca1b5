/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/blob/pack_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int no_memory(struct shale_err *err)
{
	return shale_err_set(err, ENOMEM, "pack content");
}

static struct shale_extent extent_of(const struct shale_pack *pack,
				     uint64_t off, uint64_t len)
{
	return (struct shale_extent){.ino = pack->ino, .off = off, .len = len};
}

static int remember(struct shale_pack *pack, const struct shale_hash128 *hash,
		    uint32_t unit, uint32_t off, uint32_t len, bool packed,
		    struct shale_err *err)
{
	struct shale_pack_place place = {*hash, unit, off, len, packed};
	int r = shale_pack_seen_add(pack->seen, &place);
	return r < 0 ? no_memory(err) : 0;
}

/* ---------------------------------------------------------------- notes */

static int flush_notes(struct shale_pack *pack, struct shale_err *err)
{
	struct shale_pack_job *job;
	int r = shale_pack_job_take(pack, &job, err);
	if (r < 0)
		return r;
	job->kind = SHALE_JOB_NOTES;
	shale_pack_job_give(pack, job);
	return 0;
}

int shale_pack_place_note(struct shale_pack *pack,
			  const struct shale_pack_note *note,
			  struct shale_err *err)
{
	if (shale_buf_append(&pack->notes, note, sizeof(*note)) < 0)
		return no_memory(err);
	if (pack->notes.len < SHALE_PACK_NOTES * sizeof(*note))
		return 0;
	return flush_notes(pack, err);
}

/* ------------------------------------------------------------- the pack */

static int close_pack(struct shale_pack *pack, struct shale_err *err)
{
	struct shale_pack_job *job;
	int r = shale_pack_job_take(pack, &job, err);
	if (r < 0)
		return r;

	uint8_t *data = job->data;
	struct shale_buf members = job->members;
	job->kind = SHALE_JOB_PACK;
	job->unit = pack->open_unit;
	job->data = pack->open;
	job->len = pack->open_len;
	job->members = pack->members;
	pack->open_unit = SHALE_PACK_NO_UNIT;
	pack->open = data;
	pack->open_len = 0;
	pack->members = members;
	shale_pack_job_give(pack, job);
	return 0;
}

/* An extent of the open pack, at its byte `at`. */
static int add_member(struct shale_pack *pack, const struct shale_hash128 *hash,
		      uint32_t at, uint32_t len, uint64_t off,
		      struct shale_err *err)
{
	struct shale_pack_member m = {extent_of(pack, off, len), *hash};
	m.extent.chunk_off = at;
	if (shale_buf_append(&pack->members, &m, sizeof(m)) < 0)
		return no_memory(err);
	if (pack->open_len == SHALE_PACK_MAX ||
	    pack->members.len == SHALE_PACK_MEMBERS * sizeof(m))
		return close_pack(pack, err);
	return 0;
}

static int join_pack(struct shale_pack *pack, const struct shale_hash128 *hash,
		     const uint8_t *data, uint32_t len, uint64_t off,
		     bool is_known, struct shale_err *err)
{
	int r = 0;
	if (pack->open_len + len > SHALE_PACK_MAX)
		r = close_pack(pack, err);
	if (r == 0 && pack->open_unit == SHALE_PACK_NO_UNIT)
		r = shale_pack_unit_new(pack, &pack->open_unit, err);
	if (r == 0 && !is_known)
		r = remember(pack, hash, pack->open_unit, pack->open_len, len,
			     true, err);
	if (r < 0)
		return r;

	uint32_t at = pack->open_len;
	memcpy(pack->open + at, data, len);
	pack->open_len += len;
	return add_member(pack, hash, at, len, off, err);
}

int shale_pack_place_rest(struct shale_pack *pack, struct shale_err *err)
{
	int r = 0;
	if (pack->open_unit != SHALE_PACK_NO_UNIT)
		r = close_pack(pack, err);
	if (r == 0 && pack->notes.len)
		r = flush_notes(pack, err);
	return r;
}

/* ----------------------------------------------------------- duplicates */

/* Content of a unit that has not left this process's memory, or NULL. */
static const uint8_t *in_memory(struct shale_pack *pack, uint32_t unit,
				const struct shale_pack_unit *known)
{
	const struct shale_pack_job *job = &pack->jobs[known->slot];
	if (unit == pack->open_unit)
		return pack->open;
	return job->unit == unit ? job->data : NULL;
}

/* Say that the content at `off` of the file is that of `place`. */
static int share_place(struct shale_pack *pack,
		       const struct shale_pack_place *place, uint64_t off,
		       struct shale_err *err)
{
	pack->shared += place->len;
	if (place->unit == pack->open_unit)
		return add_member(pack, &place->hash, place->off, place->len,
				  off, err);

	struct shale_pack_note note = {.extent =
					       extent_of(pack, off, place->len),
				       .kind = SHALE_NOTE_UNIT,
				       .unit = place->unit,
				       .packed = place->packed,
				       .hash = place->hash};
	note.extent.chunk_off = place->off;
	return shale_pack_place_note(pack, &note, err);
}

/*
 * Does a written unit hold `data` at `place`?  The last unit read back is kept:
 * small files that come twice come in the same order.
 */
static bool recall_same(struct shale_pack *pack,
			const struct shale_pack_place *place,
			const struct shale_pack_unit *unit, const uint8_t *data)
{
	if (unit->state == SHALE_UNIT_LOWER)
		return shale_pack_recall(pack, unit, place->off, place->len,
					 pack->scratch, NULL) == 0 &&
		       memcmp(pack->scratch, data, place->len) == 0;
	if (pack->recalled != place->unit) {
		pack->recalled = SHALE_PACK_NO_UNIT;
		if (shale_pack_recall(pack, unit, 0, unit->len, pack->recall,
				      NULL) < 0)
			return false;
		pack->recalled = place->unit;
	}
	return memcmp(pack->recall + unit->base + place->off, data,
		      place->len) == 0;
}

/* ------------------------------------------------------- small segments */

static int share_lower(struct shale_pack *pack,
		       const struct shale_hash128 *hash, uint32_t len,
		       uint64_t off, const struct shale_pack_unit *found,
		       const struct shale_chunk *chunk, struct shale_err *err)
{
	struct shale_pack_note note = {.extent = extent_of(pack, off, len),
				       .kind = SHALE_NOTE_CHUNK,
				       .packed = found->packed,
				       .hash = *hash,
				       .chunk = *chunk};
	note.extent.chunk_off = found->base;
	pack->shared += len;
	return shale_pack_place_note(pack, &note, err);
}

/* Whether it enters the pack must be known at once, so what may be a duplicate
 * is compared here. */
int shale_pack_place_small(struct shale_pack *pack, const uint8_t *data,
			   uint32_t len, uint64_t off, struct shale_err *err)
{
	struct shale_hash128 hash = shale_xxh128(data, len);
	const struct shale_pack_place *place =
		shale_pack_seen_find(pack->seen, &hash, len);
	struct shale_pack_unit unit;
	struct shale_chunk chunk;

	if (place) {
		shale_pack_unit_get(pack, place->unit, &unit);
		const uint8_t *memory = in_memory(pack, place->unit, &unit);
		if (memory ? memcmp(memory + place->off, data, len) == 0
			   : recall_same(pack, place, &unit, data))
			return share_place(pack, place, off, err);
	}
	if (shale_pack_find_lower(pack, &hash, NULL, data, len, pack->scratch,
				  &unit, &chunk))
		return share_lower(pack, &hash, len, off, &unit, &chunk, err);
	return join_pack(pack, &hash, data, len, off, place, err);
}

/* --------------------------------------------------------------- chunks */

int shale_pack_place_chunk(struct shale_pack *pack,
			   const struct shale_pack_cut *cut,
			   struct shale_err *err)
{
	const struct shale_pack_place *place =
		shale_pack_seen_find(pack->seen, &cut->hash, cut->len);
	struct shale_pack_unit same;
	const uint8_t *memory = NULL;

	if (place) {
		shale_pack_unit_get(pack, place->unit, &same);
		memory = in_memory(pack, place->unit, &same);
		if (memory &&
		    memcmp(memory + place->off, cut->data, cut->len) == 0)
			return share_place(pack, place, cut->off, err);
	}

	struct shale_pack_job *job;
	uint32_t unit;
	int r = shale_pack_job_take(pack, &job, err);
	if (r == 0)
		r = shale_pack_unit_new(pack, &unit, err);
	if (r < 0)
		return r;
	job->kind = SHALE_JOB_CHUNK;
	job->unit = unit;
	memcpy(job->data, cut->data, cut->len);
	job->len = cut->len;
	job->hash = cut->hash;
	job->lower = cut->lower;
	job->extent = extent_of(pack, cut->off, cut->len);
	if (place && !memory) {
		job->maybe_same = true;
		job->same = same;
		job->same_off = place->off;
		job->same.packed |= place->packed;
	}
	if (!place)
		r = remember(pack, &cut->hash, unit, 0, cut->len, false, err);
	if (r == 0)
		shale_pack_job_give(pack, job);
	return r;
}
