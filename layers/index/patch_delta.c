/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/index/patch_delta.h"

#include "layers/base/cleanup.h"
#include "layers/index/levels.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>

void shale_patch_delta_release(struct shale_patch_delta *d)
{
	shale_buf_release(&d->inodes);
	shale_buf_release(&d->names);
	shale_buf_release(&d->dirs);
	shale_buf_release(&d->by_ino);
	shale_buf_release(&d->touched);
}

int shale_patch_delta_refuse(uint64_t ino, const char *why,
			     struct shale_err *err)
{
	return shale_err_say(err, EOPNOTSUPP, "no patch: inode %" PRIu64 ": %s",
			     ino, why);
}

static int touch(struct shale_patch_delta *d, uint64_t ino,
		 struct shale_err *err)
{
	return shale_patch_append(&d->touched, &ino, sizeof(ino), err);
}

/* ------------------------------------------------------------ searching */

static int by_number(const void *pa, const void *pb)
{
	const uint64_t *a = pa, *b = pb;
	return *a < *b ? -1 : *a > *b;
}

static int inode_by_number(const void *ino, const void *in)
{
	return by_number(ino,
			 &((const struct shale_index_inode *)in)->attr.ino);
}

const struct shale_index_inode *
shale_patch_delta_inode(const struct shale_patch_delta *d, uint64_t ino)
{
	size_t size = sizeof(struct shale_index_inode);
	return d->inodes.len == 0
		       ? NULL
		       : bsearch(&ino, d->inodes.data, d->inodes.len / size,
				 size, inode_by_number);
}

static_assert(offsetof(struct shale_patch_delta_dir, ino) == 0, "by_number");

struct shale_patch_delta_dir *
shale_patch_delta_dir(const struct shale_patch_delta *d, uint64_t ino)
{
	size_t size = sizeof(struct shale_patch_delta_dir);
	return d->dirs.len == 0 ? NULL
				: bsearch(&ino, d->dirs.data,
					  d->dirs.len / size, size, by_number);
}

static int name_in_order(const void *pa, const void *pb)
{
	const struct shale_patch_delta_name *a = pa, *b = pb;
	return shale_name_order(a->to.name, a->to.name_len, b->to.name,
				b->to.name_len);
}

const struct shale_patch_delta_name *
shale_patch_delta_name(const struct shale_patch_delta *d, uint64_t dir,
		       const char *name, size_t len)
{
	const struct shale_patch_delta_dir *in = shale_patch_delta_dir(d, dir);
	const struct shale_patch_delta_name *names =
		(const void *)d->names.data;
	const struct shale_patch_delta_name key = {
		.to = {.name = name, .name_len = (uint16_t)len}};

	return in ? bsearch(&key, names + in->names, in->n, sizeof(key),
			    name_in_order)
		  : NULL;
}

/* --------------------------------------------------------------- inodes */

/* All that a directory which goes had in it loses that name. */
static int lose_entries(struct shale_patch_delta *d, uint64_t dir,
			struct shale_err *err)
{
	struct shale_index_dir run;
	struct shale_entry entry;
	int r = shale_index_dir(d->base, dir, &run, err);

	for (uint64_t i = 0; r == 0 && i < run.count; i++) {
		r = shale_index_entry(d->base, run.first + i, &entry, err);
		if (r == 0)
			r = touch(d, entry.ino, err);
	}
	if (r == 0)
		d->lost += run.count;
	return r;
}

static int take_inode(struct shale_patch_delta *d,
		      const struct shale_index_inode *in, struct shale_err *err)
{
	struct shale_attr was;
	uint64_t ino = in->attr.ino;
	int r = shale_index_attr(d->base, ino, &was, err);

	if (r < 0 && r != -ENOENT)
		return r;
	bool had = r == 0;
	if (ino >= d->next_ino || (ino == SHALE_ROOT_INO && in->attr.mode == 0))
		return shale_patch_delta_refuse(ino, "it cannot be so", err);
	if (had && in->attr.mode != 0 &&
	    (in->attr.mode & S_IFMT) != (was.mode & S_IFMT))
		return shale_patch_delta_refuse(ino, "another type", err);
	r = touch(d, ino, err);
	if (r == 0)
		r = shale_patch_append(&d->inodes, in, sizeof(*in), err);
	if (r == 0 && had && in->attr.mode == 0 && S_ISDIR(was.mode))
		r = lose_entries(d, ino, err);
	return r;
}

static int take_inodes(struct shale_patch_delta *d,
		       struct shale_tree *const *trees, size_t n,
		       struct shale_err *err)
{
	cleanup_walk struct shale_walk *walk = NULL;
	int r = shale_walk_new(&walk, SHALE_WALK_INODES, trees,
			       shale_index_trees(d->base), n, NULL, err);

	while (r == 0 && shale_walk_top(walk)) {
		struct shale_index_inode in;
		r = shale_levels_take(walk, d->base, true, &in, err);
		if (r == 0)
			r = take_inode(d, &in, err);
	}
	return r;
}

/* ---------------------------------------------------------------- names */

/* Mode of an inode in the tree that comes out; 0: it is not there. */
static int mode_of(const struct shale_patch_delta *d, uint64_t ino,
		   uint32_t *mode, struct shale_err *err)
{
	const struct shale_index_inode *in = shale_patch_delta_inode(d, ino);
	struct shale_attr attr;

	if (in) {
		*mode = in->attr.mode;
		return 0;
	}
	int r = shale_index_attr(d->base, ino, &attr, err);
	*mode = r == 0 ? attr.mode : 0;
	return r == -ENOENT ? 0 : r;
}

/*
 * Begin a directory; `*from` is where its entries begin in the base.  Returns 1
 * if it stands, 0 if its names mean nothing.
 */
static int begin_dir(struct shale_patch_delta *d, uint64_t ino, uint64_t *from,
		     struct shale_err *err)
{
	struct shale_patch_delta_dir dir = {.ino = ino};
	struct shale_index_dir run = {0};
	uint32_t mode;
	int r = mode_of(d, ino, &mode, err);

	if (r < 0 || mode == 0)
		return r;
	if (!S_ISDIR(mode))
		return shale_patch_delta_refuse(ino, "names, but no directory",
						err);
	r = shale_index_dir(d->base, ino, &run, err);
	if (r < 0 && r != -ENOENT)
		return r;
	*from = dir.base_first = run.first;
	dir.base_count = run.count;
	dir.names = d->names.len / sizeof(struct shale_patch_delta_name);
	r = shale_patch_append(&d->dirs, &dir, sizeof(dir), err);
	if (r == 0)
		r = touch(d, ino, err);
	return r < 0 ? r : 1;
}

/* Where the base has a name, or the first entry behind it; from c->at on. */
static int find_place(const struct shale_patch_delta *d, uint64_t end,
		      struct shale_patch_delta_name *c, struct shale_err *err)
{
	struct shale_entry entry;
	uint64_t hi = end;

	while (c->at < hi) {
		uint64_t mid = c->at + (hi - c->at) / 2;
		int r = shale_index_entry(d->base, mid, &entry, err);
		if (r < 0)
			return r;
		int order = shale_name_order(entry.name, entry.name_len,
					     c->to.name, c->to.name_len);
		if (order == 0) {
			c->at = mid;
			c->was = true;
			c->was_ino = entry.ino;
			c->was_type = entry.type;
			return 0;
		}
		if (order < 0)
			c->at = mid + 1;
		else
			hi = mid;
	}
	return 0;
}

enum { TYPE_DIR = S_IFDIR >> 12 };

/* Note one name in the directory begun last; `from` is where to look. */
static int take_name(struct shale_patch_delta *d,
		     const struct shale_dirent *name, uint64_t *from,
		     struct shale_err *err)
{
	struct shale_patch_delta_dir *dir =
		(void *)(d->dirs.data + d->dirs.len - sizeof(*dir));
	struct shale_patch_delta_name c = {.to = *name, .at = *from};
	uint32_t mode;
	int r = find_place(d, dir->base_first + dir->base_count, &c, err);
	if (r < 0)
		return r;
	*from = c.at + c.was;
	if (c.was) {
		r = touch(d, c.was_ino, err);
		dir->subdirs -= c.was_type == TYPE_DIR;
	}
	if (r == 0 && name->ino != 0) {
		r = mode_of(d, name->ino, &mode, err);
		if (r == 0 && (mode == 0 || mode >> 12 != name->type))
			r = shale_patch_delta_refuse(name->ino, "not as named",
						     err);
		if (r == 0)
			r = touch(d, name->ino, err);
		dir->subdirs += name->type == TYPE_DIR;
	}
	if (r < 0)
		return r;
	dir->n++;
	return shale_patch_append(&d->names, &c, sizeof(c), err);
}

static int take_names(struct shale_patch_delta *d,
		      struct shale_tree *const *trees, size_t n,
		      struct shale_err *err)
{
	struct shale_dirent name;
	uint64_t dir = 0, from = 0;
	bool stands = false;

	cleanup_walk struct shale_walk *walk = NULL;
	int r = shale_walk_new(&walk, SHALE_WALK_NAMES, trees,
			       shale_index_trees(d->base), n, NULL, err);
	while (r == 0 && shale_walk_top(walk)) {
		r = shale_walk_take_name(walk, &name, err);
		if (r == 0 && name.dir != dir) {
			r = begin_dir(d, name.dir, &from, err);
			dir = name.dir;
			stands = r > 0;
		}
		if (r >= 0)
			r = stands ? take_name(d, &name, &from, err) : 0;
	}
	return r;
}

/* ------------------------------------------------------------- gathering */

struct named {
	uint64_t ino, at;
};

static int by_ino_and_place(const void *pa, const void *pb)
{
	const struct named *a = pa, *b = pb;
	int order = by_number(&a->ino, &b->ino);
	return order ? order : by_number(&a->at, &b->at);
}

/* Names that come, by the inode that they name. */
static int sort_names(struct shale_patch_delta *d, struct shale_err *err)
{
	const struct shale_patch_delta_name *names =
		(const void *)d->names.data;
	size_t n = d->names.len / sizeof(*names);
	cleanup_buf struct shale_buf list = {0};
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		struct named named = {names[i].to.ino, i};
		if (named.ino != 0)
			r = shale_patch_append(&list, &named, sizeof(named),
					       err);
	}
	size_t count = list.len / sizeof(struct named);
	if (count > 1)
		qsort(list.data, count, sizeof(struct named), by_ino_and_place);
	const struct named *named = (const void *)list.data;
	for (size_t i = 0; r == 0 && i < count; i++)
		r = shale_patch_append(&d->by_ino, &named[i].at,
				       sizeof(named[i].at), err);
	return r;
}

static void sort_touched(struct shale_patch_delta *d)
{
	uint64_t *t = (void *)d->touched.data;
	size_t n = d->touched.len / sizeof(*t), kept = 0;

	if (n > 1)
		qsort(t, n, sizeof(*t), by_number);
	for (size_t i = 0; i < n; i++)
		if (kept == 0 || t[kept - 1] != t[i])
			t[kept++] = t[i];
	d->touched.len = kept * sizeof(*t);
}

int shale_patch_delta_gather(struct shale_patch_delta *d,
			     const struct shale_index *base,
			     struct shale_tree *const *trees, size_t n,
			     struct shale_err *err)
{
	*d = (struct shale_patch_delta){
		.base = base,
		.next_ino = shale_levels_next_ino(trees, n, base),
	};
	int r = take_inodes(d, trees, n, err);
	if (r == 0)
		r = take_names(d, trees, n, err);
	if (r == 0)
		r = sort_names(d, err);
	if (r == 0)
		sort_touched(d);
	return r;
}
