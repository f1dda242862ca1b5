/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/commit/commit.h"

#include "fs/commit/delta.h"
#include "fs/commit/stack.h"
#include "fs/commit/summary.h"
#include "layers/base/cleanup.h"
#include "layers/store/compact.h"

#include <string.h>

enum { CHUNK_CACHE = 8 << 20 };

SHALE_DEFINE_CLEANUP(pack, struct shale_pack *, shale_pack_free);
#define cleanup_pack SHALE_CLEANUP(shale_cleanup_pack)

/* A commit under way. */
struct job {
	const struct shale_commit *in;
	struct shale_records records;
	struct shale_rec_image which;  /* what it is based on */
	struct shale_image *lower;     /* the last image: its trees */
	struct shale_image *below;     /* the same, merged: what the layer
					* stands on and refers to */
	struct shale_version *version; /* under construction */
	const struct shale_pack *pack; /* the one at work, for progress */
};

/* Opens what contents refer to. */
static int open_content(void *arg, const struct shale_rec_image *which,
			struct shale_image **out, struct shale_err *err)
{
	const struct job *job = arg;
	return shale_store_open_manifests(job->in->store, which->manifest,
					  which->n, false, out, err);
}

static bool job_cancelled(void *arg)
{
	const struct job *job = arg;
	if (!job->in->going || !job->pack)
		return false;
	struct shale_pack_stats stats;
	shale_pack_progress(job->pack, &stats);
	return job->in->going(job->in->arg, &stats);
}

static int read_records(struct job *job, struct shale_err *err)
{
	struct shale_records *records = &job->records;
	int r = shale_records_take(records, job->in->snapshot, err);
	if (r == 0)
		r = shale_records_image(records, records->state.last,
					&job->which, err);
	if (r == 0)
		r = shale_records_load_names(records, err);
	return r < 0 ? shale_err_wrap(err, r, "read the workspace") : 0;
}

static int add_layer(struct shale_layer_desc **list, size_t *n,
		     const struct shale_digest *digest, uint64_t size,
		     struct shale_err *err)
{
	struct shale_layer_desc *more =
		realloc(*list, (*n + 1) * sizeof(**list));
	if (!more)
		return shale_err_set(err, ENOMEM, "commit");
	more[(*n)++] = (struct shale_layer_desc){*digest, size};
	*list = more;
	return 0;
}

/* The blobs of a layer on their way. */
struct blobs {
	struct shale_blob_tmp file[3]; /* tree, metadata, data */
	uint64_t size[3];
};
enum { TREE, METADATA, DATA };
#define NO_BLOBS                                                               \
	{                                                                      \
		.file = { {.fd = -1}, {.fd = -1}, {.fd = -1} }                 \
	}

static void abandon(const struct job *job, struct blobs *b)
{
	for (int i = 0; i < 3; i++) {
		if (b->file[i].fd < 0)
			continue;
		close(b->file[i].fd);
		shale_blobs_abandon(shale_store_blobs(job->in->store),
				    b->file[i].name);
	}
}

static int create(const struct job *job, struct shale_blob_tmp *file,
		  struct shale_err *err)
{
	return shale_blobs_create(shale_store_blobs(job->in->store), &file->fd,
				  file->name, err);
}

/* Make the layer's blobs durable, and have its tree at the end of the list. */
static int publish_blobs(struct job *job, const struct blobs *b,
			 struct shale_err *err)
{
	struct shale_blob_tmp files[3];
	size_t n = 0;

	for (int i = 0; i < 3; i++)
		if (b->file[i].fd >= 0)
			files[n++] = b->file[i];
	int r = shale_blobs_publish(shale_store_blobs(job->in->store), files, n,
				    err);
	return r < 0 ? r
		     : add_layer(&job->version->trees, &job->version->n_trees,
				 &b->file[TREE].digest, b->size[TREE], err);
}

/* Finish packer and builder. */
static int finish_layer(struct job *job, struct shale_tree_build *build,
			struct shale_pack *pack, uint64_t next_ino,
			struct blobs *b, struct shale_pack_stats *stats,
			struct shale_err *err)
{
	int r = shale_pack_finish(pack, &b->file[DATA], &b->size[DATA], stats,
				  err);
	if (r == 0)
		r = create(job, &b->file[TREE], err);
	if (r == 0)
		r = shale_tree_build_finish(build, b->file[TREE].fd, next_ino,
					    &b->file[TREE].digest,
					    &b->size[TREE], err);
	return r;
}

static int new_layer(struct job *job, struct shale_tree_build **build,
		     struct shale_pack **pack, struct shale_err *err)
{
	struct shale_pack_opts opts = {.codec = job->in->codec,
				       .threads = job->in->threads,
				       .lower = job->below->trees,
				       .n_lower = job->below->n_trees};
	int r = shale_tree_build_new(build, err);
	if (r == 0)
		r = shale_pack_new(pack, shale_store_blobs(job->in->store),
				   job->lower->chunks, *build, &opts, err);
	return r;
}

/* The version is the stack, so far: what it holds, and of which images. */
static int describe_stack(struct job *job, const struct shale_index *stack,
			  struct shale_err *err)
{
	struct shale_description *d = &job->version->description;

	d->inodes = shale_index_inodes(stack);
	d->bytes = shale_index_bytes(stack);
	d->also = calloc(job->which.n - 1, sizeof(*d->also));
	if (!d->also)
		return shale_err_set(err, ENOMEM, "commit");
	d->n_also = job->which.n - 1;
	memcpy(d->also, &job->which.manifest[1], d->n_also * sizeof(*d->also));
	return 0;
}

/* Put the merge layer of a stack over its bottom image. */
static int merge_stack(struct job *job, struct shale_version *const *versions,
		       struct shale_err *err)
{
	cleanup_image struct shale_image *stack = NULL;
	cleanup_image struct shale_image *bottom = NULL;
	int r = shale_store_open_image(job->in->store, versions, job->which.n,
				       &stack, err);
	if (r == 0)
		r = shale_store_open_image(job->in->store, versions, 1, &bottom,
					   err);
	if (r < 0)
		return r;

	cleanup_build struct shale_tree_build *build = NULL;
	cleanup_pack struct shale_pack *pack = NULL;
	struct blobs blobs = NO_BLOBS;
	struct shale_pack_stats ignored;
	r = new_layer(job, &build, &pack, err);
	if (r == 0)
		r = shale_stack_layer(stack, bottom, build, pack, err);
	if (r == 0)
		r = finish_layer(job, build, pack,
				 shale_index_next_ino(stack->index), &blobs,
				 &ignored, err);
	if (r == 0)
		r = publish_blobs(job, &blobs, err);
	abandon(job, &blobs);
	if (r == 0)
		r = describe_stack(job, stack->index, err);
	if (r < 0)
		return r;

	/* The workspace's layer stands on the merged trees. */
	shale_image_close(job->lower);
	shale_image_close(job->below);
	job->lower = job->below = NULL;
	r = shale_store_open_trees(job->in->store, job->version, &job->lower,
				   err);
	return r < 0 ? r
		     : shale_store_open_trees(job->in->store, job->version,
					      &job->below, err);
}

/* Open what the version stands on, and begin its description. */
static int begin(struct job *job, struct shale_err *err)
{
	struct shale_version *versions[32] = {0};
	struct shale_description *d = &job->version->description;

	int r = 0;
	for (uint32_t i = 0; r == 0 && i < job->which.n; i++)
		r = shale_store_manifest(job->in->store,
					 &job->which.manifest[i], &versions[i],
					 err);
	if (r == 0)
		r = shale_compact_use(job->in->store, versions[0],
				      &job->version->trees,
				      &job->version->n_trees, err);
	if (r == 0)
		r = shale_store_open_trees(job->in->store, versions[0],
					   &job->lower, err);
	if (r == 0)
		r = shale_compact_open(job->in->store, job->version->trees,
				       job->version->n_trees, &job->below, err);
	if (r == 0) {
		d->inodes = versions[0]->description.inodes;
		d->bytes = versions[0]->description.bytes;
		d->parent = job->which.manifest[0];
		d->has_parent = true;
		if (job->which.n > 1)
			r = merge_stack(job, versions, err);
	}
	for (uint32_t i = 0; i < job->which.n; i++)
		shale_version_free(versions[i]);
	return r;
}

static void describe(struct job *job)
{
	struct shale_description *from = job->in->description;
	struct shale_description *d = &job->version->description;

	d->author = steal_ptr(&from->author);
	d->message = steal_ptr(&from->message);
	d->data_version = steal_ptr(&from->data_version);
	d->labels = steal_ptr(&from->labels);
	d->n_labels = from->n_labels;
	from->n_labels = 0;
	d->next_ino = job->records.state.next_ino;
	clock_gettime(CLOCK_REALTIME, &d->created);
}

/* metadata.json of the commit's own change. */
static int summarise(struct job *job, const struct shale_delta *delta,
		     uint64_t bytes, struct shale_blob_tmp *file,
		     struct shale_err *err)
{
	struct shale_version *v = job->version;
	struct shale_rec_image which;
	cleanup_image struct shale_image *pinned = NULL;

	int r = shale_records_image(&job->records, job->records.state.pinned,
				    &which, err);
	if (r == 0)
		r = shale_store_open_manifests(job->in->store, which.manifest,
					       which.n, true, &pinned, err);
	if (r == 0)
		r = create(job, file, err);
	if (r == 0)
		r = shale_summary_write(
			delta, pinned->index, job->in->workspace, bytes,
			&v->description.created, file->fd, &v->metadata, err);
	file->digest = v->metadata.digest;
	v->has_metadata = r == 0;
	return r;
}

static int publish(struct job *job, struct shale_err *err)
{
	struct shale_version *v = job->version;
	int r = shale_version_list_data(job->in->store, v, err);
	return r < 0 ? r
		     : shale_store_publish(job->in->store, v, job->in->repo,
					   job->in->tag, job->in->latest, err);
}

/* The layer has been fed: make a version of it. */
static int make_version(struct job *job, const struct shale_delta *delta,
			struct shale_commit_result *out, struct shale_err *err)
{
	struct blobs blobs = NO_BLOBS;
	struct shale_description *d = &job->version->description;

	d->inodes += (uint64_t)delta->inodes;
	d->bytes += (uint64_t)delta->bytes;
	describe(job);
	int r = finish_layer(job, delta->build, delta->pack,
			     job->records.state.next_ino, &blobs, &out->stats,
			     err);
	if (r == 0)
		r = summarise(job, delta, out->stats.content,
			      &blobs.file[METADATA], err);
	if (r == 0)
		r = publish_blobs(job, &blobs, err);
	out->tree_size = blobs.size[TREE];
	abandon(job, &blobs);
	if (r == 0)
		r = publish(job, err);
	if (r == 0)
		out->version = steal_ptr(&job->version);
	return r;
}

static int run(struct job *job, struct shale_commit_result *out,
	       struct shale_err *err)
{
	int r = read_records(job, err);
	if (r == 0)
		r = begin(job, err);
	if (r < 0)
		return r;

	cleanup_build struct shale_tree_build *build = NULL;
	cleanup_pack struct shale_pack *pack = NULL;
	r = new_layer(job, &build, &pack, err);
	if (r < 0)
		return r;

	struct shale_delta delta = {.records = &job->records,
				    .snapshot = job->in->snapshot,
				    .files = job->in->files,
				    .state = job->records.state,
				    .lower = job->lower,
				    .build = build,
				    .pack = pack,
				    .open_image = open_content,
				    .cancelled = job_cancelled,
				    .arg = job};
	job->pack = pack;
	r = shale_delta_run(&delta, err);
	job->pack = NULL;
	out->changes = delta.changes;
	if (r == 0 &&
	    (delta.changes || job->in->allow_empty || job->which.n > 1))
		r = make_version(job, &delta, out, err);
	shale_delta_release(&delta);
	return r;
}

int shale_commit_run(const struct shale_commit *commit,
		     struct shale_commit_result *out, struct shale_err *err)
{
	struct shale_chunks *chunks;
	int r = shale_store_chunks(commit->store, CHUNK_CACHE, &chunks, err);
	if (r < 0)
		return r;

	cleanup_version struct shale_version *version =
		calloc(1, sizeof(*version));
	if (!version)
		return shale_err_set(err, ENOMEM, "commit");
	struct job job = {.in = commit, .version = version};
	struct shale_commit_result result = {0};

	r = run(&job, &result, err);
	version = job.version; /* NULL once it is the result's */
	shale_image_close(job.lower);
	shale_image_close(job.below);
	shale_records_close(&job.records);
	if (r == 0)
		*out = result;
	return r;
}
