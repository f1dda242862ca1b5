/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/store/version.h"

#include "layers/base/cleanup.h"
#include "layers/store/index_build.h"
#include "layers/store/index_cache.h"
#include "layers/store/store_impl.h"

#include <stdio.h>
#include <sys/stat.h>

/* Decompressed chunks that a command keeps. */
enum { CHUNK_CACHE = 32 << 20 };

/* ------------------------------------------------------------------ trees */

int shale_store_open_tree(struct shale_store *store,
			  const struct shale_layer_desc *desc,
			  struct shale_tree **out, struct shale_err *err)
{
	char name[SHALE_DIGEST_STR];
	struct stat st;
	cleanup_fd int fd = -1;

	shale_digest_str(&desc->digest, name);
	int r = shale_blobs_get(store->blobs, &desc->digest, &fd, err);
	if (r == -ENOENT)
		return shale_err_say(err, EUCLEAN, "tree blob %s is missing",
				     name);
	if (r < 0)
		return r;
	if (fstat(fd, &st) < 0)
		return shale_err_set(err, errno, "tree blob %s", name);
	if ((uint64_t)st.st_size != desc->size)
		return shale_err_say(err, EUCLEAN,
				     "tree blob %s has %llu bytes, not %llu",
				     name, (unsigned long long)st.st_size,
				     (unsigned long long)desc->size);
	return shale_tree_open(out, fd, name, err);
}

/* All trees of a stack, in one array. */
static int open_stack(struct shale_store *store,
		      struct shale_version *const *stack, size_t n,
		      struct shale_image **out, struct shale_err *err)
{
	cleanup_image struct shale_image *image = calloc(1, sizeof(*image));
	size_t total = 0;
	for (size_t i = 0; i < n; i++)
		total += stack[i]->n_trees;
	if (image)
		image->trees =
			calloc(total ? total : 1, sizeof(struct shale_tree *));
	if (!image || !image->trees)
		return shale_err_set(err, ENOMEM, "open an image");

	int r = shale_store_chunks(store, CHUNK_CACHE, &image->chunks, err);
	for (size_t i = 0; i < n && r == 0; i++)
		for (size_t k = 0; k < stack[i]->n_trees && r == 0; k++) {
			r = shale_store_open_tree(store, &stack[i]->trees[k],
						  &image->trees[image->n_trees],
						  err);
			image->n_trees += r == 0;
		}
	if (r < 0)
		return r;
	*out = steal_ptr(&image);
	return 0;
}

int shale_store_open_trees(struct shale_store *store,
			   const struct shale_version *v,
			   struct shale_image **out, struct shale_err *err)
{
	struct shale_version *stack[] = {(struct shale_version *)v};
	return open_stack(store, stack, 1, out, err);
}

int shale_store_open_image(struct shale_store *store,
			   struct shale_version *const *stack, size_t n,
			   struct shale_image **out, struct shale_err *err)
{
	char name[SHALE_INDEX_NAME];
	cleanup_image struct shale_image *image = NULL;

	int r = open_stack(store, stack, n, &image, err);
	if (r == 0)
		r = shale_index_get(store, stack, n, image->trees,
				    &image->index, name, err);
	if (r < 0)
		return r;
	shale_index_heal(store, stack, n, image);
	*out = steal_ptr(&image);
	return 0;
}

int shale_store_open_manifests(struct shale_store *store,
			       const struct shale_digest *manifests, size_t n,
			       bool index, struct shale_image **out,
			       struct shale_err *err)
{
	cleanup_free struct shale_version **stack =
		calloc(n + 1, sizeof(struct shale_version *));
	int r = stack ? 0 : shale_err_set(err, ENOMEM, "open an image");

	for (size_t i = 0; r == 0 && i < n; i++)
		r = shale_store_manifest(store, &manifests[i], &stack[i], err);
	if (r == 0)
		r = n == 1 && !index
			    ? shale_store_open_trees(store, stack[0], out, err)
			    : shale_store_open_image(store, stack, n, out, err);
	for (size_t i = 0; stack && i < n; i++)
		shale_version_free(stack[i]);
	return r;
}

int shale_store_need_index(struct shale_store *store,
			   struct shale_version *const *stack, size_t n,
			   char *name, char *base, struct shale_err *err)
{
	cleanup_image struct shale_image *image = NULL;
	cleanup_index struct shale_index *ix = NULL;

	int r = shale_index_name(stack, n, name);
	if (r < 0)
		return shale_err_set(err, -r, "build an index");
	if (shale_index_cache_open(store, name, &ix, NULL) < 0) {
		r = open_stack(store, stack, n, &image, err);
		if (r == 0)
			r = shale_index_build(store, stack, n, image->trees,
					      SHALE_INDEX_AS_PAYS, &ix, name,
					      err);
	}
	if (r < 0 || !base)
		return r;
	const struct shale_index *below = shale_index_base(ix);
	snprintf(base, SHALE_INDEX_NAME, "%s",
		 below ? shale_index_file(below) : "");
	return 0;
}
