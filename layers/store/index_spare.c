/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/store/index_build.h"

#include "layers/base/cleanup.h"
#include "layers/store/index_cache.h"

#include <string.h>
#include <sys/mman.h>

/*
 * What it takes to build an image's index again when the one in use turns out
 * damaged: merging is deterministic, so the new one is the same, if it is made
 * in the same way.
 */
struct spare {
	struct shale_store *store;
	uint32_t below; /* a patch, over the index of so many trees */
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

static int build(void *arg, int fd, struct shale_err *err)
{
	const struct spare *spare = arg;

	return spare->below
		       ? shale_index_patch_over(spare->store, spare->stack[0],
						spare->trees, spare->below, fd,
						err)
		       : shale_index_build_to(spare->store, spare->stack,
					      spare->n, spare->trees,
					      SHALE_INDEX_WHOLE, fd, err);
}

static int spare_open(void *arg, int *fd, struct shale_err *err)
{
	struct spare *spare = arg;
	char name[SHALE_INDEX_NAME];
	int r = shale_index_name(spare->stack, spare->n, name);
	if (r < 0)
		return shale_err_set(err, -r, "build an index");

	shale_store_drop_index(spare->store, name);
	/* Into the cache, so that others have it too. */
	r = shale_index_cache_make(spare->store, name, build, spare, NULL, err);
	if (r == 0)
		return shale_index_cache_fd(spare->store, name, fd, err);
	*fd = memfd_create("shale-index", MFD_CLOEXEC);
	if (*fd < 0)
		return shale_err_set(err, errno, "build an index");
	return build(spare, *fd, err);
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

/* Have `ix` made again, of a stack of `n` versions. */
static void heal(struct shale_store *store, struct shale_version *const *stack,
		 size_t n, struct shale_tree *const *trees,
		 struct shale_index *ix)
{
	const struct shale_index *base = shale_index_base(ix);
	struct spare *spare = spare_new(store, stack, n, trees);
	if (!spare)
		return;
	spare->below = base ? shale_index_trees(base) : 0;
	struct shale_table_spare table = {spare_open, spare_release, spare};
	if (shale_index_set_spare(ix, &table, NULL) < 0)
		spare_release(spare);
}

void shale_index_heal(struct shale_store *store,
		      struct shale_version *const *stack, size_t n,
		      struct shale_image *image)
{
	struct shale_index *base = shale_index_base(image->index);

	heal(store, stack, n, image->trees, image->index);
	if (base) {
		struct shale_version lower = {.trees = stack[0]->trees,
					      .n_trees =
						      shale_index_trees(base)};
		struct shale_version *one[] = {&lower};
		heal(store, one, 1, image->trees, base);
	}
}
