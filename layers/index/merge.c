/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/index/merge.h"

#include "layers/base/cleanup.h"
#include "layers/index/index_disk.h"
#include "layers/index/levels.h"
#include "layers/index/walk.h"
#include "layers/index/write.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct merging {
	struct shale_tree *const *trees;
	size_t n;
	const struct shale_index *prefix;
};

/* The first tree that the prefix does not stand for. */
static size_t first(const struct merging *m)
{
	return m->prefix ? shale_index_trees(m->prefix) : 0;
}

static int merge_inodes(void *ctx, bool contents, shale_index_each_inode *each,
			void *arg, struct shale_err *err)
{
	struct merging *m = ctx;
	struct shale_index_inode in;

	cleanup_walk struct shale_walk *walk = NULL;
	int r = shale_walk_new(&walk, SHALE_WALK_INODES, m->trees, first(m),
			       m->n, m->prefix, err);
	while (r == 0 && shale_walk_top(walk)) {
		r = shale_levels_take(walk, NULL, contents, &in, err);
		if (r == 0 && in.attr.mode != 0)
			r = each(arg, &in, err);
	}
	return r;
}

static int merge_names(void *ctx, shale_index_each_name *each, void *arg,
		       struct shale_err *err)
{
	struct merging *m = ctx;
	struct shale_dirent name;

	cleanup_walk struct shale_walk *walk = NULL;
	int r = shale_walk_new(&walk, SHALE_WALK_NAMES, m->trees, first(m),
			       m->n, m->prefix, err);
	while (r == 0 && shale_walk_top(walk)) {
		r = shale_walk_take_name(walk, &name, err);
		if (r == 0 && name.ino != 0)
			r = each(arg, &name, err);
	}
	return r;
}

int shale_index_merge(int fd, struct shale_tree *const *trees,
		      const struct shale_digest *digests, size_t n,
		      const struct shale_index *prefix, struct shale_err *err)
{
	struct merging m = {.trees = trees, .n = n, .prefix = prefix};

	if (n == 0 || n >= SHALE_NO_TREE)
		return shale_err_say(err, EINVAL, "an image of %zu trees", n);
	cleanup_free struct shale_disk_index_tree *list =
		calloc(n, sizeof(*list));
	if (!list)
		return shale_err_set(err, ENOMEM, "merge trees");
	for (size_t i = 0; i < n; i++)
		memcpy(list[i].digest, digests[i].b, sizeof(list[i].digest));
	int r = prefix ? shale_index_begins(prefix, digests, n, err) : 0;
	if (r < 0)
		return r;

	struct shale_index_source source = {
		.ctx = &m,
		.inodes = merge_inodes,
		.names = merge_names,
		.trees = list,
		.n_trees = n,
		.next_ino = shale_levels_next_ino(trees, n, prefix),
	};
	return shale_index_write(fd, &source, err);
}
