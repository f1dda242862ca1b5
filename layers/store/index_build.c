/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/store/index_build.h"

#include "layers/base/cleanup.h"
#include "layers/index/merge.h"
#include "layers/index/patch.h"
#include "layers/store/index_cache.h"

#include <string.h>
#include <sys/mman.h>

/* The longest run of trees, from the bottom, that has an index; NULL: none. */
static struct shale_index *find_prefix(struct shale_store *store,
				       const struct shale_version *v,
				       const struct shale_digest *digests)
{
	for (size_t n = v->n_trees - 1; n > 0; n--) {
		char name[SHALE_INDEX_NAME];
		struct shale_index *ix;
		if (shale_index_name_trees(v->trees, n, name) < 0)
			return NULL;
		if (shale_index_cache_open(store, name, &ix, NULL) < 0)
			continue;
		if (shale_index_trees(ix) == n &&
		    shale_index_begins(ix, digests, n, NULL) == 0)
			return ix;
		shale_index_close(ix);
	}
	return NULL;
}

static int empty_again(int fd, struct shale_err *err)
{
	if (ftruncate(fd, 0) < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return shale_err_set(err, errno, "build an index");
	return 0;
}

/* What may have been damaged is made anew when it is needed again. */
static void drop(struct shale_store *store, const struct shale_index *ix)
{
	const struct shale_index *base = shale_index_base(ix);
	shale_store_drop_index(store, shale_index_file(ix));
	if (base)
		shale_store_drop_index(store, shale_index_file(base));
}

/*
 * From an index of the lowest trees: a patch over it (or over what it is a
 * patch of) where little changed, else a whole one.
 */
static int merge_onto(struct shale_index *prefix, enum shale_index_form form,
		      struct shale_tree *const *trees,
		      const struct shale_digest *digests, size_t n, int fd,
		      struct shale_err *err)
{
	const struct shale_index *base = shale_index_base(prefix);
	if (!base)
		base = prefix;
	if (form == SHALE_INDEX_AS_PAYS && shale_patch_pays(base, trees, n)) {
		int r = shale_patch_write(fd, base, trees, digests, n, err);
		if (r != -EOPNOTSUPP)
			return r;
	}
	return shale_index_merge(fd, trees, digests, n, prefix, err);
}

static int list_digests(const struct shale_version *v,
			struct shale_digest **out, struct shale_err *err)
{
	*out = calloc(v->n_trees, sizeof(**out));
	if (!*out)
		return shale_err_set(err, ENOMEM, "build an index");
	for (size_t i = 0; i < v->n_trees; i++)
		(*out)[i] = v->trees[i].digest;
	return 0;
}

/* Merge the trees of one image, all of them open, into `fd`. */
static int merge_one(struct shale_store *store, const struct shale_version *v,
		     struct shale_tree *const *trees,
		     enum shale_index_form form, int fd, struct shale_err *err)
{
	cleanup_free struct shale_digest *digests = NULL;
	int r = list_digests(v, &digests, err);
	if (r < 0)
		return r;

	cleanup_index struct shale_index *prefix =
		find_prefix(store, v, digests);
	if (prefix) {
		r = merge_onto(prefix, form, trees, digests, v->n_trees, fd,
			       err);
		if (r != -EUCLEAN)
			return r;
		/* The cached one may be what is damaged: without it. */
		drop(store, prefix);
		r = empty_again(fd, err);
		if (r < 0)
			return r;
	}
	return shale_index_merge(fd, trees, digests, v->n_trees, NULL, err);
}

int shale_index_patch_over(struct shale_store *store,
			   const struct shale_version *v,
			   struct shale_tree *const *trees, uint32_t below,
			   int fd, struct shale_err *err)
{
	struct shale_version lower = {.trees = v->trees, .n_trees = below};
	struct shale_version *stack[] = {&lower};
	cleanup_index struct shale_index *base = NULL;
	cleanup_free struct shale_digest *digests = NULL;
	char name[SHALE_INDEX_NAME];

	int r = list_digests(v, &digests, err);
	if (r == 0 && shale_index_name_trees(v->trees, below, name) < 0)
		r = shale_err_set(err, ENOMEM, "build an index");
	if (r < 0)
		return r;
	if (shale_index_cache_open(store, name, &base, NULL) < 0 ||
	    shale_index_base(base)) {
		shale_index_close(base);
		base = NULL;
		r = shale_index_build(store, stack, 1, trees, SHALE_INDEX_WHOLE,
				      &base, name, err);
	}
	return r < 0 ? r
		     : shale_patch_write(fd, base, trees, digests, v->n_trees,
					 err);
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

int shale_index_build_to(struct shale_store *store,
			 struct shale_version *const *stack, size_t n,
			 struct shale_tree *const *trees,
			 enum shale_index_form form, int fd,
			 struct shale_err *err)
{
	if (n == 1)
		return merge_one(store, stack[0], trees, form, fd, err);
	return union_stack(store, stack, n, trees, fd, err);
}

struct building {
	struct shale_store *store;
	struct shale_version *const *stack;
	size_t n;
	struct shale_tree *const *trees;
	enum shale_index_form form;
};

static int build(void *arg, int fd, struct shale_err *err)
{
	const struct building *b = arg;

	return shale_index_build_to(b->store, b->stack, b->n, b->trees, b->form,
				    fd, err);
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
	int r = shale_index_build_to(store, stack, n, trees,
				     SHALE_INDEX_AS_PAYS, fd, err);
	return r < 0 ? r
		     : shale_index_cache_open_file(store, fd, name, out, err);
}

int shale_index_build(struct shale_store *store,
		      struct shale_version *const *stack, size_t n,
		      struct shale_tree *const *trees,
		      enum shale_index_form form, struct shale_index **out,
		      const char *name, struct shale_err *err)
{
	struct building b = {store, stack, n, trees, form};
	cleanup_fd int fd = -1;
	int r = shale_index_cache_make(store, name, build, &b, &fd, err);
	if (r < 0 || !out)
		return r;
	r = shale_index_cache_open_file(store, fd, name, out, err);
	/* What it is a patch of went, to make room for it or for another. */
	if (r == -ENOENT && form != SHALE_INDEX_WHOLE)
		return shale_index_build(store, stack, n, trees,
					 SHALE_INDEX_WHOLE, out, name, err);
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
	r = shale_index_build(store, stack, n, trees, SHALE_INDEX_AS_PAYS, out,
			      name, err);
	if (shale_store_unwritable(r))
		r = build_in_memory(store, stack, n, trees, out, name, err);
	return r;
}
