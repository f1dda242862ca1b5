/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/commit/delta.h"

#include "fs/commit/levels.h"
#include "fs/commit/refer.h"
#include "layers/base/cleanup.h"
#include "layers/base/io.h"

#include <stdio.h>
#include <string.h>

enum { STEP = 1 << 20 };

/*
 * Does the range show what the last image has of this inode, in place? record.h
 * promises it for ranges of committed epochs, whatever they name, if the last
 * image has the inode; one that a copy put there since is news.
 */
static bool in_place(const struct shale_delta *delta,
		     const struct shale_content *lower,
		     const struct shale_rec_range *range)
{
	return lower && range->epoch <= delta->state.committed;
}

/* Where the last image's own content ends to show: 0 if it never does. */
static uint64_t lower_limit(const struct shale_delta *delta,
			    const struct shale_content *lower,
			    const struct shale_rec_content *content)
{
	uint64_t limit = 0;
	for (uint32_t i = 0; i < content->n_ranges; i++) {
		const struct shale_rec_range *range = &content->ranges[i];
		if (in_place(delta, lower, range))
			limit = range->off + range->len;
	}
	return limit < content->size ? limit : content->size;
}

/*
 * Where data goes on, but in another place: cuts that cutting afresh would
 * heal, as extents beside holes are not.  Counts up to `enough`.
 */
static int count_cuts(const struct shale_content *lower, unsigned level,
		      uint64_t enough, uint64_t *cuts, struct shale_err *err)
{
	const struct shale_tree *tree = lower->level[level].tree;
	uint64_t end = UINT64_MAX;

	for (uint64_t i = 0; i < lower->level[level].count && *cuts <= enough;
	     i++) {
		struct shale_extent extent;
		int r = shale_tree_extent(tree, lower->level[level].first + i,
					  &extent, err);
		if (r < 0)
			return r;
		bool data = extent.chunk != SHALE_HOLE;
		*cuts += data && extent.off == end;
		end = data ? extent.off + extent.len : UINT64_MAX;
	}
	return 0;
}

/*
 * Is the file in so many pieces by now that reading it suffers?  One piece in
 * 32 KiB costs about as much as the chunks themselves.  Patches count with all
 * their pieces, the lowest level (into which patches may have been merged) with
 * its cuts.
 */
static int too_fragmented(const struct shale_content *lower, bool *out,
			  struct shale_err *err)
{
	uint64_t enough = 64 + lower->size / (32 << 10), pieces = 0;
	unsigned bottom = lower->n - 1;

	for (unsigned i = 0; i < bottom; i++)
		pieces += lower->level[i].count;
	int r = 0;
	if (lower->level[bottom].count > enough / 2)
		r = count_cuts(lower, bottom, enough, &pieces, err);
	*out = lower->n > 24 || pieces > enough;
	return r;
}

static int pack_data(struct shale_delta *delta, uint64_t ino,
		     const struct shale_run *run, struct shale_err *err)
{
	cleanup_free uint8_t *data = malloc(STEP);
	if (!data)
		return shale_err_set(err, ENOMEM, "commit");

	for (uint64_t done = 0; done < run->len;) {
		uint64_t left = run->len - done;
		size_t n = left < STEP ? (size_t)left : STEP;
		int r = shale_files_read(delta->files, ino, run->epoch, data, n,
					 run->off + done, err);
		if (r == 0)
			r = shale_pack_write(delta->pack, data, n, err);
		if (r < 0)
			return r;
		done += n;
	}
	return 0;
}

/* Is the content of inode `ino` in both images the same, because both find it
 * in the same records? */
static bool same_content(const struct shale_content *a,
			 const struct shale_content *b)
{
	if (a->n != b->n || a->size != b->size)
		return false;
	for (unsigned i = 0; i < a->n; i++)
		if (strcmp(shale_tree_name(a->level[i].tree),
			   shale_tree_name(b->level[i].tree)) != 0 ||
		    a->level[i].first != b->level[i].first)
			return false;
	return true;
}

/* Content taken over from an inode of some image: by the inode if the last
 * image has it unchanged, else by its chunks. */
static int pack_range(struct shale_delta *delta, const struct shale_run *run,
		      struct shale_err *err)
{
	const struct shale_rec_range *range = run->range;
	uint64_t src = range->src + (run->off - range->off);
	struct shale_image *image;
	struct shale_content there, last;

	int r = shale_delta_image(delta, range->image, &image, err);
	if (r < 0)
		return r;
	r = shale_image_content(image, range->ino, &there, err);
	if (r < 0)
		return r;
	r = shale_content_resolve(&last, delta->lower->trees,
				  delta->lower->n_trees, range->ino, NULL);
	if (r == 0 && same_content(&there, &last))
		return shale_pack_clone(delta->pack, range->ino, src, run->len,
					err);
	return shale_refer_chunks(delta->pack, &there, src, run->len, err);
}

/* Read what the last image has in place, and pack it afresh. */
static int recut(struct shale_delta *delta, const struct shale_content *lower,
		 const struct shale_run *run, struct shale_err *err)
{
	cleanup_free uint8_t *data = malloc(STEP);
	if (!data)
		return shale_err_set(err, ENOMEM, "commit");

	for (uint64_t done = 0; done < run->len;) {
		uint64_t left = run->len - done;
		size_t n = left < STEP ? (size_t)left : STEP, got;
		int r = shale_content_read(lower, delta->lower->chunks,
					   run->off + done, data, n, &got, err);
		if (r == 0 && got < n)
			memset(data + got, 0, n - got);
		if (r == 0)
			r = shale_pack_write(delta->pack, data, n, err);
		if (r < 0)
			return r;
		done += n;
	}
	return 0;
}

static int pack_run(struct shale_delta *delta, const struct shale_inode *in,
		    const struct shale_content *lower,
		    const struct shale_run *run, struct shale_err *err)
{
	uint64_t ino = in->attr.ino;
	bool patch = in->content == SHALE_CONTENT_PATCHED;

	switch (run->kind) {
	case SHALE_RUN_DATA:
		return pack_data(delta, ino, run, err);
	case SHALE_RUN_ZERO:
		/* From the limit on there is nothing to hide. */
		return patch && run->off >= in->limit
			       ? shale_pack_skip(delta->pack, run->len, err)
			       : shale_pack_hole(delta->pack, run->len, err);
	case SHALE_RUN_RANGE:
		break;
	}
	if (!in_place(delta, lower, run->range))
		return pack_range(delta, run, err);
	return patch ? shale_pack_skip(delta->pack, run->len, err)
		     : recut(delta, lower, run, err);
}

int shale_delta_content(struct shale_delta *delta, struct shale_inode *in,
			const struct shale_rec_content *content,
			const struct shale_content *lower,
			struct shale_err *err)
{
	uint64_t ino = in->attr.ino;
	uint64_t limit = lower_limit(delta, lower, content);
	bool fragmented = false;
	int r = limit > 0 && lower->n ? too_fragmented(lower, &fragmented, err)
				      : 0;
	if (r < 0)
		return r;
	bool patch = limit > 0 && !fragmented;

	in->content = patch ? SHALE_CONTENT_PATCHED : SHALE_CONTENT_REPLACED;
	in->limit = patch ? limit : 0;

	r = shale_pack_begin(delta->pack, ino, err);
	if (r < 0)
		return r;
	if (patch)
		shale_pack_patch(delta->pack);

	struct shale_levels levels;
	shale_levels_init(&levels, delta->snapshot, ino, content);
	for (uint64_t off = 0; off < content->size;) {
		struct shale_run run;
		r = shale_levels_run(&levels, off, &run, err);
		if (r == 0)
			r = pack_run(delta, in, lower, &run, err);
		if (r < 0)
			return r;
		if (delta->cancelled && delta->cancelled(delta->arg))
			return shale_err_say(err, EINTR, "interrupted");
		off += run.len;
	}
	return shale_pack_end(delta->pack, err);
}
