/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/blob/pack_impl.h"

#include "layers/base/cleanup.h"

#include <assert.h>
#include <string.h>

static bool get_memory(struct shale_pack *pack)
{
	pack->seen = shale_pack_seen_new();
	pack->bytes = pack->window = malloc(SHALE_PACK_WINDOW);
	pack->open = malloc(SHALE_CHUNK_LONGEST);
	pack->recall = malloc(SHALE_CHUNK_LONGEST);
	pack->scratch = malloc(SHALE_PACK_SMALL);
	return pack->seen && pack->window && pack->open && pack->recall &&
	       pack->scratch;
}

static int copy_lower(struct shale_pack *pack,
		      const struct shale_pack_opts *opts)
{
	if (!opts->n_lower)
		return 0;
	pack->lower = calloc(opts->n_lower, sizeof(*pack->lower));
	pack->rows = calloc(opts->n_lower, sizeof(*pack->rows));
	if (!pack->lower || !pack->rows)
		return -ENOMEM;
	memcpy(pack->lower, opts->lower, opts->n_lower * sizeof(*pack->lower));
	pack->n_lower = opts->n_lower;
	return 0;
}

static int start_threads(struct shale_pack *pack, unsigned threads,
			 struct shale_err *err)
{
	int r = shale_pool_new(&pack->pool, threads, SHALE_PACK_JOBS, err);
	if (r < 0)
		return r;
	int errnum = pthread_create(&pack->writer, NULL, shale_pack_write_jobs,
				    pack);
	if (errnum)
		return shale_err_set(err, errnum, "start the writing thread");
	pack->writer_runs = true;
	return 0;
}

int shale_pack_new(struct shale_pack **out, struct shale_blobs *blobs,
		   struct shale_chunks *chunks, struct shale_tree_build *build,
		   const struct shale_pack_opts *opts, struct shale_err *err)
{
	struct shale_pack *pack = calloc(1, sizeof(*pack));
	if (!pack)
		return shale_err_set(err, ENOMEM, "pack content");
	pthread_mutex_init(&pack->lock, NULL);
	pthread_cond_init(&pack->done, NULL);
	pthread_cond_init(&pack->freed, NULL);
	pack->blobs = blobs;
	pack->chunks = chunks;
	pack->build = build;
	pack->codec = opts->codec;
	shale_data_write_init(&pack->data, blobs);
	pack->open_unit = pack->recalled = SHALE_PACK_NO_UNIT;
	for (size_t i = 0; i < SHALE_PACK_JOBS; i++)
		pack->jobs[i].unit = SHALE_PACK_NO_UNIT;

	int r = 0;
	if (!get_memory(pack) || copy_lower(pack, opts) < 0)
		r = shale_err_set(err, ENOMEM, "pack content");
	if (r == 0)
		r = start_threads(pack, opts->threads, err);
	if (r < 0) {
		shale_pack_free(pack);
		return r;
	}
	*out = pack;
	return 0;
}

/* Let everything that was given come to its end. */
static void stop_threads(struct shale_pack *pack)
{
	shale_pool_free(pack->pool);
	pack->pool = NULL;
	if (!pack->writer_runs)
		return;
	pthread_mutex_lock(&pack->lock);
	pack->ending = true;
	pthread_cond_signal(&pack->done);
	pthread_mutex_unlock(&pack->lock);
	pthread_join(pack->writer, NULL);
	pack->writer_runs = false;
}

static void release_jobs(struct shale_pack *pack)
{
	for (size_t i = 0; i < SHALE_PACK_JOBS; i++) {
		struct shale_pack_job *job = &pack->jobs[i];
		shale_buf_release(&job->notes);
		shale_buf_release(&job->members);
		free(job->data);
		free(job->out);
	}
	struct shale_compressor **idle =
		(struct shale_compressor **)pack->compressors.data;
	for (size_t i = 0; i < pack->compressors.len / sizeof(*idle); i++)
		shale_compressor_free(idle[i]);
	shale_buf_release(&pack->compressors);
}

void shale_pack_free(struct shale_pack *pack)
{
	if (!pack)
		return;
	/* What is still under way need not be done. */
	struct shale_err err;
	shale_pack_fail(pack, shale_err_set(&err, ECANCELED, "pack content"),
			&err);
	stop_threads(pack);
	shale_data_write_release(&pack->data);
	release_jobs(pack);
	shale_pack_seen_free(pack->seen);
	shale_buf_release(&pack->units);
	shale_buf_release(&pack->notes);
	shale_buf_release(&pack->members);
	free(pack->window);
	free(pack->open);
	free(pack->recall);
	free(pack->scratch);
	free(pack->lower);
	free(pack->rows);
	pthread_cond_destroy(&pack->freed);
	pthread_cond_destroy(&pack->done);
	pthread_mutex_destroy(&pack->lock);
	free(pack);
}

int shale_pack_finish(struct shale_pack *pack, struct shale_blob_tmp *out,
		      uint64_t *size, struct shale_pack_stats *stats,
		      struct shale_err *err)
{
	int r = shale_pack_failed(pack, err);
	if (r == 0) {
		assert(!pack->in_file && pack->writer_runs);
		r = shale_pack_place_rest(pack, err);
	}
	stop_threads(pack);
	if (r == 0)
		r = shale_pack_failed(pack, err);
	if (r < 0)
		return r;

	shale_data_write_finish(&pack->data, out, size);
	if (out->fd >= 0)
		shale_tree_build_own_blob(pack->build, &out->digest, *size);
	shale_pack_progress(pack, stats);
	return 0;
}

void shale_pack_progress(const struct shale_pack *pack,
			 struct shale_pack_stats *stats)
{
	*stats = (struct shale_pack_stats){.content = pack->content,
					   .stored = pack->stored,
					   .shared = pack->shared,
					   .followed = pack->followed,
					   .new_chunks = pack->new_chunks};
}
