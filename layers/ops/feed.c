/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/feed.h"

#include "layers/base/cleanup.h"

#include <assert.h>
#include <string.h>

enum { PIECE = 256 << 10 };

void shale_feed_release(struct shale_feed *feed)
{
	free(feed->scratch);
	feed->scratch = NULL;
}

int shale_feed_begin(struct shale_feed *feed, uint64_t ino,
		     const struct shale_content *base, struct shale_err *err)
{
	if (!feed->scratch && !(feed->scratch = malloc(PIECE)))
		return shale_err_set(err, ENOMEM, "a buffer");
	feed->ino = ino;
	feed->at = 0;
	feed->packing = false;
	feed->comparing = base != NULL;
	if (base)
		feed->base = *base;
	return 0;
}

static int start_packing(struct shale_feed *feed, struct shale_err *err)
{
	if (feed->packing)
		return 0;
	feed->packing = true;
	return shale_pack_begin(feed->pack, feed->ino, err);
}

/* Pack the base's next run of data from `at` on, up to `end`. */
static int replay_data(struct shale_feed *feed, uint64_t *at, uint64_t end,
		       struct shale_err *err)
{
	size_t want = end - *at < PIECE ? (size_t)(end - *at) : PIECE, got;
	int r = shale_content_read(&feed->base, feed->chunks, *at,
				   feed->scratch, want, &got, err);
	if (r == 0 && got != want)
		r = shale_err_say(err, EUCLEAN, "the parent's file is short");
	if (r == 0)
		r = shale_pack_write(feed->pack, feed->scratch, want, err);
	*at += want;
	return r;
}

/* Here the two part: what was equal so far is content of the new file too. */
static int part(struct shale_feed *feed, struct shale_err *err)
{
	uint64_t at = 0, end = feed->at;
	feed->comparing = false;
	int r = start_packing(feed, err);
	while (r == 0 && at < end) {
		uint64_t data;
		r = shale_content_seek(&feed->base, at, true, &data, err);
		if (r == -ENXIO || (r == 0 && data > end)) {
			data = end;
			r = 0;
		}
		if (r == 0 && data > at) {
			r = shale_pack_hole(feed->pack, data - at, err);
			at = data;
		} else if (r == 0) {
			r = replay_data(feed, &at, end, err);
		}
	}
	return r;
}

/* 1: the base has just these bytes here; 0: it has not. */
static int compare(struct shale_feed *feed, const uint8_t *data, size_t len,
		   struct shale_err *err)
{
	uint64_t at = feed->at;
	if (len > feed->base.size || at > feed->base.size - len)
		return 0;
	while (len) {
		size_t n = len < PIECE ? len : PIECE, got;
		int r = shale_content_read(&feed->base, feed->chunks, at,
					   feed->scratch, n, &got, err);
		/* A damaged parent is no reason not to store the file. */
		if (r < 0 || got != n || memcmp(feed->scratch, data, n) != 0)
			return 0;
		data += n;
		at += n;
		len -= n;
	}
	return 1;
}

int shale_feed_data(struct shale_feed *feed, const void *data, size_t len,
		    struct shale_err *err)
{
	int r = 0;
	if (feed->comparing && !compare(feed, data, len, err))
		r = part(feed, err);
	if (r == 0 && !feed->comparing) {
		r = start_packing(feed, err);
		if (r == 0)
			r = shale_pack_write(feed->pack, data, len, err);
	}
	feed->at += len;
	return r;
}

int shale_feed_hole(struct shale_feed *feed, uint64_t len,
		    struct shale_err *err)
{
	int r = 0;
	if (feed->comparing) {
		uint64_t data = feed->at + len;
		if (data > feed->base.size)
			data = 0;
		else if (shale_content_seek(&feed->base, feed->at, true, &data,
					    err) == -ENXIO)
			data = UINT64_MAX;
		if (data < feed->at + len)
			r = part(feed, err);
	}
	if (r == 0 && !feed->comparing) {
		r = start_packing(feed, err);
		if (r == 0)
			r = shale_pack_hole(feed->pack, len, err);
	}
	feed->at += len;
	return r;
}

/* They begin where no chunk does: the packer has to see them. */
static int write_chunk(struct shale_feed *feed, const struct shale_chunk *chunk,
		       struct shale_err *err)
{
	int r = shale_chunks_read(feed->chunks, chunk, 0, chunk->len,
				  feed->scratch, err);
	return r < 0 ? r
		     : shale_pack_write(feed->pack, feed->scratch, chunk->len,
					err);
}

int shale_feed_same(struct shale_feed *feed, const struct shale_chunk *chunk,
		    bool ends, struct shale_err *err)
{
	assert(chunk->len <= PIECE);
	int r = 0;
	if (!feed->comparing) {
		r = start_packing(feed, err);
		if (r == 0 && ends)
			r = shale_pack_same(feed->pack, chunk, err);
		if (r == 0)
			r = write_chunk(feed, chunk, err);
	}
	feed->at += chunk->len;
	return r < 0 ? r : 0;
}

int shale_feed_end(struct shale_feed *feed, enum shale_plan_content *content,
		   struct shale_err *err)
{
	if (feed->comparing && feed->at == feed->base.size) {
		*content = SHALE_PLAN_SAME;
		return 0;
	}
	int r = feed->comparing ? part(feed, err) : 0;
	*content = SHALE_PLAN_EMPTY;
	if (r == 0 && feed->packing) {
		*content = SHALE_PLAN_PACKED;
		r = shale_pack_end(feed->pack, err);
	}
	return r;
}

int shale_feed_drop(struct shale_feed *feed, bool *spent, struct shale_err *err)
{
	*spent = feed->packing;
	feed->comparing = false;
	if (!feed->packing)
		return 0;
	feed->packing = false;
	int r = shale_pack_end(feed->pack, err);
	if (r == 0)
		r = shale_tree_build_forget(feed->build, feed->ino, err);
	return r;
}
