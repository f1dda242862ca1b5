/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/blob/tree_build.h"

#include "layers/base/cleanup.h"
#include "layers/blob/compose_impl.h"

#include <string.h>
#include <sys/stat.h>

/*
 * A merge by key of the inodes, then of the names, of all trees.  Records go to
 * a builder, which sorts out chunks, blobs, strings and xattrs.
 */

/* Enough for a file of 100 GiB that is there 160 times; a minute's work. */
enum { COMPOSE_STEPS = 1 << 28 };

/* An inode that was deleted, and the topmost source that says so. */
struct death {
	uint64_t ino;
	size_t source;
};

static int no_memory(struct shale_err *err)
{
	return shale_err_set(err, ENOMEM, "compose tree blobs");
}

/* -------------------------------------------------------------- sources */

static int next_inode(struct shale_compose_source *s, struct shale_err *err)
{
	uint64_t last = s->inode.attr.ino;

	s->inode.attr.ino = 0;
	if (s->inode_at == s->tree->count[SHALE_TREE_INODES])
		return 0;
	int r = shale_tree_inode(s->tree, s->inode_at++, &s->inode, err);
	if (r == 0 && s->inode.attr.ino <= last)
		r = shale_tree_bad(s->tree, SHALE_TREE_INODES, s->inode_at - 1,
				   "unsorted or double", err);
	return r;
}

static int name_order(const struct shale_dirent *a,
		      const struct shale_dirent *b)
{
	if (a->dir != b->dir)
		return a->dir < b->dir ? -1 : 1;
	return shale_name_order(a->name, a->name_len, b->name, b->name_len);
}

static int next_dirent(struct shale_compose_source *s, struct shale_err *err)
{
	struct shale_dirent last = s->dirent;

	s->dirent.dir = 0;
	if (s->dirent_at == s->tree->count[SHALE_TREE_DIRENTS])
		return 0;
	int r = shale_tree_dirent(s->tree, s->dirent_at++, &s->dirent, err);
	if (r == 0 && last.dir && name_order(&last, &s->dirent) >= 0)
		r = shale_tree_bad(s->tree, SHALE_TREE_DIRENTS,
				   s->dirent_at - 1, "unsorted or double", err);
	return r;
}

static int open_source(struct shale_compose_source *s,
		       const struct shale_tree *tree, struct shale_err *err)
{
	s->tree = tree;
	int r = next_inode(s, err);
	if (r == 0)
		r = next_dirent(s, err);
	if (r == 0)
		r = shale_compose_open_content(s, err);
	return r;
}

/* --------------------------------------------------------------- inodes */

/*
 * Which sources still matter for inode `ino`: from `*base` on.  `*hidden`: it
 * was deleted below that, or was of another type.
 */
static void find_base(const struct shale_compose *c, uint64_t ino, size_t top,
		      size_t *base, bool *hidden)
{
	uint32_t type = c->sources[top].inode.attr.mode & S_IFMT;

	*base = top;
	*hidden = false;
	for (size_t i = top + 1; i-- > 0;) {
		const struct shale_inode *in = &c->sources[i].inode;
		if (in->attr.ino != ino)
			continue;
		if ((in->attr.mode & S_IFMT) != type) {
			*hidden = true;
			return;
		}
		*base = i;
		if (in->content == SHALE_CONTENT_REPLACED)
			return;
	}
}

static int note_death(struct shale_compose *c, uint64_t ino, size_t top,
		      struct shale_err *err)
{
	for (size_t i = top + 1; i-- > 0;) {
		const struct shale_inode *in = &c->sources[i].inode;
		struct death death = {ino, i};
		if (in->attr.ino != ino || in->attr.mode)
			continue;
		if (shale_buf_append(&c->deaths, &death, sizeof(death)) < 0)
			return no_memory(err);
		break;
	}
	return 0;
}

static int compose_inode(struct shale_compose *c, uint64_t ino, size_t top,
			 struct shale_err *err)
{
	struct shale_inode in = c->sources[top].inode;
	size_t base;
	bool hidden;
	int r = note_death(c, ino, top, err);

	if (r < 0)
		return r;
	if (in.attr.mode == 0)
		return c->bottom ? 0
				 : shale_tree_build_inode(c->build, &in, err);

	find_base(c, ino, top, &base, &hidden);
	c->pieces.len = 0;
	if (S_ISREG(in.attr.mode))
		r = shale_compose_content(c, &in, base, top, hidden, err);
	if (r == 0)
		r = shale_tree_build_inode(c->build, &in, err);
	if (r == 0)
		r = shale_compose_add_content(c, ino, err);
	return r;
}

static int compose_inodes(struct shale_compose *c, struct shale_err *err)
{
	for (;;) {
		uint64_t ino = UINT64_MAX;
		size_t top = 0;
		for (size_t i = 0; i < c->n; i++) {
			uint64_t other = c->sources[i].inode.attr.ino;
			if (other && other <= ino) {
				ino = other;
				top = i;
			}
		}
		if (ino == UINT64_MAX)
			return 0;
		int r = compose_inode(c, ino, top, err);
		for (size_t i = 0; i < c->n && r == 0; i++)
			if (c->sources[i].inode.attr.ino == ino)
				r = next_inode(&c->sources[i], err);
		if (r < 0)
			return r;
	}
}

/* ---------------------------------------------------------------- names */

/* The source that deleted directory `dir` last, from `*at` on; -1: none. */
static ptrdiff_t death_of(const struct shale_compose *c, uint64_t dir,
			  size_t *at)
{
	const struct death *all = (const struct death *)c->deaths.data;
	size_t n = c->deaths.len / sizeof(*all);

	while (*at < n && all[*at].ino < dir)
		++*at;
	return *at < n && all[*at].ino == dir ? (ptrdiff_t)all[*at].source : -1;
}

/*
 * A name that stands in a directory that was deleted above it went with the
 * directory.
 */
static int compose_dirent(struct shale_compose *c,
			  const struct shale_dirent *said, bool gone,
			  struct shale_err *err)
{
	struct shale_dirent d = *said;

	if (gone) {
		d.ino = 0;
		d.type = 0;
	}
	if (d.ino == 0 && c->bottom)
		return 0;
	return shale_tree_build_dirent(c->build, &d, err);
}

static int compose_dirents(struct shale_compose *c, struct shale_err *err)
{
	size_t at = 0;

	for (;;) {
		const struct shale_dirent *least = NULL;
		size_t top = 0;
		for (size_t i = 0; i < c->n; i++) {
			const struct shale_dirent *d = &c->sources[i].dirent;
			if (d->dir && (!least || name_order(d, least) <= 0)) {
				least = d;
				top = i;
			}
		}
		if (!least)
			return 0;
		struct shale_dirent d = *least;
		bool gone = death_of(c, d.dir, &at) >= (ptrdiff_t)top;
		int r = compose_dirent(c, &d, gone, err);
		for (size_t i = 0; i < c->n && r == 0; i++)
			if (c->sources[i].dirent.dir &&
			    name_order(&c->sources[i].dirent, &d) == 0)
				r = next_dirent(&c->sources[i], err);
		if (r < 0)
			return r;
	}
}

/* ------------------------------------------------------------------ all */

static int compose(struct shale_compose *c, uint64_t *next_ino,
		   struct shale_err *err)
{
	int r = 0;

	*next_ino = 1;
	c->budget = COMPOSE_STEPS;
	for (size_t i = 0; i < c->n && r == 0; i++) {
		const struct shale_tree *tree = c->trees[i];
		if (*next_ino < tree->next_ino)
			*next_ino = tree->next_ino;
		c->budget += 16 * (tree->count[SHALE_TREE_EXTENTS] +
				   tree->count[SHALE_TREE_CHUNKS]);
		r = open_source(&c->sources[i], tree, err);
	}
	if (r == 0)
		r = shale_tree_build_new(&c->build, err);
	if (r == 0)
		r = compose_inodes(c, err);
	return r < 0 ? r : compose_dirents(c, err);
}

int shale_tree_compose_begin(struct shale_tree_build **out,
			     struct shale_tree *const *trees, size_t n,
			     bool bottom, uint64_t *next_ino,
			     struct shale_err *err)
{
	struct shale_compose c = {.n = n, .trees = trees, .bottom = bottom};

	c.sources = calloc(n + 1, sizeof(*c.sources));
	if (!c.sources)
		return no_memory(err);
	int r = compose(&c, next_ino, err);
	for (size_t i = 0; i < n; i++)
		free(c.sources[i].packed);
	free(c.sources);
	shale_buf_release(&c.deaths);
	shale_buf_release(&c.pieces);
	shale_buf_release(&c.upper);
	if (r < 0)
		shale_tree_build_free(c.build);
	else
		*out = c.build;
	return r;
}

int shale_tree_compose(struct shale_tree *const *trees, size_t n, bool bottom,
		       int fd, struct shale_digest *digest, uint64_t *size,
		       struct shale_err *err)
{
	struct shale_tree_build *build;
	uint64_t next_ino;

	int r = shale_tree_compose_begin(&build, trees, n, bottom, &next_ino,
					 err);
	if (r < 0)
		return r;
	r = shale_tree_build_finish(build, fd, next_ino, digest, size, err);
	shale_tree_build_free(build);
	return r;
}
