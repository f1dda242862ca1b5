/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/blob/compose_clone.h"

#include <errno.h>
#include <sys/stat.h>

/* What one layer says. */
enum answer { NOTHING, SAYS_HOLE, SAYS_CHUNKS, SAYS_CLONE };

struct question {
	uint64_t ino, off;
	uint64_t max; /* cut to where the answer changes */
};

/* The extent of `in` at q->off; without one, q->max ends where the next is. */
static int ask_extents(const struct shale_tree *tree,
		       const struct shale_inode *in, struct question *q,
		       struct shale_extent *found, bool *any,
		       struct shale_err *err)
{
	uint64_t first, n, i;
	struct shale_extent e;

	*any = false;
	int r = shale_tree_extents_of(tree, in->attr.ino, &first, &n, err);
	if (r < 0 || !n)
		return r;
	r = shale_tree_extent_at(tree, first, n, q->off, &i, err);
	if (r == 0)
		r = shale_tree_extent(tree, i, &e, err);
	if (r == 0 && e.off + e.len <= q->off && i + 1 < first + n)
		r = shale_tree_extent(tree, i + 1, &e, err);
	if (r < 0)
		return r;
	if (e.off > q->off) {
		if (e.off - q->off < q->max)
			q->max = e.off - q->off;
	} else if (e.off + e.len > q->off) {
		*any = true;
		*found = e;
		if (e.off + e.len - q->off < q->max)
			q->max = e.off + e.len - q->off;
	}
	return 0;
}

/* Past what an inode of this layer has there are zeros. */
static bool past(uint64_t end, struct question *q)
{
	if (q->off >= end)
		return true;
	if (q->max > end - q->off)
		q->max = end - q->off;
	return false;
}

static int ask_tree(const struct shale_tree *tree, struct question *q,
		    struct shale_extent *found, enum answer *answer,
		    struct shale_err *err)
{
	struct shale_inode in;
	uint64_t at;
	bool any;

	*answer = NOTHING;
	int r = shale_tree_find_inode(tree, q->ino, &at, err);
	if (r == -ENOENT)
		return 0;
	if (r == 0)
		r = shale_tree_inode(tree, at, &in, err);
	if (r < 0)
		return r;
	if (!S_ISREG(in.attr.mode))
		return shale_err_say(err, EUCLEAN,
				     "%s: a clone of inode %llu, which is no "
				     "file there",
				     shale_tree_name(tree),
				     (unsigned long long)q->ino);
	*answer = SAYS_HOLE;
	if (past(in.attr.size, q))
		return 0;
	*answer = NOTHING;
	if (in.content == SHALE_CONTENT_SAME)
		return 0;

	r = ask_extents(tree, &in, q, found, &any, err);
	if (r < 0)
		return r;
	if (any)
		*answer = found->chunk == SHALE_HOLE    ? SAYS_HOLE
			  : found->chunk == SHALE_CLONE ? SAYS_CLONE
							: SAYS_CHUNKS;
	else if (in.content == SHALE_CONTENT_REPLACED || past(in.limit, q))
		*answer = SAYS_HOLE;
	return 0;
}

int shale_clone_run(struct shale_tree *const *trees, size_t n, bool bottom,
		    uint64_t ino, uint64_t off, uint64_t max,
		    struct shale_clone_run *out, struct shale_err *err)
{
	struct question q = {.ino = ino, .off = off, .max = max};

	*out = (struct shale_clone_run){.kind = SHALE_CLONE_HOLE};
	while (n-- > 0) {
		struct shale_extent e;
		enum answer answer;
		int r = ask_tree(trees[n], &q, &e, &answer, err);
		if (r < 0)
			return r;
		if (answer == NOTHING)
			continue;
		out->len = q.max;
		if (answer == SAYS_HOLE)
			return 0;
		uint64_t into = q.off - e.off;
		if (answer == SAYS_CHUNKS) {
			out->kind = SHALE_CLONE_CHUNKS;
			out->tree = trees[n];
			out->chunk = e.chunk;
			out->skip = e.chunk_off + into;
			return 0;
		}
		/* On to what lies below that layer. */
		q.ino = e.clone_ino;
		q.off = e.clone_off + into;
	}
	out->len = q.max;
	if (bottom)
		return 0;
	out->kind = SHALE_CLONE_BELOW;
	out->ino = q.ino;
	out->off = q.off;
	return 0;
}
