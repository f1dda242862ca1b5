/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/index/content.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

static int add_level(struct shale_content *c, uint32_t position, uint64_t ino,
		     uint64_t limit, struct shale_err *err)
{
	const struct shale_tree *tree = c->trees[position];
	uint64_t first, count;

	if (c->n == SHALE_CONTENT_LEVELS)
		return shale_err_say(err, EOVERFLOW,
				     "inode %" PRIu64
				     " was patched by over %d layers",
				     ino, SHALE_CONTENT_LEVELS);
	int r = shale_tree_extents_of(tree, ino, &first, &count, err);
	if (r < 0)
		return r;
	c->level[c->n].tree = tree;
	c->level[c->n].first = first;
	c->level[c->n].count = count;
	c->level[c->n].position = position;
	c->level[c->n++].limit = limit;
	return 0;
}

/*
 * Add what one layer's record says.  Returns 1 if lower layers may have a say,
 * 0 if not.
 */
static int add_record(struct shale_content *c, uint32_t position,
		      const struct shale_inode *in, struct shale_err *err)
{
	if (in->content == SHALE_CONTENT_SAME)
		return 1;
	bool patched = in->content == SHALE_CONTENT_PATCHED;
	int r = add_level(c, position, in->attr.ino, patched ? in->limit : 0,
			  err);
	return r < 0 ? r : patched;
}

int shale_content_resolve(struct shale_content *out,
			  struct shale_tree *const *trees, size_t n,
			  uint64_t ino, struct shale_err *err)
{
	bool found = false;

	out->n = 0;
	out->trees = trees;
	while (n-- > 0) {
		struct shale_inode in;
		uint64_t i;

		int r = shale_tree_find_inode(trees[n], ino, &i, err);
		if (r == -ENOENT)
			continue;
		if (r == 0)
			r = shale_tree_inode(trees[n], i, &in, err);
		if (r < 0)
			return r;
		if (!S_ISREG(in.attr.mode)) {
			if (found)
				break; /* died and came back: not its past */
			return in.attr.mode == 0
				       ? shale_err_set(err, ENOENT,
						       "inode %" PRIu64, ino)
				       : shale_err_set(err, EINVAL,
						       "inode %" PRIu64, ino);
		}
		if (!found)
			out->size = in.attr.size;
		found = true;
		r = add_record(out, (uint32_t)n, &in, err);
		if (r < 0)
			return r;
		if (r == 0)
			break;
	}
	return found ? 0 : shale_err_set(err, ENOENT, "inode %" PRIu64, ino);
}

/* The index's run of extents is that inode's, in that tree. */
static int check_run(const struct shale_tree *tree,
		     const struct shale_index_content *where,
		     struct shale_err *err)
{
	struct shale_extent extent;

	if (where->count == 0)
		return 0;
	int r = shale_tree_extent(tree, where->first, &extent, err);
	if (r == 0 && extent.ino == where->ino && where->count > 1)
		r = shale_tree_extent(tree, where->first + (where->count - 1),
				      &extent, err);
	if (r == 0 && extent.ino != where->ino)
		return shale_err_say(err, EUCLEAN,
				     "%s: the index gives other extents for "
				     "inode %" PRIu64,
				     shale_tree_name(tree), where->ino);
	return r;
}

int shale_content_of(struct shale_content *out, const struct shale_index *ix,
		     struct shale_tree *const *trees, uint64_t ino,
		     struct shale_err *err)
{
	struct shale_index_content where;
	struct shale_attr attr;

	int r = shale_index_content(ix, ino, &where, err);
	if (r == 0)
		r = shale_index_attr(ix, ino, &attr, err);
	if (r < 0)
		return r;

	out->n = 0;
	out->trees = trees + where.bottom;
	if (where.tree != SHALE_NO_TREE && where.levels == 1) {
		r = check_run(trees[where.tree], &where, err);
		out->n = 1;
		out->level[0].tree = trees[where.tree];
		out->level[0].first = where.first;
		out->level[0].count = where.count;
		out->level[0].limit = 0;
		out->level[0].position = where.tree - where.bottom;
	} else if (where.tree != SHALE_NO_TREE) {
		r = shale_content_resolve(out, trees + where.bottom,
					  where.tree - where.bottom + 1,
					  where.ino, err);
	}
	out->size = attr.size;
	return r;
}

/* ------------------------------------------------------------- pieces */

static void make_hole(uint64_t off, uint64_t len, struct shale_piece *out)
{
	*out = (struct shale_piece){.off = off, .len = len};
}

/* The piece at `off` lies in extent number `i` of `tree`, which is `e`. */
static int make_piece(const struct shale_tree *tree, uint64_t i,
		      const struct shale_extent *e, uint64_t off, uint64_t max,
		      struct shale_piece *out, struct shale_err *err)
{
	uint64_t skip = off - e->off, len = e->len - skip;

	if (len > max)
		len = max;
	if (e->chunk == SHALE_HOLE || e->chunk == SHALE_CLONE) {
		make_hole(off, len, out);
		return 0;
	}
	uint32_t chunk, chunk_off;
	int r = shale_tree_chunk_seek(tree, e->chunk, e->chunk_off + skip,
				      &chunk, &chunk_off, err);
	if (r < 0)
		return r;
	*out = (struct shale_piece){
		.off = off,
		.len = len,
		.tree = tree,
		.extent = i,
		.chunk = chunk,
		.chunk_off = chunk_off,
	};
	return 0;
}

/* Content that the image below a layer has: where to go on asking. */
struct clone {
	uint64_t ino, off;
	uint32_t below; /* how many trees that image has */
};

/*
 * What level `l` says at `off`: returns 1 with the piece, or 0 with `*max` cut
 * to where its next extent starts.  A piece of a clone is made like a hole,
 * with where its content is in `*clone`.
 */
static int ask_level(const struct shale_content *c, unsigned l, uint64_t off,
		     uint64_t *max, struct shale_piece *out,
		     struct clone *clone, struct shale_err *err)
{
	const struct shale_tree *tree = c->level[l].tree;
	uint64_t first = c->level[l].first, count = c->level[l].count, i;
	struct shale_extent e;

	if (count == 0)
		return 0;
	int r = shale_tree_extent_at(tree, first, count, off, &i, err);
	if (r == 0)
		r = shale_tree_extent(tree, i, &e, err);
	if (r < 0)
		return r;
	if (e.off <= off && off - e.off < e.len) {
		if (e.chunk == SHALE_CLONE)
			*clone = (struct clone){
				.ino = e.clone_ino,
				.off = e.clone_off + (off - e.off),
				.below = c->level[l].position,
			};
		r = make_piece(tree, i, &e, off, *max, out, err);
		return r < 0 ? r : 1;
	}
	if (e.off <= off && i - first + 1 < count) {
		r = shale_tree_extent(tree, i + 1, &e, err);
		if (r < 0)
			return r;
	}
	if (e.off > off && e.off - off < *max)
		*max = e.off - off;
	return 0;
}

/* The piece at `off`, which is at most `max` long; `clone->ino` 0: it is what
 * it is. */
static int ask(const struct shale_content *c, uint64_t off, uint64_t max,
	       struct shale_piece *out, struct clone *clone,
	       struct shale_err *err)
{
	clone->ino = 0;
	if (max > c->size - off)
		max = c->size - off;

	for (unsigned l = 0; l < c->n; l++) {
		int r = ask_level(c, l, off, &max, out, clone, err);
		if (r != 0)
			return r < 0 ? r : 0;
		if (off >= c->level[l].limit)
			break;
		if (max > c->level[l].limit - off)
			max = c->level[l].limit - off;
	}
	make_hole(off, max, out);
	return 0;
}

/*
 * Follow clones: each leads to an image of fewer trees, so this ends.  The
 * piece keeps its place in the file that was asked for.
 */
static int follow(const struct shale_content *c, struct clone clone,
		  struct shale_piece *out, struct shale_err *err)
{
	struct shale_content source;
	const uint64_t off = out->off;

	while (clone.ino) {
		uint64_t max = out->len;
		int r = shale_content_resolve(&source, c->trees, clone.below,
					      clone.ino, err);
		if (r == -ENOENT || r == -EINVAL)
			return shale_err_say(err, EUCLEAN,
					     "a clone of inode %" PRIu64
					     ", which is not there",
					     clone.ino);
		if (r < 0)
			return r;
		if (clone.off >= source.size) {
			make_hole(off, max, out);
			return 0;
		}
		r = ask(&source, clone.off, max, out, &clone, err);
		if (r < 0)
			return r;
	}
	out->off = off;
	return 0;
}

int shale_content_piece(const struct shale_content *c, uint64_t off,
			uint64_t max, struct shale_piece *out,
			struct shale_err *err)
{
	struct clone clone;

	if (off >= c->size)
		return shale_err_set(err, EINVAL, "offset %" PRIu64, off);
	int r = ask(c, off, max, out, &clone, err);
	if (r < 0 || !clone.ino)
		return r;
	return follow(c, clone, out, err);
}

int shale_content_seek(const struct shale_content *c, uint64_t off, bool data,
		       uint64_t *out, struct shale_err *err)
{
	while (off < c->size) {
		struct shale_piece piece;
		int r = shale_content_piece(c, off, UINT64_MAX, &piece, err);
		if (r < 0)
			return r;
		if ((piece.tree != NULL) == data) {
			*out = off;
			return 0;
		}
		off += piece.len;
		if (off == c->size && !data) {
			*out = off;
			return 0;
		}
	}
	return shale_err_set(err, ENXIO, "seek");
}
