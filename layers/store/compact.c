/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/store/compact.h"

#include "layers/base/cleanup.h"
#include "layers/store/compact_file.h"
#include "layers/store/store_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

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
	DATA_MANY = SHALE_DATA_MAX / 2,
};

/* A tree costs its reader a fixed sum, however little it says. */
enum { SMALLEST = 16 << 10 };

static uint64_t weight(const struct shale_layer_desc *d)
{
	return d->size > SMALLEST ? d->size : SMALLEST;
}

bool shale_compact_choose(const struct shale_layer_desc *trees, size_t n,
			  size_t n_data, size_t *first, size_t *end)
{
	/* Data blobs are merged with the trees that name them.  Where trees
	 * have kept too many apart, all of them; afterwards there are few. */
	if (n_data > DATA_MANY && n > 1) {
		*first = n > RUN_MAX ? n - RUN_MAX : 0;
		*end = n;
		return true;
	}
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
		    (!f.has_data ||
		     shale_blobs_has(store->blobs, &f.data.digest)) &&
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

int shale_compact_open(struct shale_store *store,
		       const struct shale_layer_desc *trees, size_t n,
		       struct shale_image **out, struct shale_err *err)
{
	const struct shale_version v = {
		.trees = (struct shale_layer_desc *)trees, .n_trees = n};
	return shale_store_open_trees(store, &v, out, err);
}

/* ---------------------------------------------------------------- prepare */

/* Lock a file in compact/; `how`: flock's.  -EAGAIN: another has it. */
static int lock_file(struct shale_store *store, const char *path, int how,
		     int *out, struct shale_err *err)
{
	cleanup_fd int fd =
		openat(store->dirfd, path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return shale_err_set(err, errno, "open '%s'", path);
	while (flock(fd, how) < 0)
		if (errno != EINTR)
			return shale_err_set(err, errno, "lock '%s'", path);
	*out = steal_fd(&fd);
	return 0;
}

/* One is at work and one waits; -EAGAIN: there are these two already. */
static int wait_for_turn(struct shale_store *store, int *out,
			 struct shale_err *err)
{
	cleanup_fd int waits = -1;
	int r = lock_file(store, "compact/.waits", LOCK_EX | LOCK_NB, &waits,
			  err);
	return r < 0 ? r
		     : lock_file(store, "compact/.works", LOCK_EX, out, err);
}

static int prepare_run(struct shale_store *store,
		       const struct shale_layer_desc *trees, size_t n,
		       size_t first, size_t end, uint64_t total,
		       struct shale_err *err)
{
	char name[SHALE_COMPACT_NAME];
	struct shale_digest digests[RUN_MAX];
	struct shale_compact_file f = {
		.bottom = first == 0, .trees = digests, .n_trees = end - first};
	for (size_t i = first; i < end; i++)
		digests[i - first] = trees[i].digest;

	int r = shale_compact_file_name(trees + first, end - first, name);
	if (r < 0)
		return shale_err_set(err, -r, "merge trees");
	cleanup_lease int lease = -1; /* nothing names the merged blobs yet */
	r = shale_store_lease(store, &lease, err);
	if (r == 0)
		r = shale_compact_make(store, trees, n, first, end, total, &f,
				       err);
	if (r == 0)
		r = shale_compact_file_write(store, name, &f, err);
	return r;
}

int shale_compact_prepare(struct shale_store *store,
			  const struct shale_version *v, struct shale_err *err)
{
	size_t n, n_data, first, end;
	cleanup_free struct shale_layer_desc *trees = NULL;
	cleanup_free struct shale_layer_desc *data = NULL;
	cleanup_fd int turn = -1;

	int r = wait_for_turn(store, &turn, err);
	if (r < 0)
		return r == -EAGAIN ? 0 : r;
	/* What a child of `v` would begin with: its last tree is an inner one
	 * there. */
	r = shale_compact_use(store, v, &trees, &n, err);
	if (r == 0)
		r = shale_version_data_blobs(store, trees, n, &data, &n_data,
					     err);
	if (r < 0 || !shale_compact_choose(trees, n, n_data, &first, &end))
		return r;
	uint64_t total = 0;
	for (size_t i = 0; i < n_data; i++)
		total += data[i].size;
	r = prepare_run(store, trees, n, first, end, total, err);
	return r < 0 ? shale_err_wrap(err, r, "merge small layers") : 0;
}
