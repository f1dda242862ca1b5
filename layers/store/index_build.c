/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/store/index_build.h"

#include "layers/base/cleanup.h"
#include "layers/index/merge.h"
#include "layers/store/index_cache.h"

#include <string.h>
#include <sys/mman.h>

SHALE_DEFINE_CLEANUP(index, struct shale_index *, shale_index_close);
#define cleanup_index SHALE_CLEANUP(shale_cleanup_index)

/* Does a cached index merge exactly these trees, as one image? */
static bool is_prefix(const struct shale_index *ix,
		      const struct shale_layer_desc *trees, size_t n)
{
	if (shale_index_trees(ix) != n)
		return false;
	for (size_t i = 0; i < n; i++) {
		struct shale_digest digest;
		uint32_t image;
		if (shale_index_tree(ix, (uint32_t)i, &digest, &image, NULL) <
			    0 ||
		    image != 0 ||
		    !shale_digest_equal(&digest, &trees[i].digest))
			return false;
	}
	return true;
}

/* The longest run of trees, from the bottom, that has an index; NULL: none. */
static struct shale_index *find_prefix(struct shale_store *store,
				       const struct shale_version *v)
{
	for (size_t n = v->n_trees - 1; n > 0; n--) {
		char name[SHALE_INDEX_NAME];
		struct shale_index *ix;
		if (shale_index_name_trees(v->trees, n, name) < 0)
			return NULL;
		if (shale_index_cache_open(store, name, &ix, NULL) < 0)
			continue;
		if (is_prefix(ix, v->trees, n))
			return ix;
		shale_index_close(ix);
	}
	return NULL;
}

/* Merge the trees of one image, all of them open, into `fd`. */
static int merge_one(struct shale_store *store, const struct shale_version *v,
		     struct shale_tree *const *trees, int fd,
		     struct shale_err *err)
{
	cleanup_free struct shale_digest *digests =
		calloc(v->n_trees, sizeof(*digests));
	if (!digests)
		return shale_err_set(err, ENOMEM, "build an index");
	for (size_t i = 0; i < v->n_trees; i++)
		digests[i] = v->trees[i].digest;

	cleanup_index struct shale_index *prefix = find_prefix(store, v);
	int r = shale_index_merge(fd, trees, digests, v->n_trees, prefix, err);
	if (r != -EUCLEAN || !prefix)
		return r;

	/* The cached one may be what is damaged: once more without it. */
	char name[SHALE_INDEX_NAME];
	if (shale_index_name_trees(v->trees, shale_index_trees(prefix), name) ==
	    0)
		shale_store_drop_index(store, name);
	if (ftruncate(fd, 0) < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return shale_err_set(err, errno, "build an index");
	return shale_index_merge(fd, trees, digests, v->n_trees, NULL, err);
}

static int union_stack(struct shale_store *store,
		       struct shale_version *const *stack, size_t n,
		       struct shale_tree *const *trees, int fd,
		       struct shale_err *err)
{
	char name[SHALE_INDEX_NAME];
	cleanup_free struct shale_index **parts =
		calloc(n, sizeof(struct shale_index *));
	if (!parts)
		return shale_err_set(err, ENOMEM, "build an index");

	int r = 0;
	for (size_t i = 0; i < n && r == 0; i++) {
		r = shale_index_get(store, &stack[i], 1, trees, &parts[i], name,
				    err);
		trees += stack[i]->n_trees;
	}
	if (r == 0)
		r = shale_index_union(fd, parts, n, err);
	for (size_t i = 0; i < n; i++)
		shale_index_close(parts[i]);
	return r;
}

static int build(struct shale_store *store, struct shale_version *const *stack,
		 size_t n, struct shale_tree *const *trees, int fd,
		 struct shale_err *err)
{
	if (n == 1)
		return merge_one(store, stack[0], trees, fd, err);
	return union_stack(store, stack, n, trees, fd, err);
}

/* The cache cannot be written: the index lives in memory, for this once. */
static int build_in_memory(struct shale_store *store,
			   struct shale_version *const *stack, size_t n,
			   struct shale_tree *const *trees,
			   struct shale_index **out, const char *name,
			   struct shale_err *err)
{
	cleanup_fd int fd = memfd_create("shale-index", MFD_CLOEXEC);
	if (fd < 0)
		return shale_err_set(err, errno, "build an index");
	int r = build(store, stack, n, trees, fd, err);
	return r < 0 ? r : shale_index_open(out, fd, name, err);
}

int shale_index_build(struct shale_store *store,
		      struct shale_version *const *stack, size_t n,
		      struct shale_tree *const *trees, struct shale_index **out,
		      const char *name, struct shale_err *err)
{
	char tmp[64];
	cleanup_fd int fd = -1;
	int r = shale_index_cache_create(store, &fd, tmp, err);
	if (r < 0)
		return r;
	r = build(store, stack, n, trees, fd, err);
	if (r < 0) {
		shale_index_cache_abandon(store, tmp);
		return r;
	}
	r = shale_index_cache_publish(store, fd, tmp, name, err);
	if (r == 0 && out)
		r = shale_index_open(out, fd, name, err);
	return r;
}

int shale_index_get(struct shale_store *store,
		    struct shale_version *const *stack, size_t n,
		    struct shale_tree *const *trees, struct shale_index **out,
		    char *name, struct shale_err *err)
{
	int r = shale_index_name(stack, n, name);
	if (r < 0)
		return shale_err_set(err, -r, "build an index");
	if (shale_index_cache_open(store, name, out, NULL) == 0)
		return 0;
	r = shale_index_build(store, stack, n, trees, out, name, err);
	if (r == -EROFS || r == -EACCES || r == -EPERM || r == -ENOSPC ||
	    r == -EDQUOT)
		r = build_in_memory(store, stack, n, trees, out, name, err);
	return r;
}

/* ----------------------------------------------------------------- spares */

/*
 * What it takes to build an image's index again when the one in use turns out
 * damaged: merging is deterministic, so the new one is the same.
 */
struct spare {
	struct shale_store *store;
	struct shale_tree *const
		*trees; /* the image's, which outlive its index */
	struct shale_version *versions; /* with nothing but their trees */
	struct shale_version **stack;
	size_t n;
};

static void spare_release(void *arg)
{
	struct spare *spare = arg;
	for (size_t i = 0; spare->versions && i < spare->n; i++)
		free(spare->versions[i].trees);
	free(spare->versions);
	free(spare->stack);
	free(spare);
}

static int spare_open(void *arg, int *fd, struct shale_err *err)
{
	struct spare *spare = arg;
	char name[SHALE_INDEX_NAME];
	int r = shale_index_name(spare->stack, spare->n, name);
	if (r < 0)
		return shale_err_set(err, -r, "build an index");

	shale_store_drop_index(spare->store, name);
	r = shale_index_build(spare->store, spare->stack, spare->n,
			      spare->trees, NULL, name, err);
	if (r == 0)
		return shale_index_cache_fd(spare->store, name, fd, err);
	*fd = memfd_create("shale-index", MFD_CLOEXEC);
	if (*fd < 0)
		return shale_err_set(err, errno, "build an index");
	return build(spare->store, spare->stack, spare->n, spare->trees, *fd,
		     err);
}

static struct spare *spare_new(struct shale_store *store,
			       struct shale_version *const *stack, size_t n,
			       struct shale_tree *const *trees)
{
	struct spare *spare = calloc(1, sizeof(*spare));
	if (!spare)
		return NULL;
	*spare = (struct spare){.store = store, .trees = trees, .n = n};
	spare->versions = calloc(n, sizeof(*spare->versions));
	spare->stack = calloc(n, sizeof(struct shale_version *));
	bool failed = !spare->versions || !spare->stack;
	for (size_t i = 0; !failed && i < n; i++) {
		size_t size = stack[i]->n_trees * sizeof(*stack[i]->trees);
		spare->stack[i] = &spare->versions[i];
		spare->versions[i].n_trees = stack[i]->n_trees;
		spare->versions[i].trees = malloc(size);
		failed = !spare->versions[i].trees;
		if (!failed)
			memcpy(spare->versions[i].trees, stack[i]->trees, size);
	}
	if (!failed)
		return spare;
	spare_release(spare);
	return NULL;
}

void shale_index_heal(struct shale_store *store,
		      struct shale_version *const *stack, size_t n,
		      struct shale_image *image)
{
	struct spare *spare = spare_new(store, stack, n, image->trees);
	if (!spare)
		return;
	struct shale_table_spare table = {spare_open, spare_release, spare};
	if (shale_index_set_spare(image->index, &table, NULL) < 0)
		spare_release(spare);
}
