/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/store/compact.h"

#include "layers/base/cleanup.h"
#include "layers/blob/tree_build.h"
#include "layers/store/compact_file.h"
#include "layers/store/store_impl.h"

#include <string.h>

/*
 * Which trees to merge is decided as git's reftable decides it for its tables
 * (a geometric sequence): each tree is to be at least FACTOR times as large as
 * the one on it.  Where that does not hold, the run that is merged reaches
 * down as far as a tree is too small for all that lies on it in the run
 * together.  So a byte is written again only when what it lies in has grown by
 * half, and at most log2(largest / smallest) trees remain.
 *
 * A short run is left to grow while the chain is short: one merge of four
 * trees costs less than three of two.
 */
enum {
	FACTOR = 2,
	RUN_MIN = 4,
	RUN_MAX = 64,
	CHAIN_SHORT = SHALE_TREES_MAX / 2,
};

/* A tree costs its reader a fixed sum, however little it says. */
enum { SMALLEST = 16 << 10 };

static uint64_t weight(const struct shale_layer_desc *d)
{
	return d->size > SMALLEST ? d->size : SMALLEST;
}

bool shale_compact_choose(const struct shale_layer_desc *trees, size_t n,
			  size_t *first, size_t *end)
{
	size_t i = n;
	while (i > 1 && weight(&trees[i - 2]) / FACTOR >= weight(&trees[i - 1]))
		i--;
	if (i <= 1)
		return false;

	size_t run_end = i, run_first = i - 1;
	uint64_t sum = weight(&trees[i - 1]);
	for (size_t k = i - 1; k > 0; k--) {
		if (weight(&trees[k - 1]) / FACTOR < sum)
			run_first = k - 1;
		sum += weight(&trees[k - 1]);
	}
	if (run_end - run_first > RUN_MAX)
		run_first = run_end - RUN_MAX;
	if (run_end - run_first < RUN_MIN && n < CHAIN_SHORT)
		return false;
	*first = run_first;
	*end = run_end;
	return true;
}

/* -------------------------------------------------------------------- use */

/* Is a merge of trees[first, first + len) prepared, and good there? */
static bool is_prepared(struct shale_store *store,
			const struct shale_layer_desc *trees, size_t first,
			size_t len, struct shale_layer_desc *merged)
{
	char name[SHALE_COMPACT_NAME];
	struct shale_compact_file f;
	struct shale_tree *tree = NULL;

	if (shale_compact_file_name(trees + first, len, name) < 0 ||
	    shale_compact_file_read(store, name, &f, NULL) < 0)
		return false;
	/* Its size too: the document has no checksum. */
	bool good = shale_store_open_tree(store, &f.merged, &tree, NULL) == 0 &&
		    (first == 0 || !f.bottom);
	shale_tree_close(tree);
	*merged = f.merged;
	shale_compact_file_release(&f);
	return good;
}

/* Replace the longest run that has a merge; false: there is none. */
static bool replace_one(struct shale_store *store,
			struct shale_layer_desc *trees, size_t *n)
{
	for (size_t len = *n < RUN_MAX ? *n : RUN_MAX; len >= 2; len--)
		for (size_t first = 0; first + len <= *n; first++) {
			struct shale_layer_desc merged;
			if (!is_prepared(store, trees, first, len, &merged))
				continue;
			trees[first] = merged;
			memmove(&trees[first + 1], &trees[first + len],
				(*n - first - len) * sizeof(*trees));
			*n -= len - 1;
			return true;
		}
	return false;
}

int shale_compact_use(struct shale_store *store,
		      const struct shale_version *parent,
		      struct shale_layer_desc **trees, size_t *n,
		      struct shale_err *err)
{
	struct shale_layer_desc *list = calloc(parent->n_trees, sizeof(*list));
	if (!list)
		return shale_err_set(err, ENOMEM, "list the parent's trees");
	memcpy(list, parent->trees, parent->n_trees * sizeof(*list));

	/* merges of merges stand under the names of what they merged */
	size_t count = parent->n_trees;
	while (replace_one(store, list, &count)) {
	}
	*trees = list;
	*n = count;
	return 0;
}

/* ---------------------------------------------------------------- prepare */

/* Compose open trees into a durable blob. */
static int compose(struct shale_store *store, struct shale_tree *const *trees,
		   size_t n, bool bottom, struct shale_layer_desc *out,
		   struct shale_err *err)
{
	struct shale_blob_tmp tmp;
	int r = shale_blobs_create(store->blobs, &tmp.fd, tmp.name, err);
	if (r < 0)
		return r;
	cleanup_fd int fd = tmp.fd;
	r = shale_tree_compose(trees, n, bottom, fd, &tmp.digest, &out->size,
			       err);
	if (r == 0)
		r = shale_blobs_publish(store->blobs, &tmp, 1, err);
	if (r < 0)
		shale_blobs_abandon(store->blobs, tmp.name);
	out->digest = tmp.digest;
	return r;
}

static int open_and_compose(struct shale_store *store,
			    const struct shale_layer_desc *run, size_t n,
			    bool bottom, struct shale_layer_desc *out,
			    struct shale_err *err)
{
	struct shale_tree *trees[RUN_MAX] = {0};
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++)
		r = shale_store_open_tree(store, &run[i], &trees[i], err);
	if (r == 0)
		r = compose(store, trees, n, bottom, out, err);
	for (size_t i = 0; i < n; i++)
		shale_tree_close(trees[i]);
	return r;
}

static int prepare_run(struct shale_store *store,
		       const struct shale_layer_desc *run, size_t n,
		       bool bottom, struct shale_err *err)
{
	char name[SHALE_COMPACT_NAME];
	struct shale_digest digests[RUN_MAX];
	struct shale_compact_file f = {
		.bottom = bottom, .trees = digests, .n_trees = n};
	for (size_t i = 0; i < n; i++)
		digests[i] = run[i].digest;

	int r = shale_compact_file_name(run, n, name);
	if (r < 0)
		return shale_err_set(err, -r, "merge trees");
	r = open_and_compose(store, run, n, bottom, &f.merged, err);
	if (r == 0)
		r = shale_compact_file_write(store, name, &f, err);
	return r;
}

int shale_compact_prepare(struct shale_store *store,
			  const struct shale_version *v, struct shale_err *err)
{
	size_t n, first, end;
	cleanup_free struct shale_layer_desc *trees = NULL;

	/* What a child of `v` would begin with: its last tree is an inner one
	 * there. */
	int r = shale_compact_use(store, v, &trees, &n, err);
	if (r < 0 || !shale_compact_choose(trees, n, &first, &end))
		return r;

	cleanup_lease int lease = -1; /* nothing names the merged blob yet */
	r = shale_store_lease(store, &lease, err);
	if (r == 0)
		r = prepare_run(store, trees + first, end - first, first == 0,
				err);
	return r < 0 ? shale_err_wrap(err, r, "merge small layers") : 0;
}
