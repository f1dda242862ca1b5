/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/store/compact.h"

#include "layers/base/cleanup.h"
#include "layers/blob/data_gather.h"
#include "layers/store/compact_file.h"
#include "layers/store/store_impl.h"

#include <string.h>

/* A merge under construction. */
struct merge {
	struct shale_store *store;
	struct shale_image *chain; /* all trees; [first, end) are merged */
	size_t first, end;
	struct shale_build_use *uses; /* data blobs of the merged tree */
	size_t n_uses;
	struct shale_blob_tmp file[2];
	uint64_t size[2];
};
enum { TREE, DATA };

static bool is_inside(const struct merge *m, size_t tree)
{
	return tree >= m->first && tree < m->end;
}

static struct shale_build_use *find_use(const struct merge *m,
					const struct shale_digest *digest)
{
	for (size_t i = 0; i < m->n_uses; i++)
		if (shale_digest_equal(&m->uses[i].digest, digest))
			return &m->uses[i];
	return NULL;
}

/*
 * What a tree outside of the run names too stays where it is: copying would not
 * free the version of it.
 */
static int keep_shared(struct merge *m, const struct shale_tree *tree,
		       struct shale_err *err)
{
	uint64_t n = shale_tree_count(tree, SHALE_TREE_BLOBS);

	for (uint64_t i = 0; i < n; i++) {
		struct shale_digest digest;
		uint64_t size;
		int r = shale_tree_blob(tree, i, &digest, &size, err);
		if (r < 0)
			return r;
		struct shale_build_use *use = find_use(m, &digest);
		if (use)
			use->move = false;
	}
	return 0;
}

/* Decide which data blobs are copied. */
static int choose(struct merge *m, const struct shale_tree_build *build,
		  uint64_t total, struct shale_err *err)
{
	int r = shale_tree_build_uses(build, &m->uses, &m->n_uses, err);
	for (size_t i = 0; r == 0 && i < m->n_uses; i++)
		m->uses[i].move = true;
	for (size_t i = 0; r == 0 && i < m->chain->n_trees; i++)
		if (!is_inside(m, i))
			r = keep_shared(m, m->chain->trees[i], err);
	if (r == 0)
		shale_compact_choose_data(m->uses, m->n_uses, total);
	return r;
}

static int make_blobs(struct merge *m, uint64_t total, struct shale_err *err)
{
	struct shale_blobs *blobs = m->store->blobs;
	cleanup_build struct shale_tree_build *build = NULL;
	uint64_t next_ino;

	int r = shale_tree_compose_begin(&build, m->chain->trees + m->first,
					 m->end - m->first, m->first == 0,
					 &next_ino, err);
	if (r == 0)
		r = choose(m, build, total, err);
	if (r == 0)
		r = shale_data_gather(blobs, build, m->uses, m->n_uses,
				      &m->file[DATA], &m->size[DATA], err);
	if (r == 0)
		r = shale_blobs_create(blobs, &m->file[TREE].fd,
				       m->file[TREE].name, err);
	if (r == 0)
		r = shale_tree_build_finish(build, m->file[TREE].fd, next_ino,
					    &m->file[TREE].digest,
					    &m->size[TREE], err);
	if (r == 0)
		r = shale_blobs_publish(blobs, m->file,
					m->file[DATA].fd < 0 ? 1 : 2, err);
	return r;
}

static void release(struct merge *m, bool made)
{
	for (int i = 0; i < 2; i++) {
		if (m->file[i].fd < 0)
			continue;
		close(m->file[i].fd);
		if (!made)
			shale_blobs_abandon(m->store->blobs, m->file[i].name);
	}
	free(m->uses);
}

int shale_compact_make(struct shale_store *store,
		       const struct shale_layer_desc *trees, size_t n,
		       size_t first, size_t end, uint64_t total,
		       struct shale_compact_file *out, struct shale_err *err)
{
	cleanup_image struct shale_image *chain = NULL;
	struct merge m = {.store = store,
			  .first = first,
			  .end = end,
			  .file = {{.fd = -1}, {.fd = -1}}};

	int r = shale_compact_open(store, trees, n, &chain, err);
	if (r < 0)
		return r;
	m.chain = chain;
	r = make_blobs(&m, total, err);
	if (r == 0) {
		out->merged = (struct shale_layer_desc){m.file[TREE].digest,
							m.size[TREE]};
		out->has_data = m.file[DATA].fd >= 0;
		if (out->has_data)
			out->data = (struct shale_layer_desc){
				m.file[DATA].digest, m.size[DATA]};
	}
	release(&m, r == 0);
	return r;
}
