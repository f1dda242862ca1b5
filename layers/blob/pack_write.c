/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/blob/pack_impl.h"

#include <errno.h>

/* ------------------------------------------------------------- the blob */

static int append(struct shale_pack *pack, const void *data, size_t len,
		  struct shale_err *err)
{
	int r = shale_data_write_append(&pack->data, data, len, err);
	if (r == 0)
		pack->stored = pack->data.size;
	return r;
}

static int begin_blob(struct shale_pack *pack, struct shale_err *err)
{
	int r = shale_data_write_begin(&pack->data, err);
	if (r == 0)
		r = shale_tree_build_blob(pack->build, NULL, 0, &pack->own,
					  err);
	return r;
}

/* Store what a job compressed. */
static int store(struct shale_pack *pack, const struct shale_pack_job *job,
		 struct shale_pack_unit *unit, struct shale_err *err)
{
	int r = pack->data.tmp.fd < 0 ? begin_blob(pack, err) : 0;
	if (r < 0)
		return r;

	struct shale_chunk chunk = {.len = job->len,
				    .stored = job->stored,
				    .codec = job->codec,
				    .off = pack->data.size,
				    .hash = job->hash,
				    .sha256 = job->sha256};
	*unit = (struct shale_pack_unit){.state = SHALE_UNIT_OWN,
					 .codec = job->codec,
					 .len = job->len,
					 .off = pack->data.size,
					 .stored = job->stored};
	r = append(pack, job->out, job->stored, err);
	if (r == 0)
		r = shale_tree_build_chunk(pack->build, &chunk, pack->own,
					   &unit->chunk, err);
	if (r == 0)
		pack->new_chunks++;
	return r;
}

/* ------------------------------------------------------ chunks, extents */

/* Have a chunk of another tree blob. */
static int adopt(struct shale_pack *pack, const struct shale_chunk *chunk,
		 uint32_t *number, struct shale_err *err)
{
	uint32_t blob;
	int r = shale_tree_build_blob(pack->build, &chunk->blob,
				      chunk->blob_size, &blob, err);
	if (r == 0)
		r = shale_tree_build_chunk(pack->build, chunk, blob, number,
					   err);
	return r;
}

static int write_note(struct shale_pack *pack,
		      const struct shale_pack_note *note, struct shale_err *err)
{
	struct shale_extent extent = note->extent;
	struct shale_pack_unit unit = {.packed = note->packed};
	struct shale_chunk known;
	int r = 0;

	switch (note->kind) {
	case SHALE_NOTE_BARE:
		break;
	case SHALE_NOTE_UNIT:
		shale_pack_unit_get(pack, note->unit, &unit);
		unit.packed |= note->packed;
		extent.chunk = unit.chunk;
		extent.chunk_off += unit.base;
		break;
	case SHALE_NOTE_CHUNK:
		r = adopt(pack, shale_pack_known(pack, &note->chunk, &known),
			  &extent.chunk, err);
		break;
	}
	if (r < 0)
		return r;
	return shale_tree_build_extent(pack->build, &extent,
				       unit.packed ? &note->hash : NULL, err);
}

static int write_notes(struct shale_pack *pack, const struct shale_buf *notes,
		       struct shale_err *err)
{
	const struct shale_pack_note *all =
		(const struct shale_pack_note *)notes->data;
	for (size_t i = 0; i < notes->len / sizeof(*all); i++) {
		int r = write_note(pack, &all[i], err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int write_members(struct shale_pack *pack, const struct shale_buf *list,
			 uint32_t chunk, struct shale_err *err)
{
	struct shale_pack_member *all = (struct shale_pack_member *)list->data;
	for (size_t i = 0; i < list->len / sizeof(*all); i++) {
		all[i].extent.chunk = chunk;
		int r = shale_tree_build_extent(pack->build, &all[i].extent,
						&all[i].hash, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* What became of the unit of a chunk's or pack's job. */
static int settle(struct shale_pack *pack, const struct shale_pack_job *job,
		  struct shale_pack_unit *unit, struct shale_err *err)
{
	if (job->answer == SHALE_FOUND_NOT)
		return store(pack, job, unit, err);
	*unit = job->found;
	pack->shared += job->len;
	if (job->answer == SHALE_FOUND_EARLIER)
		return 0;
	return adopt(pack, &job->found_chunk, &unit->chunk, err);
}

static int write_job(struct shale_pack *pack, const struct shale_pack_job *job,
		     struct shale_err *err)
{
	struct shale_pack_unit unit;
	int r = write_notes(pack, &job->notes, err);
	if (r < 0 || job->kind == SHALE_JOB_NOTES)
		return r;
	r = settle(pack, job, &unit, err);
	if (r < 0)
		return r;
	shale_pack_unit_set(pack, job->unit, &unit);
	if (job->kind == SHALE_JOB_PACK)
		return write_members(pack, &job->members, unit.chunk, err);

	struct shale_extent extent = job->extent;
	extent.chunk = unit.chunk;
	extent.chunk_off = unit.base;
	return shale_tree_build_extent(pack->build, &extent,
				       unit.packed ? &job->hash : NULL, err);
}

/* ------------------------------------------------------------ the thread */

/* The next job in order, or NULL at the end.  With the lock held. */
static struct shale_pack_job *next_job(struct shale_pack *pack)
{
	struct shale_pack_job *job =
		&pack->jobs[pack->written % SHALE_PACK_JOBS];
	while (job->state != SHALE_JOB_DONE) {
		if (pack->ending && pack->written == pack->fed)
			return NULL;
		pthread_cond_wait(&pack->done, &pack->lock);
	}
	return job;
}

void *shale_pack_write_jobs(void *arg)
{
	struct shale_pack *pack = arg;
	struct shale_pack_job *job;
	struct shale_err err;

	pthread_mutex_lock(&pack->lock);
	while ((job = next_job(pack))) {
		int r = pack->failed;
		pthread_mutex_unlock(&pack->lock);

		if (r == 0 && (r = write_job(pack, job, &err)) < 0)
			shale_pack_fail(pack, r, &err);

		pthread_mutex_lock(&pack->lock);
		job->state = SHALE_JOB_FREE;
		pack->written++;
		pthread_cond_signal(&pack->freed);
	}
	pthread_mutex_unlock(&pack->lock);
	return NULL;
}
