/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/blob/tree_build.h"

#include "layers/base/buf.h"
#include "layers/base/cleanup.h"
#include "layers/blob/compose_clone.h"
#include "layers/blob/pieces.h"
#include "layers/blob/tree_impl.h"

#include <string.h>
#include <sys/stat.h>

/*
 * A merge by key of the inodes, then of the names, of all trees.  Records go to
 * a builder, which sorts out chunks, blobs, strings and xattrs.
 */

/* One of the trees, and how far it has been read. */
struct source {
	const struct shale_tree *tree;
	uint64_t inode_at, dirent_at, extent_at; /* records read */
	struct shale_inode inode;                /* the one read last; ino 0: */
	struct shale_dirent dirent;              /* there are no more */
	struct shale_extent extent;
	uint32_t *packed; /* of each extent: 1 + number in PACKED; NULL: none */
};

/* An inode that was deleted, and the topmost source that says so. */
struct death {
	uint64_t ino;
	size_t source;
};

struct compose {
	struct source *sources; /* bottom first */
	struct shale_tree *const *trees;
	size_t n;
	bool bottom;
	struct shale_tree_build *build;
	struct shale_buf deaths; /* struct death, by number */
	struct shale_buf pieces, upper;
};

static int no_memory(struct shale_err *err)
{
	return shale_err_set(err, ENOMEM, "compose tree blobs");
}

/* -------------------------------------------------------------- sources */

static int next_inode(struct source *s, struct shale_err *err)
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

static int next_dirent(struct source *s, struct shale_err *err)
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

static int next_extent(struct source *s, struct shale_err *err)
{
	struct shale_extent last = s->extent;

	s->extent.ino = 0;
	if (s->extent_at == s->tree->count[SHALE_TREE_EXTENTS])
		return 0;
	int r = shale_tree_extent(s->tree, s->extent_at++, &s->extent, err);
	if (r == 0 &&
	    (s->extent.ino < last.ino || (s->extent.ino == last.ino &&
					  s->extent.off < last.off + last.len)))
		r = shale_tree_bad(s->tree, SHALE_TREE_EXTENTS,
				   s->extent_at - 1,
				   "unsorted, or overlaps the one before", err);
	return r;
}

static int index_packed(struct source *s, struct shale_err *err)
{
	struct shale_hash128 hash;
	uint64_t extent;

	if (!s->tree->count[SHALE_TREE_PACKED])
		return 0;
	s->packed =
		calloc(s->tree->count[SHALE_TREE_EXTENTS], sizeof(*s->packed));
	if (!s->packed)
		return no_memory(err);
	for (uint64_t i = 0; i < s->tree->count[SHALE_TREE_PACKED]; i++) {
		int r = shale_tree_packed(s->tree, i, &extent, &hash, err);
		if (r < 0)
			return r;
		s->packed[extent] = (uint32_t)i + 1;
	}
	return 0;
}

static int open_source(struct source *s, const struct shale_tree *tree,
		       struct shale_err *err)
{
	s->tree = tree;
	int r = index_packed(s, err);
	if (r == 0)
		r = next_inode(s, err);
	if (r == 0)
		r = next_dirent(s, err);
	if (r == 0)
		r = next_extent(s, err);
	return r;
}

/* -------------------------------------------------------------- content */

/* Append the extents of `ino` in source `i` to `out`. */
static int load_pieces(struct compose *c, size_t i, uint64_t ino,
		       struct shale_buf *out, struct shale_err *err)
{
	struct source *s = &c->sources[i];
	int r = 0;

	while (r == 0 && s->extent.ino && s->extent.ino < ino)
		r = next_extent(s, err);
	while (r == 0 && s->extent.ino == ino) {
		const struct shale_extent *e = &s->extent;
		struct shale_compose_piece p = {
			.off = e->off,
			.len = e->len,
			.skip = e->chunk == SHALE_CLONE ? e->clone_off
							: e->chunk_off,
			.clone = e->clone_ino,
			.chunk = e->chunk,
			.source = (uint32_t)i,
			.packed = s->packed ? s->packed[s->extent_at - 1] : 0,
		};
		if (shale_buf_append(out, &p, sizeof(p)) < 0)
			return no_memory(err);
		r = next_extent(s, err);
	}
	return r;
}

/*
 * Give the builder `n` bytes of a chunk of a source for [off, off + n) of inode
 * `ino`.
 */
static int add_extent(struct compose *c, const struct shale_chunk *chunk,
		      struct shale_extent *e,
		      const struct shale_hash128 *packed, struct shale_err *err)
{
	uint32_t blob;
	int r = shale_tree_build_blob(c->build, &chunk->blob, chunk->blob_size,
				      &blob, err);
	if (r == 0)
		r = shale_tree_build_chunk(c->build, chunk, blob, &e->chunk,
					   err);
	if (r == 0)
		r = shale_tree_build_extent(c->build, e, packed, err);
	return r;
}

/* Chunk by chunk; the builder joins what belongs together. */
static int add_chunks(struct compose *c, const struct shale_tree *tree,
		      uint64_t ino, const struct shale_compose_piece *p,
		      const struct shale_hash128 *packed, struct shale_err *err)
{
	struct shale_extent e = {.ino = ino, .off = p->off};
	struct shale_chunk chunk;
	uint64_t left = p->len;
	uint32_t at;
	int r = shale_tree_chunk_seek(tree, p->chunk, p->skip, &at,
				      &e.chunk_off, err);

	while (r == 0 && left) {
		r = shale_tree_chunk(tree, at, &chunk, err);
		if (r < 0)
			break;
		e.len = chunk.len - e.chunk_off;
		if (e.len > left)
			e.len = left;
		r = add_extent(c, &chunk, &e, e.len == p->len ? packed : NULL,
			       err);
		left -= e.len;
		e.off += e.len;
		e.chunk_off = 0;
		at++;
	}
	return r;
}

/* Say what the sources under the clone's own have, run by run. */
static int add_clone(struct compose *c, uint64_t ino,
		     const struct shale_compose_piece *p, struct shale_err *err)
{
	int r = 0;

	for (uint64_t done = 0; r == 0 && done < p->len;) {
		struct shale_clone_run run;
		r = shale_clone_run(c->trees, p->source, c->bottom, p->clone,
				    p->skip + done, p->len - done, &run, err);
		if (r < 0)
			break;
		struct shale_extent e = {.ino = ino,
					 .off = p->off + done,
					 .len = run.len,
					 .chunk = SHALE_HOLE};
		struct shale_compose_piece part = {.off = e.off,
						   .len = run.len,
						   .skip = run.skip,
						   .chunk = run.chunk};
		switch (run.kind) {
		case SHALE_CLONE_CHUNKS:
			r = add_chunks(c, run.tree, ino, &part, NULL, err);
			break;
		case SHALE_CLONE_BELOW:
			e.chunk = SHALE_CLONE;
			e.clone_ino = run.ino;
			e.clone_off = run.off;
			/* fall through */
		case SHALE_CLONE_HOLE:
			r = shale_tree_build_extent(c->build, &e, NULL, err);
		}
		done += run.len;
	}
	return r;
}

static int add_piece(struct compose *c, uint64_t ino,
		     const struct shale_compose_piece *p, struct shale_err *err)
{
	const struct shale_tree *tree = c->sources[p->source].tree;
	struct shale_extent hole = {
		.ino = ino, .off = p->off, .len = p->len, .chunk = SHALE_HOLE};
	struct shale_hash128 hash;
	uint64_t extent;

	if (p->chunk == SHALE_HOLE)
		return shale_tree_build_extent(c->build, &hole, NULL, err);
	if (p->chunk == SHALE_CLONE)
		return add_clone(c, ino, p, err);
	int r = 0;
	if (p->packed)
		r = shale_tree_packed(tree, p->packed - 1, &extent, &hash, err);
	return r < 0 ? r
		     : add_chunks(c, tree, ino, p, p->packed ? &hash : NULL,
				  err);
}

/*
 * Say the content of `in` with what sources [base, top] say of it.  `hidden`:
 * what lies below `base` is another inode's.
 */
static int compose_content(struct compose *c, struct shale_inode *in,
			   size_t base, size_t top, bool hidden,
			   struct shale_err *err)
{
	uint64_t ino = in->attr.ino;

	c->pieces.len = 0;
	in->content = hidden ? SHALE_CONTENT_REPLACED : SHALE_CONTENT_SAME;
	in->limit = 0;
	for (size_t i = base; i <= top; i++) {
		const struct shale_inode *said = &c->sources[i].inode;
		if (said->attr.ino != ino ||
		    said->content == SHALE_CONTENT_SAME)
			continue;
		c->upper.len = 0;
		int r = load_pieces(c, i, ino, &c->upper, err);
		if (r < 0)
			return r;
		if (said->content == SHALE_CONTENT_REPLACED) {
			c->pieces.len = 0;
			in->content = SHALE_CONTENT_REPLACED;
		} else {
			shale_pieces_cut(&c->pieces, said->limit);
			if (in->content == SHALE_CONTENT_SAME ||
			    (in->content == SHALE_CONTENT_PATCHED &&
			     said->limit < in->limit))
				in->limit = said->limit;
			if (in->content == SHALE_CONTENT_SAME)
				in->content = SHALE_CONTENT_PATCHED;
		}
		if (shale_pieces_overlay(&c->pieces, &c->upper) < 0)
			return no_memory(err);
	}
	if (c->bottom && in->content == SHALE_CONTENT_PATCHED)
		in->content = SHALE_CONTENT_REPLACED;
	if (in->content == SHALE_CONTENT_REPLACED) {
		in->limit = 0;
		shale_pieces_drop_holes(&c->pieces);
	}
	shale_pieces_cut(&c->pieces, in->attr.size);
	return 0;
}

/* --------------------------------------------------------------- inodes */

/*
 * Which sources still matter for inode `ino`: from `*base` on.  `*hidden`: it
 * was deleted below that, or was of another type.
 */
static void find_base(const struct compose *c, uint64_t ino, size_t top,
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

static int note_death(struct compose *c, uint64_t ino, size_t top,
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

static int compose_inode(struct compose *c, uint64_t ino, size_t top,
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
		r = compose_content(c, &in, base, top, hidden, err);
	if (r == 0)
		r = shale_tree_build_inode(c->build, &in, err);
	const struct shale_compose_piece *p =
		(const struct shale_compose_piece *)c->pieces.data;
	for (size_t n = c->pieces.len / sizeof(*p); n && r == 0; n--, p++)
		r = add_piece(c, ino, p, err);
	return r;
}

static int compose_inodes(struct compose *c, struct shale_err *err)
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
static ptrdiff_t death_of(const struct compose *c, uint64_t dir, size_t *at)
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
static int compose_dirent(struct compose *c, const struct shale_dirent *said,
			  bool gone, struct shale_err *err)
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

static int compose_dirents(struct compose *c, struct shale_err *err)
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

static int compose(struct compose *c, struct shale_tree *const *trees, int fd,
		   struct shale_digest *digest, uint64_t *size,
		   struct shale_err *err)
{
	uint64_t next_ino = 1;
	int r = 0;

	for (size_t i = 0; i < c->n && r == 0; i++) {
		if (next_ino < trees[i]->next_ino)
			next_ino = trees[i]->next_ino;
		r = open_source(&c->sources[i], trees[i], err);
	}
	if (r == 0)
		r = shale_tree_build_new(&c->build, err);
	if (r == 0)
		r = compose_inodes(c, err);
	if (r == 0)
		r = compose_dirents(c, err);
	if (r == 0)
		r = shale_tree_build_finish(c->build, fd, next_ino, digest,
					    size, err);
	return r;
}

int shale_tree_compose(struct shale_tree *const *trees, size_t n, bool bottom,
		       int fd, struct shale_digest *digest, uint64_t *size,
		       struct shale_err *err)
{
	struct compose c = {.n = n, .trees = trees, .bottom = bottom};

	c.sources = calloc(n + 1, sizeof(*c.sources));
	if (!c.sources)
		return no_memory(err);
	int r = compose(&c, trees, fd, digest, size, err);
	for (size_t i = 0; i < n; i++)
		free(c.sources[i].packed);
	free(c.sources);
	shale_tree_build_free(c.build);
	shale_buf_release(&c.deaths);
	shale_buf_release(&c.pieces);
	shale_buf_release(&c.upper);
	return r;
}
