/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/base/buf.h"
#include "layers/base/cleanup.h"
#include "layers/store/store_impl.h"
#include "layers/store/version.h"

#include <string.h>

static int by_digest(const void *a, const void *b)
{
	return memcmp(&((const struct shale_layer_desc *)a)->digest,
		      &((const struct shale_layer_desc *)b)->digest,
		      sizeof(struct shale_digest));
}

/* All BLOBS of one tree, appended. */
static int append_blobs(struct shale_store *store,
			const struct shale_layer_desc *desc,
			struct shale_buf *out, struct shale_err *err)
{
	struct shale_tree *tree;
	int r = shale_store_open_tree(store, desc, &tree, err);
	if (r < 0)
		return r;
	uint64_t n = shale_tree_count(tree, SHALE_TREE_BLOBS);
	for (uint64_t i = 0; i < n && r == 0; i++) {
		struct shale_layer_desc d = {0};
		r = shale_tree_blob(tree, i, &d.digest, &d.size, err);
		if (r == 0 && shale_buf_append(out, &d, sizeof(d)) < 0)
			r = shale_err_set(err, ENOMEM, "list data blobs");
	}
	shale_tree_close(tree);
	return r;
}

/* Keep the first of each digest, in the order in which they came. */
static int drop_doubles(struct shale_layer_desc *list, size_t *n,
			struct shale_err *err)
{
	size_t kept = 0, seen_n = 0;
	struct shale_layer_desc *seen = calloc(*n ? *n : 1, sizeof(*seen));
	bool *taken = calloc(*n ? *n : 1, sizeof(*taken));
	if (!seen || !taken) {
		free(seen);
		free(taken);
		return shale_err_set(err, ENOMEM, "list data blobs");
	}
	if (*n)
		memcpy(seen, list, *n * sizeof(*seen));
	qsort(seen, *n, sizeof(*seen), by_digest);
	for (size_t i = 0; i < *n; i++)
		if (i == 0 || by_digest(&seen[i], &seen[seen_n - 1]) != 0)
			seen[seen_n++] = seen[i];

	for (size_t i = 0; i < *n; i++) {
		struct shale_layer_desc *at = bsearch(&list[i], seen, seen_n,
						      sizeof(*seen), by_digest);
		if (taken[at - seen])
			continue;
		taken[at - seen] = true;
		list[kept++] = list[i];
	}
	*n = kept;
	free(seen);
	free(taken);
	return 0;
}

int shale_version_data_blobs(struct shale_store *store,
			     const struct shale_layer_desc *trees, size_t n,
			     struct shale_layer_desc **out, size_t *n_out,
			     struct shale_err *err)
{
	cleanup_buf struct shale_buf all = {0};
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++)
		r = append_blobs(store, &trees[i], &all, err);
	if (r < 0)
		return r;

	size_t count = all.len / sizeof(struct shale_layer_desc);
	struct shale_layer_desc *list = (struct shale_layer_desc *)all.data;
	r = drop_doubles(list, &count, err);
	if (r < 0)
		return r;
	all = (struct shale_buf){0}; /* handed on as `list` */
	*out = list;
	*n_out = count;
	return 0;
}

int shale_version_list_data(struct shale_store *store, struct shale_version *v,
			    struct shale_err *err)
{
	cleanup_free struct shale_layer_desc *below = NULL;
	size_t n_below = 0;

	int r = shale_version_data_blobs(store, v->trees, v->n_trees - 1,
					 &below, &n_below, err);
	if (r == 0)
		r = shale_version_data_blobs(store, v->trees, v->n_trees,
					     &v->data, &v->n_data, err);
	if (r == 0)
		v->n_own = v->n_data - n_below;
	return r;
}
