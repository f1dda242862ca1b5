/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/index/levels.h"

#include <errno.h>
#include <sys/stat.h>

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

/* What an index of the layers below those of the walk says of an inode. */
static int add_below(const struct shale_index *below, uint64_t ino,
		     struct chain *chain, struct shale_err *err)
{
	struct shale_index_content c;
	int r = shale_index_content(below, ino, &c, err);

	if (r == -ENOENT || r == -EINVAL)
		return 0; /* not there, or nothing that has content */
	if (r == 0 && c.tree != SHALE_NO_TREE)
		add_prefix_levels(chain, &c);
	return r;
}

int shale_levels_take(struct shale_walk *walk, const struct shale_index *below,
		      bool contents, struct shale_index_inode *in,
		      struct shale_err *err)
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
	int r = more && below ? add_below(below, ino, &chain, err) : 0;
	if (r < 0)
		return r;
	settle(&chain);
	in->content = chain.content;
	return 0;
}

uint64_t shale_levels_next_ino(struct shale_tree *const *trees, size_t n,
			       const struct shale_index *below)
{
	uint64_t next = below ? shale_index_next_ino(below) : 0;

	for (size_t i = 0; i < n; i++)
		if (shale_tree_next_ino(trees[i]) > next)
			next = shale_tree_next_ino(trees[i]);
	return next;
}
