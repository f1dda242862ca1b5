/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/blob/compose_impl.h"

#include "layers/blob/compose_clone.h"
#include "layers/blob/pieces.h"

#include <errno.h>
#include <stdlib.h>

static int no_memory(struct shale_err *err)
{
	return shale_err_set(err, ENOMEM, "compose tree blobs");
}

static int next_extent(struct shale_compose_source *s, struct shale_err *err)
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

static int index_packed(struct shale_compose_source *s, struct shale_err *err)
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

int shale_compose_open_content(struct shale_compose_source *s,
			       struct shale_err *err)
{
	int r = index_packed(s, err);
	return r < 0 ? r : next_extent(s, err);
}

/* What a step costs: time, or time and a record of the result. */
enum { STEP_CHUNK = 1, STEP_CLONE = 8 };

static int step(struct shale_compose *c, unsigned cost, struct shale_err *err)
{
	if (c->budget < cost)
		return shale_err_say(err, EFBIG,
				     "composing these tree blobs takes too "
				     "many steps");
	c->budget -= cost;
	return 0;
}

/* Append the extents of `ino` in source `i` to `out`. */
static int load_pieces(struct shale_compose *c, size_t i, uint64_t ino,
		       struct shale_buf *out, struct shale_err *err)
{
	struct shale_compose_source *s = &c->sources[i];
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
static int add_extent(struct shale_compose *c, const struct shale_chunk *chunk,
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
static int add_chunks(struct shale_compose *c, const struct shale_tree *tree,
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
		r = step(c, STEP_CHUNK, err);
		if (r == 0)
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
static int add_clone(struct shale_compose *c, uint64_t ino,
		     const struct shale_compose_piece *p, struct shale_err *err)
{
	int r = 0;

	for (uint64_t done = 0; r == 0 && done < p->len;) {
		struct shale_clone_run run;
		r = step(c, STEP_CLONE, err);
		if (r < 0)
			break;
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

static int add_piece(struct shale_compose *c, uint64_t ino,
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

int shale_compose_content(struct shale_compose *c, struct shale_inode *in,
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

int shale_compose_add_content(struct shale_compose *c, uint64_t ino,
			      struct shale_err *err)
{
	const struct shale_compose_piece *p =
		(const struct shale_compose_piece *)c->pieces.data;
	int r = 0;

	for (size_t n = c->pieces.len / sizeof(*p); n && r == 0; n--, p++)
		r = add_piece(c, ino, p, err);
	return r;
}
