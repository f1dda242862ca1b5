/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/commit/commit.h"

#include "fs/commit/delta.h"
#include "fs/commit/stack.h"
#include "layers/base/cleanup.h"
#include "layers/store/compact.h"

#include <string.h>

enum { CHUNK_CACHE = 8 << 20 };

SHALE_DEFINE_CLEANUP(image, struct shale_image *, shale_image_close);
SHALE_DEFINE_CLEANUP(build, struct shale_tree_build *, shale_tree_build_free);
SHALE_DEFINE_CLEANUP(pack, struct shale_pack *, shale_pack_free);
SHALE_DEFINE_CLEANUP(version, struct shale_version *, shale_version_free);
#define cleanup_image   SHALE_CLEANUP(shale_cleanup_image)
#define cleanup_build   SHALE_CLEANUP(shale_cleanup_build)
#define cleanup_pack    SHALE_CLEANUP(shale_cleanup_pack)
#define cleanup_version SHALE_CLEANUP(shale_cleanup_version)

/* A commit under way. */
struct job {
	const struct shale_commit *in;
	struct shale_rec_state state;
	struct shale_rec_image which;  /* what it is based on */
	struct shale_image *lower;     /* the trees that its layer stands on */
	struct shale_version *version; /* under construction */
	const struct shale_pack *pack; /* the one at work, for progress */
};

static int open_versions(struct shale_store *store,
			 const struct shale_rec_image *which,
			 struct shale_version **versions, struct shale_err *err)
{
	for (uint32_t i = 0; i < which->n; i++) {
		int r = shale_store_version(store, &which->manifest[i],
					    &versions[i], err);
		if (r < 0)
			return r;
	}
	return 0;
}

int shale_commit_open_image(void *arg, const struct shale_rec_image *which,
			    struct shale_image **out, struct shale_err *err)
{
	struct shale_store *store = arg;
	struct shale_version *versions[32] = {0};

	int r = open_versions(store, which, versions, err);
	if (r == 0)
		r = which->n == 1 ? shale_store_open_trees(store, versions[0],
							   out, err)
				  : shale_store_open_image(store, versions,
							   which->n, out, err);
	for (uint32_t i = 0; i < which->n; i++)
		shale_version_free(versions[i]);
	return r;
}

static int job_open_image(void *arg, const struct shale_rec_image *which,
			  struct shale_image **out, struct shale_err *err)
{
	const struct job *job = arg;
	return shale_commit_open_image(job->in->store, which, out, err);
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

static int read_state(struct job *job, struct shale_err *err)
{
	cleanup_buf struct shale_buf value = {0};
	struct shale_key key = shale_key_state();
	int r = shale_snapshot_get(job->in->snapshot, key.b, key.len, &value,
				   err);
	if (r == 0)
		r = shale_rec_state_decode(&value, &job->state, err);
	if (r < 0)
		return shale_err_wrap(err, r, "read the workspace");

	key = shale_key_image(job->state.last);
	r = shale_snapshot_get(job->in->snapshot, key.b, key.len, &value, err);
	if (r == 0)
		r = shale_rec_image_decode(&value, &job->which, err);
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

/*
 * Finish packer and builder, make both blobs durable, and have the tree blob at
 * the end of the version's list.
 */
static int finish_layer(struct job *job, struct shale_tree_build *build,
			struct shale_pack *pack, uint64_t next_ino,
			struct shale_commit_result *out, struct shale_err *err)
{
	struct shale_blobs *blobs = shale_store_blobs(job->in->store);
	struct shale_blob_tmp tmp[2];
	uint64_t data_size, tree_size;
	size_t n = 0;

	int r = shale_pack_finish(pack, &tmp[0], &data_size, &out->stats, err);
	if (r < 0)
		return r;
	cleanup_fd int data_fd = tmp[0].fd;
	n += data_fd >= 0;

	cleanup_fd int tree_fd = -1;
	r = shale_blobs_create(blobs, &tree_fd, tmp[n].name, err);
	if (r == 0)
		r = shale_tree_build_finish(build, tree_fd, next_ino,
					    &tmp[n].digest, &tree_size, err);
	tmp[n].fd = tree_fd;
	if (r == 0)
		r = shale_blobs_publish(blobs, tmp, n + 1, err);
	if (r < 0) {
		for (size_t i = 0; i <= n; i++)
			shale_blobs_abandon(blobs, tmp[i].name);
		return r;
	}
	out->tree_size = tree_size;
	return add_layer(&job->version->trees, &job->version->n_trees,
			 &tmp[n].digest, tree_size, err);
}

static int new_layer(struct job *job, struct shale_tree_build **build,
		     struct shale_pack **pack, struct shale_err *err)
{
	struct shale_pack_opts opts = {.codec = job->in->codec,
				       .threads = job->in->threads,
				       .lower = job->lower->trees,
				       .n_lower = job->lower->n_trees};
	int r = shale_tree_build_new(build, err);
	if (r == 0)
		r = shale_pack_new(pack, shale_store_blobs(job->in->store),
				   job->lower->chunks, *build, &opts, err);
	return r;
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
	struct shale_commit_result ignored;
	r = new_layer(job, &build, &pack, err);
	if (r == 0)
		r = shale_stack_layer(stack, bottom, build, pack, err);
	if (r == 0)
		r = finish_layer(job, build, pack,
				 shale_index_next_ino(stack->index), &ignored,
				 err);
	if (r < 0)
		return r;

	struct shale_description *d = &job->version->description;
	d->inodes = shale_index_inodes(stack->index);
	d->bytes = shale_index_bytes(stack->index);
	d->also = calloc(job->which.n - 1, sizeof(*d->also));
	if (!d->also)
		return shale_err_set(err, ENOMEM, "commit");
	d->n_also = job->which.n - 1;
	memcpy(d->also, &job->which.manifest[1], d->n_also * sizeof(*d->also));

	/* The workspace's layer stands on the merged trees. */
	shale_image_close(job->lower);
	job->lower = NULL;
	return shale_store_open_trees(job->in->store, job->version, &job->lower,
				      err);
}

/* Open what the version stands on, and begin its description. */
static int begin(struct job *job, struct shale_err *err)
{
	struct shale_version *versions[32] = {0};
	struct shale_description *d = &job->version->description;

	int r = open_versions(job->in->store, &job->which, versions, err);
	if (r == 0)
		r = shale_store_open_trees(job->in->store, versions[0],
					   &job->lower, err);
	if (r == 0)
		r = shale_compact_use(job->in->store, versions[0],
				      &job->version->trees,
				      &job->version->n_trees, err);
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

static char *copy(const char *text, bool *failed)
{
	char *s = text ? strdup(text) : NULL;
	*failed |= text && !s;
	return s;
}

static int describe(struct job *job, struct shale_err *err)
{
	const struct shale_commit *in = job->in;
	struct shale_description *d = &job->version->description;
	bool failed = false;

	d->author = copy(in->author, &failed);
	d->message = copy(in->message, &failed);
	d->data_version = copy(in->data_version, &failed);
	d->next_ino = job->state.next_ino;
	clock_gettime(CLOCK_REALTIME, &d->created);
	if (in->n_labels) {
		d->labels = calloc(in->n_labels, sizeof(*d->labels));
		failed |= !d->labels;
	}
	for (size_t i = 0; !failed && i < in->n_labels; i++) {
		d->labels[i].key = copy(in->labels[i].key, &failed);
		d->labels[i].value = copy(in->labels[i].value, &failed);
		d->n_labels = i + 1;
	}
	return failed ? shale_err_set(err, ENOMEM, "commit") : 0;
}

static int publish(struct job *job, struct shale_err *err)
{
	struct shale_version *v = job->version;
	int r = describe(job, err);
	if (r == 0)
		r = shale_version_data_blobs(job->in->store, v->trees,
					     v->n_trees, &v->data, &v->n_data,
					     err);
	if (r == 0)
		r = shale_store_publish(job->in->store, v, job->in->repo,
					job->in->tag, job->in->latest, err);
	return r;
}

static int run(struct job *job, struct shale_commit_result *out,
	       struct shale_err *err)
{
	int r = read_state(job, err);
	if (r == 0)
		r = begin(job, err);
	if (r < 0)
		return r;

	cleanup_build struct shale_tree_build *build = NULL;
	cleanup_pack struct shale_pack *pack = NULL;
	r = new_layer(job, &build, &pack, err);
	if (r < 0)
		return r;

	struct shale_delta delta = {.snapshot = job->in->snapshot,
				    .files = job->in->files,
				    .state = job->state,
				    .lower = job->lower,
				    .build = build,
				    .pack = pack,
				    .open_image = job_open_image,
				    .cancelled = job_cancelled,
				    .arg = job};
	job->pack = pack;
	r = shale_delta_run(&delta, err);
	shale_delta_release(&delta);
	job->pack = NULL;
	out->changes = delta.changes;
	if (r < 0)
		return r;
	if (!delta.changes && !job->in->allow_empty && job->which.n == 1)
		return 0;

	struct shale_description *d = &job->version->description;
	d->inodes += (uint64_t)delta.inodes;
	d->bytes += (uint64_t)delta.bytes;
	r = finish_layer(job, build, pack, job->state.next_ino, out, err);
	if (r == 0)
		r = publish(job, err);
	if (r == 0)
		out->version = steal_ptr(&job->version);
	return r;
}

int shale_commit_run(const struct shale_commit *commit,
		     struct shale_commit_result *out, struct shale_err *err)
{
	struct shale_chunks *chunks;
	int r = shale_store_chunks(commit->store, CHUNK_CACHE, &chunks, err);
	if (r < 0)
		return r;
	cleanup_fd int lease = -1;
	r = shale_store_lease(commit->store, &lease, err);
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
	if (r == 0)
		*out = result;
	return r;
}
