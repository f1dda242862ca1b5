/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/verify_impl.h"

#include "layers/base/cleanup.h"
#include "layers/index/merge.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

/* ---------------------------------------------------------------- opening */

/* The file that `fd` is becomes the image's index, if there is room for it. */
static int merge_into(int fd, struct shale_image *image,
		      const struct shale_digest *digests, const char *name,
		      struct shale_err *err)
{
	if (fd < 0)
		return shale_err_set(err, errno, "verify");
	int r = shale_index_merge(fd, image->trees, digests, image->n_trees,
				  NULL, err);
	return r < 0 ? r : shale_index_open(&image->index, fd, name, err);
}

/*
 * Merge without the cache, which is not what is to be proved: in a file without
 * a name; in memory where the store cannot be written or is full.
 */
static int merge(struct shale_verify *v,
		 const struct shale_verify_version *version,
		 struct shale_image *image, struct shale_err *err)
{
	cleanup_free struct shale_digest *digests =
		calloc(version->n_trees + 1, sizeof(*digests));
	if (!digests)
		return shale_err_set(err, ENOMEM, "verify");
	for (uint32_t i = 0; i < version->n_trees; i++)
		digests[i] = v->blobs[version->trees[i]].digest;

	const char *name = version->root->name;
	cleanup_fd int file = openat(shale_store_dirfd(v->store), "tmp",
				     O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	int r = file < 0 ? -EROFS : merge_into(file, image, digests, name, err);
	if (r != -EROFS && r != -ENOSPC && r != -EDQUOT)
		return r;
	cleanup_fd int memory = memfd_create("shale-verify", MFD_CLOEXEC);
	return merge_into(memory, image, digests, name, err);
}

int shale_verify_open(struct shale_verify *v,
		      const struct shale_verify_version *version, bool index,
		      struct shale_image **out, struct shale_err *err)
{
	cleanup_image struct shale_image *image = calloc(1, sizeof(*image));
	if (image)
		image->trees = calloc(version->n_trees + 1,
				      sizeof(struct shale_tree *));
	if (!image || !image->trees)
		return shale_err_set(err, ENOMEM, "verify");

	int r = 0;
	for (uint32_t i = 0; r == 0 && i < version->n_trees; i++) {
		const struct shale_verify_blob *b =
			&v->blobs[version->trees[i]];
		const struct shale_layer_desc desc = {b->digest, b->size};
		r = shale_store_open_tree(v->store, &desc,
					  &image->trees[image->n_trees], err);
		image->n_trees += r == 0;
	}
	if (r == 0 && index)
		r = merge(v, version, image, err);
	if (r == 0)
		*out = steal_ptr(&image);
	return r;
}

/* --------------------------------------------------------------- checking */

/* Every data blob that the trees name stands in the manifest: gc goes by it. */
static int check_listed(struct shale_verify *v,
			const struct shale_verify_version *version,
			const struct shale_tree *tree, struct shale_err *err)
{
	uint64_t n = shale_tree_count(tree, SHALE_TREE_BLOBS);

	for (uint64_t i = 0; i < n; i++) {
		struct shale_digest digest;
		uint64_t size;
		bool listed = false;
		int r = shale_tree_blob(tree, i, &digest, &size, err);
		if (r < 0)
			return r;
		for (uint32_t k = 0; k < version->n_data && !listed; k++) {
			const struct shale_verify_blob *b =
				&v->blobs[version->data[k]];
			listed = b->size == size &&
				 shale_digest_equal(&b->digest, &digest);
		}
		if (!listed) {
			char text[SHALE_DIGEST_STR];
			shale_digest_str(&digest, text);
			return shale_err_say(err, EUCLEAN,
					     "its manifest does not list data "
					     "blob %s of %" PRIu64
					     " bytes, which %s needs",
					     text, size, shale_tree_name(tree));
		}
	}
	return 0;
}

static int check_totals(const struct shale_verify_version *version,
			const struct shale_index *ix, struct shale_err *err)
{
	if (shale_index_inodes(ix) != version->inodes ||
	    shale_index_bytes(ix) != version->bytes)
		return shale_err_say(
			err, EUCLEAN,
			"its description says %" PRIu64 " inodes with %" PRIu64
			" bytes, its layers have %" PRIu64 " with %" PRIu64,
			version->inodes, version->bytes, shale_index_inodes(ix),
			shale_index_bytes(ix));
	return 0;
}

static int check(struct shale_verify *v,
		 const struct shale_verify_version *version,
		 struct shale_err *err)
{
	cleanup_image struct shale_image *image = NULL;
	bool merged =
		version->root->merge || v->opts->depth >= SHALE_VERIFY_CHUNKS;

	int r = shale_verify_open(v, version, merged, &image, err);
	for (uint32_t i = 0; r == 0 && i < version->n_trees; i++)
		r = check_listed(v, version, image->trees[i], err);
	if (r == 0 && merged)
		r = shale_index_verify(image->index, err);
	if (r == 0 && merged)
		r = check_totals(version, image->index, err);
	return r;
}

struct job {
	struct shale_verify *v;
	struct shale_verify_version *version;
};

static void run(void *arg)
{
	cleanup_free struct job *job = arg;
	struct shale_verify *v = job->v;
	struct shale_err why = {""};

	if (!shale_verify_go_on(v, 0))
		return;
	int r = check(v, job->version, &why);
	if (r == 0)
		return;
	if (!shale_verify_is_damage(r)) {
		shale_verify_fail(v, r, &why);
		return;
	}
	job->version->damaged = true;
	const struct shale_finding f = {
		.kind = SHALE_FOUND_VERSION,
		.why = why.msg,
		.version = job->version->root->name,
		.manifest = &job->version->root->manifest,
	};
	shale_verify_found(v, &f);
}

/* With a tree that is damaged there is nothing to merge. */
static bool can_be_merged(const struct shale_verify *v,
			  const struct shale_verify_version *version)
{
	for (uint32_t i = 0; i < version->n_trees; i++)
		if (v->blobs[version->trees[i]].damaged)
			return false;
	return !version->unread;
}

int shale_verify_merge(struct shale_verify *v, struct shale_err *err)
{
	for (size_t i = 0; i < v->n_versions && !atomic_load(&v->stop); i++) {
		if (!can_be_merged(v, &v->versions[i]))
			continue;
		struct job *job = malloc(sizeof(*job));
		if (!job) {
			shale_pool_wait(v->pool);
			return shale_err_set(err, ENOMEM, "verify");
		}
		*job = (struct job){v, &v->versions[i]};
		shale_pool_add(v->pool, run, job);
	}
	shale_pool_wait(v->pool);
	return 0;
}
