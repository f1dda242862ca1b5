/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/index/walk.h"

#include "layers/base/cleanup.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A binary heap of layers: the smallest key, topmost layer first, is at 0. */
struct shale_walk {
	enum shale_walk_kind kind;
	size_t n;                       /* layers in the heap */
	struct shale_walk_layer **heap; /* into `layers` */
	struct shale_walk_layer layers[];
};

static int compare_names(const struct shale_dirent *a,
			 const struct shale_dirent *b)
{
	if (a->dir != b->dir)
		return a->dir < b->dir ? -1 : 1;
	return shale_name_order(a->name, a->name_len, b->name, b->name_len);
}

static bool comes_before(enum shale_walk_kind kind,
			 const struct shale_walk_layer *a,
			 const struct shale_walk_layer *b)
{
	if (kind == SHALE_WALK_INODES) {
		if (a->inode.attr.ino != b->inode.attr.ino)
			return a->inode.attr.ino < b->inode.attr.ino;
	} else {
		int order = compare_names(&a->name, &b->name);
		if (order != 0)
			return order < 0;
	}
	return a->level > b->level;
}

static void sift_down(struct shale_walk *walk, size_t i)
{
	struct shale_walk_layer **heap = walk->heap, *in = heap[i];

	for (size_t child; (child = 2 * i + 1) < walk->n; i = child) {
		if (child + 1 < walk->n &&
		    comes_before(walk->kind, heap[child + 1], heap[child]))
			child++;
		if (!comes_before(walk->kind, heap[child], in))
			break;
		heap[i] = heap[child];
	}
	heap[i] = in;
}

/* The prefix's inode at `at`, as a tree would tell it. */
static int load_prefix_inode(struct shale_walk_layer *l, struct shale_err *err)
{
	const struct shale_index *ix = l->prefix;
	struct shale_inode *in = &l->inode;

	*in = (struct shale_inode){.content = SHALE_CONTENT_SAME};
	int r = shale_index_attr_nth(ix, l->at, &in->attr, err);
	if (r == 0)
		r = shale_index_xattrs(ix, in->attr.ino, &in->xattrs,
				       &in->xattr_len, err);
	uint32_t len;
	if (r == 0 && S_ISLNK(in->attr.mode))
		r = shale_index_target(ix, in->attr.ino, &in->target, &len,
				       err);
	return r;
}

/* The prefix's entry at `at`: directories are walked along with them. */
static int load_prefix_name(struct shale_walk_layer *l, struct shale_err *err)
{
	struct shale_index_dir dir;
	struct shale_attr attr;
	struct shale_entry entry;

	while (l->dir_left == 0) {
		int r = shale_index_attr_nth(l->prefix, l->dir_at++, &attr,
					     err);
		if (r < 0)
			return r;
		if (!S_ISDIR(attr.mode))
			continue;
		r = shale_index_dir(l->prefix, attr.ino, &dir, err);
		if (r < 0)
			return r;
		l->dir_next = dir.first;
		l->dir_left = dir.count;
		l->name.dir = attr.ino;
		if (dir.count > 0 && !shale_index_base(l->prefix) &&
		    dir.first != l->at)
			return shale_err_say(err, EUCLEAN,
					     "entries of directory %" PRIu64
					     " of the index are not in order",
					     attr.ino);
	}
	int r = shale_index_entry(l->prefix, l->dir_next++, &entry, err);
	if (r < 0)
		return r;
	l->dir_left--;
	l->name.ino = entry.ino;
	l->name.name = entry.name;
	l->name.name_len = entry.name_len;
	l->name.type = entry.type;
	return 0;
}

/* Read the record at `at`, which exists. */
static int load(const struct shale_walk *walk, struct shale_walk_layer *l,
		struct shale_err *err)
{
	if (walk->kind == SHALE_WALK_INODES)
		return l->tree ? shale_tree_inode(l->tree, l->at, &l->inode,
						  err)
			       : load_prefix_inode(l, err);
	return l->tree ? shale_tree_dirent(l->tree, l->at, &l->name, err)
		       : load_prefix_name(l, err);
}

static int not_sorted(const struct shale_walk_layer *l, struct shale_err *err)
{
	return shale_err_say(
		err, EUCLEAN, "%s: record %" PRIu64 " is out of order",
		l->tree ? shale_tree_name(l->tree) : "index", l->at);
}

struct shale_walk_layer *shale_walk_top(struct shale_walk *walk)
{
	return walk->n > 0 ? walk->heap[0] : NULL;
}

int shale_walk_next(struct shale_walk *walk, struct shale_err *err)
{
	struct shale_walk_layer *l = walk->heap[0];

	if (++l->at == l->count) {
		walk->heap[0] = walk->heap[--walk->n];
		if (walk->n > 0)
			sift_down(walk, 0);
		return 0;
	}
	uint64_t ino = l->inode.attr.ino;
	struct shale_dirent name = l->name;
	int r = load(walk, l, err);
	if (r < 0)
		return r;
	if (walk->kind == SHALE_WALK_INODES
		    ? l->inode.attr.ino <= ino
		    : compare_names(&l->name, &name) <= 0)
		return not_sorted(l, err);
	sift_down(walk, 0);
	return 0;
}

int shale_walk_take_name(struct shale_walk *walk, struct shale_dirent *out,
			 struct shale_err *err)
{
	const struct shale_walk_layer *l;

	*out = shale_walk_top(walk)->name;
	do {
		int r = shale_walk_next(walk, err);
		if (r < 0)
			return r;
		l = shale_walk_top(walk);
	} while (l && compare_names(&l->name, out) == 0);
	return 0;
}

static int add_layer(struct shale_walk *walk, struct shale_walk_layer *l,
		     struct shale_err *err)
{
	enum shale_tree_section section = walk->kind == SHALE_WALK_INODES
						  ? SHALE_TREE_INODES
						  : SHALE_TREE_DIRENTS;
	if (l->tree)
		l->count = shale_tree_count(l->tree, section);
	else
		l->count = walk->kind == SHALE_WALK_INODES
				   ? shale_index_inodes(l->prefix)
				   : shale_index_entries(l->prefix);
	if (l->count == 0)
		return 0;
	walk->heap[walk->n++] = l;
	return load(walk, l, err);
}

int shale_walk_new(struct shale_walk **out, enum shale_walk_kind kind,
		   struct shale_tree *const *trees, size_t first, size_t n,
		   const struct shale_index *prefix, struct shale_err *err)
{
	cleanup_walk struct shale_walk *walk =
		calloc(1, sizeof(*walk) + n * sizeof(walk->layers[0]));
	if (!walk || !(walk->heap = calloc(n + 1, sizeof(*walk->heap))))
		return shale_err_set(err, ENOMEM, "walk layers");
	walk->kind = kind;

	/* The prefix takes the place of its topmost tree. */
	for (size_t i = prefix ? first - 1 : first; i < n; i++) {
		struct shale_walk_layer *l = &walk->layers[i];
		l->level = (uint32_t)i;
		if (i < first)
			l->prefix = prefix;
		else
			l->tree = trees[i];
		int r = add_layer(walk, l, err);
		if (r < 0)
			return r;
	}
	for (size_t i = walk->n; i-- > 0;)
		sift_down(walk, i);
	*out = steal_ptr(&walk);
	return 0;
}

void shale_walk_free(struct shale_walk *walk)
{
	if (!walk)
		return;
	free(walk->heap);
	free(walk);
}
