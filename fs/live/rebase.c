/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/live/resume.h"

#include "fs/live/ranges.h"
#include "layers/base/cleanup.h"

#include <errno.h>
#include <string.h>

/*
 * Bringing a workspace onto its last committed image.  A record whose epoch was
 * committed says what the image says, and goes.  What stays is newer.
 */

enum { BATCH_BYTES = 1 << 20 };

struct rebase {
	struct shale_live *live;
	struct shale_batch batch;
	struct shale_buf used; /* uint32_t: images that content refers to */
};

static int flush(struct rebase *b)
{
	if (!b->batch.n)
		return 0;
	b->batch.frees = true;
	int r = shale_db_commit(b->live->db, &b->batch, NULL, NULL, NULL);
	shale_batch_release(&b->batch);
	b->batch = (struct shale_batch){0};
	return r;
}

static int del(struct rebase *b, const void *key, size_t len)
{
	return shale_batch_del(&b->batch, key, len);
}

static bool old(const struct rebase *b, uint32_t epoch)
{
	return epoch <= b->live->state.committed;
}

/* ------------------------------------------------------- one record each */

static int drop_attr(struct rebase *b, const struct shale_buf *key,
		     const struct shale_buf *value)
{
	struct shale_rec_attr attr;

	int r = shale_rec_attr_decode(value, &attr, NULL);
	if (r < 0 || !old(b, attr.epoch))
		return r;
	return del(b, key->data, key->len);
}

static int drop_name(struct rebase *b, const struct shale_buf *key,
		     const struct shale_buf *value)
{
	struct shale_rec_name rec;
	const char *name;
	uint64_t dir;
	size_t len;

	int r = shale_rec_name_decode(value, &rec, NULL);
	if (r == 0)
		r = shale_key_name_parts(key, &dir, &name, &len);
	if (r < 0 || !old(b, rec.epoch))
		return r;
	if (rec.cookie >= SHALE_COOKIE_ADDED) {
		struct shale_key cookie = shale_key_cookie(dir, rec.cookie);
		r = del(b, cookie.b, cookie.len);
	}
	return r < 0 ? r : del(b, key->data, key->len);
}

static int drop_xattrs(struct rebase *b, const struct shale_buf *key,
		       const struct shale_buf *value)
{
	struct shale_rec_xattrs rec;

	int r = shale_rec_xattrs_decode(value, &rec, NULL);
	if (r < 0 || !old(b, rec.epoch))
		return r;
	return del(b, key->data, key->len);
}

/* Targets never change: it goes when the base has the symlink. */
static int drop_target(struct rebase *b, const struct shale_buf *key,
		       const struct shale_buf *value)
{
	struct shale_attr attr;
	uint64_t ino;

	(void)value;
	int r = shale_key_ino(key, 'T', &ino);
	if (r == 0)
		r = shale_index_attr(b->live->index, ino, &attr, NULL);
	if (r == 0)
		r = del(b, key->data, key->len);
	return r == -ENOENT ? 0 : r;
}

/* Maps go with the content that they belong to. */
static int drop_map(struct rebase *b, const struct shale_buf *key,
		    const struct shale_buf *value)
{
	cleanup_buf struct shale_buf record = {0};
	uint64_t ino, region;
	uint32_t epoch;

	(void)value;
	int r = shale_key_map_parts(key, &ino, &epoch, &region);
	if (r < 0 || !old(b, epoch))
		return r;
	struct shale_key content = shale_key_content(ino);
	struct shale_rec_content c;
	r = shale_live_get(b->live, &content, &record);
	if (r == 0)
		r = shale_rec_content_decode(&record, &c, NULL);
	if (r == 0) {
		bool keep = !old(b, c.epoch);
		shale_rec_content_release(&c);
		return keep ? 0 : del(b, key->data, key->len);
	}
	return r == -ENOENT ? del(b, key->data, key->len) : r;
}

/* ---------------------------------------------------------------- content */

static int use_images(struct rebase *b, const struct shale_rec_content *c)
{
	for (uint32_t i = 0; i < c->n_ranges; i++) {
		const uint32_t *used = (const void *)b->used.data;
		size_t n = b->used.len / sizeof(*used);
		bool known = false;
		for (size_t j = 0; j < n && !known; j++)
			known = used[j] == c->ranges[i].image;
		if (!known && shale_buf_append(&b->used, &c->ranges[i].image,
					       sizeof(uint32_t)) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* What is unchanged since the commit is read from the image of the commit. */
static int point_at_last(struct rebase *b, uint64_t ino,
			 struct shale_rec_content *c)
{
	struct shale_rec_content next = {0};

	for (uint32_t i = 0; i < c->n_ranges; i++) {
		struct shale_rec_range range = c->ranges[i];
		if (old(b, range.epoch)) {
			range.image = b->live->state.last;
			range.epoch = 0;
			range.ino = ino;
			range.src = range.off;
		}
		if (shale_ranges_put(&next, &range) < 0) {
			shale_rec_content_release(&next);
			return -ENOMEM;
		}
	}
	shale_rec_content_release(c);
	c->ranges = next.ranges;
	c->n_ranges = next.n_ranges;
	return 0;
}

static int keep_content(struct rebase *b, const struct shale_buf *key,
			uint64_t ino, struct shale_rec_content *c)
{
	cleanup_buf struct shale_buf value = {0}, next = {0};
	struct shale_key attr_key = shale_key_attr(ino);
	struct shale_rec_attr attr;

	int r = shale_live_get(b->live, &attr_key, &value);
	if (r == 0)
		r = shale_rec_attr_decode(&value, &attr, NULL);
	if (r < 0)
		return r == -ENOENT ? -EUCLEAN : r;
	if (old(b, attr.born) && attr.nlink) {
		r = point_at_last(b, ino, c);
		if (r == 0)
			r = shale_rec_content_encode(c, &next);
		if (r == 0)
			r = shale_batch_put(&b->batch, key->data, key->len,
					    next.data, next.len);
	}
	return r < 0 ? r : use_images(b, c);
}

static int drop_content(struct rebase *b, const struct shale_buf *key,
			const struct shale_buf *value)
{
	struct shale_rec_content c;
	uint64_t ino;

	int r = shale_key_ino(key, 'C', &ino);
	if (r == 0)
		r = shale_rec_content_decode(value, &c, NULL);
	if (r < 0)
		return r;
	r = old(b, c.epoch) ? del(b, key->data, key->len)
			    : keep_content(b, key, ino, &c);
	shale_rec_content_release(&c);
	return r;
}

/* Images that nothing refers to any more are forgotten. */
static int drop_image(struct rebase *b, const struct shale_buf *key,
		      const struct shale_buf *value)
{
	const uint32_t *used = (const void *)b->used.data;
	size_t n = b->used.len / sizeof(*used);
	struct shale_key last = shale_key_image(b->live->state.last);

	(void)value;
	if (key->len == last.len && memcmp(key->data, last.b, last.len) == 0)
		return 0;
	for (size_t i = 0; i < n; i++) {
		struct shale_key kept = shale_key_image(used[i]);
		if (key->len == kept.len &&
		    memcmp(key->data, kept.b, kept.len) == 0)
			return 0;
	}
	return del(b, key->data, key->len);
}

/* ------------------------------------------------------------------- all */

typedef int step_fn(struct rebase *b, const struct shale_buf *key,
		    const struct shale_buf *value);

struct step {
	struct rebase *b;
	step_fn *fn;
};

static int on_record(void *arg, const struct shale_buf *key,
		     const struct shale_buf *value, struct shale_err *err)
{
	const struct step *step = arg;

	(void)err;
	int r = step->fn(step->b, key, value);
	return r == 0 && step->b->batch.ops.len > BATCH_BYTES ? flush(step->b)
							      : r;
}

static int each(struct rebase *b, char letter, step_fn *fn)
{
	struct step step = {b, fn};
	int r = shale_live_each(b->live, letter, on_record, &step, NULL);
	return r < 0 ? r : flush(b);
}

/* Maps before contents, contents before attributes: each needs the next. */
static int drop_all(struct rebase *b)
{
	static const struct {
		char letter;
		step_fn *fn;
	} steps[] = {
		{'M', drop_map},    {'C', drop_content}, {'X', drop_xattrs},
		{'T', drop_target}, {'N', drop_name},    {'I', drop_attr},
	};

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		int r = each(b, steps[i].letter, steps[i].fn);
		if (r < 0)
			return r;
	}
	return 0;
}

int shale_resume_rebase(struct shale_live *live, struct shale_err *err)
{
	struct rebase b = {.live = live};
	struct shale_rec_state state = live->state;

	int r = drop_all(&b);
	state.pinned = state.last;
	if (r == 0)
		r = shale_live_set_state(live, &state, NULL, NULL);
	if (r == 0)
		r = each(&b, 'G', drop_image);
	shale_batch_release(&b.batch);
	shale_buf_release(&b.used);
	return r < 0 ? shale_err_set(err, -r,
				     "bring the workspace onto its "
				     "last image")
		     : 0;
}
