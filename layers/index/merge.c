/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/index/merge.h"

#include "layers/base/cleanup.h"
#include "layers/index/index_disk.h"
#include "layers/index/walk.h"
#include "layers/index/write.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

SHALE_DEFINE_CLEANUP(walk, struct shale_walk *, shale_walk_free);
#define cleanup_walk SHALE_CLEANUP(shale_cleanup_walk)

struct merging {
	struct shale_tree *const *trees;
	size_t n;
	const struct shale_index *prefix;
};

/*
 * The extents of `ino` in the tree of `l`.  Inodes come in order, as extents
 * do, so those sought mostly follow those found last; one extent a file is by
 * far the most frequent.
 */
static int find_extents(struct shale_walk_layer *l, uint64_t ino,
			uint64_t *first, uint64_t *n, struct shale_err *err)
{
	uint64_t count = shale_tree_count(l->tree, SHALE_TREE_EXTENTS);
	struct shale_extent here, next = {.ino = 0};

	if (l->extent + 1 < count) {
		int r = shale_tree_extent(l->tree, l->extent, &here, err);
		if (r == 0)
			r = shale_tree_extent(l->tree, l->extent + 1, &next,
					      err);
		if (r < 0)
			return r;
		if (here.ino == ino && next.ino > ino) {
			*first = l->extent++;
			*n = 1;
			return 0;
		}
		if (here.ino > ino) { /* all before it are of lower numbers */
			*first = l->extent;
			*n = 0;
			return 0;
		}
	}
	int r = shale_tree_extents_of(l->tree, ino, first, n, err);
	if (r == 0 && *n > 0)
		l->extent = *first + *n;
	return r;
}

/* An inode's content so far, gathered from the topmost layer down. */
struct chain {
	struct shale_index_content content;
	uint32_t empty; /* levels at its lower end that have no extents */
};

static void add_prefix_levels(struct chain *chain,
			      const struct shale_index_content *below)
{
	struct shale_index_content *c = &chain->content;

	if (c->levels == 0) {
		c->tree = below->tree;
		c->first = below->first;
		c->count = below->count;
	}
	c->levels += below->levels;
	chain->empty = 0; /* an index has none of them */
}

/*
 * Add what layer `l` says of an inode's content.  Returns 1 if lower layers may
 * have a say, 0 if not.
 */
static int add_level(struct shale_walk_layer *l, struct chain *chain,
		     struct shale_err *err)
{
	const struct shale_inode *in = &l->inode;
	uint64_t first, count;

	if (!S_ISREG(in->attr.mode))
		return 0;
	if (!l->tree) {
		struct shale_index_content below;
		int r = shale_index_content(l->prefix, in->attr.ino, &below,
					    err);
		if (r == 0 && below.tree != SHALE_NO_TREE)
			add_prefix_levels(chain, &below);
		return r;
	}
	if (in->content == SHALE_CONTENT_SAME)
		return 1;
	int r = find_extents(l, in->attr.ino, &first, &count, err);
	if (r < 0)
		return r;
	if (chain->content.levels++ == 0) {
		chain->content.tree = l->level;
		chain->content.first = first;
		chain->content.count = count;
	}
	chain->empty = count == 0 ? chain->empty + 1 : 0;
	return in->content == SHALE_CONTENT_PATCHED;
}

/* Where no lower level has extents, a level without any says nothing. */
static void settle(struct chain *chain)
{
	struct shale_index_content *c = &chain->content;

	c->levels -= chain->empty;
	if (c->levels == 0)
		c->tree = SHALE_NO_TREE;
	if (c->levels != 1)
		c->first = c->count = 0;
}

/*
 * All that the layers say of the inode that `walk` stands at; `in` is what its
 * topmost record says.  Leaves `walk` at the next inode.
 */
static int take_inode(struct shale_walk *walk, bool contents,
		      struct shale_index_inode *in, struct shale_err *err)
{
	struct shale_walk_layer *l = shale_walk_top(walk);
	const uint64_t ino = l->inode.attr.ino;
	struct chain chain = {.content.ino = ino};

	in->attr = l->inode.attr;
	in->xattrs = l->inode.xattrs;
	in->xattr_len = l->inode.xattr_len;
	in->target = l->inode.target;
	bool more = contents;
	do {
		int r = more ? add_level(l, &chain, err) : 0;
		more = r > 0;
		if (r >= 0)
			r = shale_walk_next(walk, err);
		if (r < 0)
			return r;
		l = shale_walk_top(walk);
	} while (l && l->inode.attr.ino == ino);
	settle(&chain);
	in->content = chain.content;
	return 0;
}

static int merge_inodes(void *ctx, bool contents, shale_index_each_inode *each,
			void *arg, struct shale_err *err)
{
	struct merging *m = ctx;
	struct shale_index_inode in;

	cleanup_walk struct shale_walk *walk = NULL;
	int r = shale_walk_new(&walk, SHALE_WALK_INODES, m->trees, m->n,
			       m->prefix, err);
	while (r == 0 && shale_walk_top(walk)) {
		r = take_inode(walk, contents, &in, err);
		if (r == 0 && in.attr.mode != 0)
			r = each(arg, &in, err);
	}
	return r;
}

static bool same_name(const struct shale_dirent *a,
		      const struct shale_dirent *b)
{
	return a->dir == b->dir && a->name_len == b->name_len &&
	       memcmp(a->name, b->name, a->name_len) == 0;
}

static int merge_names(void *ctx, shale_index_each_name *each, void *arg,
		       struct shale_err *err)
{
	struct merging *m = ctx;
	struct shale_walk_layer *l;

	cleanup_walk struct shale_walk *walk = NULL;
	int r = shale_walk_new(&walk, SHALE_WALK_NAMES, m->trees, m->n,
			       m->prefix, err);
	while (r == 0 && (l = shale_walk_top(walk))) {
		struct shale_dirent name = l->name;
		if (name.ino != 0)
			r = each(arg, &name, err);
		do {
			if (r == 0)
				r = shale_walk_next(walk, err);
		} while (r == 0 && (l = shale_walk_top(walk)) &&
			 same_name(&l->name, &name));
	}
	return r;
}

/* TREES, and a prefix that is what it claims to be. */
static int list_trees(const struct merging *m,
		      const struct shale_digest *digests,
		      struct shale_disk_index_tree *list, struct shale_err *err)
{
	for (size_t i = 0; i < m->n; i++)
		memcpy(list[i].digest, digests[i].b, sizeof(list[i].digest));
	if (!m->prefix)
		return 0;

	uint32_t n = shale_index_trees(m->prefix), image;
	struct shale_digest digest;
	if (n == 0 || n > m->n)
		return shale_err_say(err, EINVAL,
				     "the index is not of the first trees");
	for (uint32_t i = 0; i < n; i++) {
		int r = shale_index_tree(m->prefix, i, &digest, &image, err);
		if (r < 0)
			return r;
		if (image != 0 || !shale_digest_equal(&digest, &digests[i]))
			return shale_err_say(
				err, EINVAL,
				"the index is not of the first trees");
	}
	return 0;
}

static uint64_t next_ino(const struct merging *m)
{
	uint64_t next = m->prefix ? shale_index_next_ino(m->prefix) : 0;

	for (size_t i = 0; i < m->n; i++)
		if (shale_tree_next_ino(m->trees[i]) > next)
			next = shale_tree_next_ino(m->trees[i]);
	return next;
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
	int r = list_trees(&m, digests, list, err);
	if (r < 0)
		return r;

	struct shale_index_source source = {
		.ctx = &m,
		.inodes = merge_inodes,
		.names = merge_names,
		.trees = list,
		.n_trees = n,
		.next_ino = next_ino(&m),
	};
	return shale_index_write(fd, &source, err);
}
