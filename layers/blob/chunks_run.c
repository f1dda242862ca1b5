/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/blob/chunks_impl.h"
#include "layers/blob/view.h"

#include <errno.h>
#include <string.h>

/* A list of chunks, and the stored bytes of some that lie in a row. */
struct run {
	struct shale_chunks *chunks;
	const struct shale_chunk *list;
	size_t n;
	bool once;
	struct shale_view *view; /* NULL: everything is copied */
	const bool *skip; /* of each chunk: it is not wanted.  NULL: not those
			   * that the cache has */
	uint8_t *room;    /* NULL until it is needed */
	const uint8_t *data;
	size_t first, end; /* chunks whose stored bytes are at `data` */
};

static void end_run(struct run *run)
{
	if (run->room)
		shale_scratch_give(run->chunks->rooms, run->room,
				   SHALE_CHUNKS_ROOM);
}

static bool is_wanted(const struct run *run, size_t i)
{
	return run->skip ? !run->skip[i]
			 : !shale_chunks_cached(run->chunks, &run->list[i]);
}

/* How many chunks from number `i` on lie in a row, and how long that is. */
static size_t measure(const struct run *run, size_t i, size_t *len)
{
	const struct shale_chunk *list = run->list;
	size_t end = i + 1;

	for (*len = list[i].stored; end < run->n; end++) {
		const struct shale_chunk *last = &list[end - 1];
		if (list[end].off != last->off + last->stored ||
		    *len + list[end].stored > SHALE_CHUNKS_RUN ||
		    !shale_digest_equal(&list[end].blob, &last->blob) ||
		    !is_wanted(run, end))
			break;
		*len += list[end].stored;
	}
	return end;
}

static int read_stored(struct run *run, size_t i, size_t len,
		       struct shale_err *err)
{
	const struct shale_chunk *c = &run->list[i];
	struct shale_blobs *blobs = run->chunks->blobs;

	run->data = run->room;
	if (!run->once)
		return shale_blobs_pread(blobs, &c->blob, run->room, len,
					 c->off, err);
	return shale_blobs_pread_once(blobs, &c->blob, run->room, len, c->off,
				      &run->data, err);
}

/* Bring the stored bytes of chunk `i`, and of what lies behind it. */
static int bring(struct run *run, size_t i, struct shale_err *err)
{
	size_t len;

	if (i >= run->first && i < run->end)
		return 0;
	if (!run->room)
		run->room = shale_scratch_take(run->chunks->rooms,
					       SHALE_CHUNKS_ROOM);
	if (!run->room)
		return shale_err_set(err, ENOMEM, "read chunks");
	run->first = run->end = 0;
	size_t end = measure(run, i, &len);
	int r = read_stored(run, i, len, err);
	if (r < 0 && end > i + 1) {
		/* What is wrong may be another one's. */
		end = i + 1;
		r = read_stored(run, i, run->list[i].stored, err);
	}
	if (r < 0)
		return r;
	run->first = i;
	run->end = end;
	return 0;
}

/* The content of chunk `i`, checked. */
static int decode(struct run *run, size_t i, uint8_t *out,
		  struct shale_err *err)
{
	const struct shale_chunk *c = &run->list[i];

	int r = bring(run, i, err);
	if (r == 0)
		r = shale_decompress(
			c->codec,
			run->data + (c->off - run->list[run->first].off),
			c->stored, out, c->len, err);
	return shale_chunks_check(c, out, r, err);
}

/* Is it read by itself? */
static bool alone(const struct run *run, const struct shale_chunk *c)
{
	return run->n == 1 || c->stored > SHALE_CHUNKS_RUN;
}

/* A part of chunk `i`, which is kept then. */
static int read_part(struct run *run, size_t i, uint32_t off, uint32_t len,
		     uint8_t *out, struct shale_err *err)
{
	const struct shale_chunk *c = &run->list[i];
	struct shale_chunks_entry *e =
		shale_chunks_claim(run->chunks, c, false);

	if (!e)
		return shale_chunks_read(run->chunks, c, off, len, out, err);
	int r = decode(run, i, e->data, err);
	if (r == 0)
		memcpy(out, e->data + off, len);
	shale_chunks_filled(run->chunks, c, e, r);
	return r;
}

/* `missed`: it is known not to be in the cache. */
static int copy_one(struct run *run, size_t i, uint32_t off, uint32_t len,
		    bool missed, uint8_t *out, struct shale_err *err)
{
	const struct shale_chunk *c = &run->list[i];

	if (alone(run, c))
		return shale_chunks_read(run->chunks, c, off, len, out, err);
	int r = missed ? -ENOENT
		       : shale_chunks_copy(run->chunks, c, off, len, out, err);
	if (r != -ENOENT)
		return r;
	return len == c->len ? decode(run, i, out, err)
			     : read_part(run, i, off, len, out, err);
}

static int read_one(struct run *run, size_t i, uint32_t off, uint32_t len,
		    uint8_t *out, struct shale_err *err)
{
	const struct shale_chunk *c = &run->list[i];
	int r = -ENOSPC;

	if (run->view && !alone(run, c))
		r = shale_view_chunk(run->view, run->chunks, c, off, len, err);
	if (r != -ENOSPC && r != -ENOENT)
		return r;
	r = copy_one(run, i, off, len, r == -ENOENT, out, err);
	if (r == 0 && run->view)
		shale_view_bytes(run->view, out, len);
	return r;
}

int shale_chunks_read_list(struct shale_chunks *chunks,
			   const struct shale_chunk *list, size_t n,
			   uint32_t off, size_t len, void *out,
			   struct shale_view *view, struct shale_err *err)
{
	struct run run = {.chunks = chunks, .list = list, .n = n, .view = view};
	uint8_t *to = out;
	int r = 0;

	for (size_t i = 0; i < n && len && r == 0; i++, off = 0) {
		uint32_t part = off < list[i].len ? list[i].len - off : 0;
		if (part > len)
			part = (uint32_t)len;
		r = read_one(&run, i, off, part, to, err);
		to += part;
		len -= part;
	}
	end_run(&run);
	return r;
}

void shale_chunks_prefetch(struct shale_chunks *chunks,
			   const struct shale_chunk *list, size_t n, bool once)
{
	struct shale_chunks_entry *entry[SHALE_CHUNKS_LIST];
	bool skip[SHALE_CHUNKS_LIST];
	struct run run = {.chunks = chunks,
			  .list = list,
			  .n = n,
			  .once = once,
			  .skip = skip};

	/* All are claimed before the first is loaded: whoever wants one waits,
	 * and does not load it, too. */
	for (size_t i = 0; i < n; i++) {
		entry[i] = list[i].stored <= SHALE_CHUNKS_RUN
				   ? shale_chunks_claim(chunks, &list[i], true)
				   : NULL;
		skip[i] = !entry[i];
	}
	for (size_t i = 0; i < n; i++)
		if (entry[i])
			shale_chunks_filled(
				chunks, &list[i], entry[i],
				decode(&run, i, entry[i]->data, NULL));
	end_run(&run);
}
