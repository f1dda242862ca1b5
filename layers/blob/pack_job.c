/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/blob/pack_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* --------------------------------------------------------------- errors */

int shale_pack_failed(struct shale_pack *pack, struct shale_err *err)
{
	pthread_mutex_lock(&pack->lock);
	int r = pack->failed;
	if (r < 0 && err)
		*err = pack->why;
	pthread_mutex_unlock(&pack->lock);
	return r;
}

int shale_pack_fail(struct shale_pack *pack, int r, const struct shale_err *err)
{
	pthread_mutex_lock(&pack->lock);
	if (!pack->failed) {
		pack->failed = r;
		pack->why = *err;
	}
	pthread_mutex_unlock(&pack->lock);
	return r;
}

/* ---------------------------------------------------------------- units */

int shale_pack_unit_new(struct shale_pack *pack, uint32_t *unit,
			struct shale_err *err)
{
	pthread_mutex_lock(&pack->lock);
	size_t n = pack->units.len / sizeof(struct shale_pack_unit);
	bool added =
		n < SHALE_PACK_NO_UNIT &&
		shale_buf_add(&pack->units, sizeof(struct shale_pack_unit));
	pthread_mutex_unlock(&pack->lock);
	if (!added)
		return shale_err_set(err, ENOMEM, "pack content");
	*unit = (uint32_t)n;
	return 0;
}

static struct shale_pack_unit *unit_at(struct shale_pack *pack, uint32_t unit)
{
	return (struct shale_pack_unit *)pack->units.data + unit;
}

void shale_pack_unit_get(struct shale_pack *pack, uint32_t unit,
			 struct shale_pack_unit *out)
{
	pthread_mutex_lock(&pack->lock);
	*out = *unit_at(pack, unit);
	pthread_mutex_unlock(&pack->lock);
}

void shale_pack_unit_set(struct shale_pack *pack, uint32_t unit,
			 const struct shale_pack_unit *in)
{
	pthread_mutex_lock(&pack->lock);
	uint8_t slot = unit_at(pack, unit)->slot;
	*unit_at(pack, unit) = *in;
	unit_at(pack, unit)->slot = slot;
	pthread_mutex_unlock(&pack->lock);
}

/* -------------------------------------------------------------- workers */

/* Compressors are lent out: there come to be as many as workers. */
static int take_compressor(struct shale_pack *pack,
			   struct shale_compressor **out, struct shale_err *err)
{
	struct shale_compressor *c = NULL;
	pthread_mutex_lock(&pack->lock);
	if (pack->compressors.len) {
		pack->compressors.len -= sizeof(c);
		memcpy(&c, pack->compressors.data + pack->compressors.len,
		       sizeof(c));
	}
	pthread_mutex_unlock(&pack->lock);
	if (!c)
		return shale_compressor_new(out, pack->codec, err);
	*out = c;
	return 0;
}

static void give_compressor(struct shale_pack *pack, struct shale_compressor *c)
{
	pthread_mutex_lock(&pack->lock);
	int r = shale_buf_append(&pack->compressors, &c, sizeof(c));
	pthread_mutex_unlock(&pack->lock);
	if (r < 0)
		shale_compressor_free(c);
}

static bool same_as_earlier(struct shale_pack *pack, struct shale_pack_job *job)
{
	if (!job->maybe_same ||
	    shale_pack_recall(pack, &job->same, job->same_off, job->len,
			      job->out, NULL) < 0 ||
	    memcmp(job->out, job->data, job->len) != 0)
		return false;
	job->found = job->same;
	job->found.base += job->same_off;
	return true;
}

static int run_job(struct shale_pack *pack, struct shale_pack_job *job,
		   struct shale_err *err)
{
	if (job->kind == SHALE_JOB_PACK)
		job->hash = shale_xxh128(job->data, job->len);
	else if (same_as_earlier(pack, job))
		job->answer = SHALE_FOUND_EARLIER;
	else if (shale_pack_find_lower(pack, &job->hash, &job->lower, job->data,
				       job->len, job->out, &job->found,
				       &job->found_chunk))
		job->answer = SHALE_FOUND_LOWER;
	if (job->answer != SHALE_FOUND_NOT)
		return 0;

	struct shale_compressor *c;
	int r = take_compressor(pack, &c, err);
	if (r < 0)
		return r;
	job->stored = (uint32_t)shale_compress(c, job->data, job->len, job->out,
					       &job->codec);
	give_compressor(pack, c);
	shale_sha256(job->out, job->stored, &job->sha256);
	return 0;
}

static void set_done(struct shale_pack *pack, struct shale_pack_job *job)
{
	pthread_mutex_lock(&pack->lock);
	job->state = SHALE_JOB_DONE;
	pthread_cond_signal(&pack->done);
	pthread_mutex_unlock(&pack->lock);
}

static void work(void *arg)
{
	struct shale_pack_job *job = arg;
	struct shale_err err;
	int r = shale_pack_failed(job->pack, NULL);

	if (r == 0 && (r = run_job(job->pack, job, &err)) < 0)
		shale_pack_fail(job->pack, r, &err);
	set_done(job->pack, job);
}

/* ------------------------------------------------------- feeding thread */

static int give_room(struct shale_pack_job *job, struct shale_err *err)
{
	if (!job->data)
		job->data = malloc(SHALE_CHUNK_LONGEST);
	if (!job->out)
		job->out = malloc(shale_codec_bound(SHALE_CHUNK_LONGEST));
	return job->data && job->out
		       ? 0
		       : shale_err_set(err, ENOMEM, "pack content");
}

int shale_pack_job_take(struct shale_pack *pack, struct shale_pack_job **out,
			struct shale_err *err)
{
	pthread_mutex_lock(&pack->lock);
	struct shale_pack_job *job = &pack->jobs[pack->fed % SHALE_PACK_JOBS];
	while (job->state != SHALE_JOB_FREE)
		pthread_cond_wait(&pack->freed, &pack->lock);
	pthread_mutex_unlock(&pack->lock);

	int r = shale_pack_failed(pack, err);
	if (r == 0)
		r = give_room(job, err);
	if (r < 0)
		return r;
	job->pack = pack;
	job->unit = SHALE_PACK_NO_UNIT;
	job->maybe_same = false;
	job->answer = SHALE_FOUND_NOT;
	job->members.len = 0;
	*out = job;
	return 0;
}

void shale_pack_job_give(struct shale_pack *pack, struct shale_pack_job *job)
{
	struct shale_buf notes = job->notes;
	job->notes = pack->notes;
	pack->notes = notes;
	pack->notes.len = 0;

	pthread_mutex_lock(&pack->lock);
	if (job->unit != SHALE_PACK_NO_UNIT)
		unit_at(pack, job->unit)->slot =
			(uint8_t)(pack->fed % SHALE_PACK_JOBS);
	job->state = SHALE_JOB_QUEUED;
	pack->fed++;
	pthread_mutex_unlock(&pack->lock);

	if (job->kind == SHALE_JOB_NOTES)
		set_done(pack, job);
	else
		shale_pool_add(pack->pool, work, job);
}
