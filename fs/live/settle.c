/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/live/settle.h"

#include "fs/live/body.h"
#include "fs/live/ranges.h"

#include <errno.h>
#include <string.h>

/*
 * The image has the inode as it was at the freeze.  Since then blocks were
 * written (to newer files), ranges copied in (with newer epochs), and both
 * taken away.  So whatever still shows of the frozen levels is in the image at
 * the same offset of the same inode; what shows through is translated, nothing
 * else.
 */
struct settling {
	struct shale_body *body;
	struct shale_rec_content next; /* ranges under construction */
	uint32_t committed, last;
};

static int put_own(struct settling *s, uint64_t off, uint64_t end)
{
	struct shale_rec_range own = {
		.off = off,
		.len = end - off,
		.image = s->last,
		.ino = s->body->ino,
		.src = off,
	};

	if (off >= end)
		return 0;
	int r = shale_ranges_cut(&s->next, off, end);
	return r < 0 ? r : shale_ranges_put(&s->next, &own);
}

static int translate_ranges(struct settling *s)
{
	const struct shale_rec_content *c = &s->body->c;

	for (uint32_t i = 0; i < c->n_ranges; i++) {
		const struct shale_rec_range *range = &c->ranges[i];
		int r = range->epoch <= s->committed
				? put_own(s, range->off,
					  range->off + range->len)
				: shale_ranges_put(&s->next, range);
		if (r < 0)
			return r;
	}
	return 0;
}

/* The blocks of one sealed file, up to where newer levels let it show. */
static int translate_file(struct settling *s, uint32_t epoch, uint64_t bound)
{
	struct shale_blockmap *map = &s->body->map;
	uint64_t end = (bound + SHALE_BLOCK - 1) / SHALE_BLOCK, changed;

	for (uint64_t block = 0; block < end;) {
		bool present;
		uint64_t n;
		int r = shale_blockmap_run(map, epoch, block, end - block,
					   &present, &n);
		if (r == 0 && present) {
			uint64_t stop = (block + n) * SHALE_BLOCK;
			r = put_own(s, block * SHALE_BLOCK,
				    stop < bound ? stop : bound);
		}
		if (r < 0)
			return r;
		block += n;
	}
	int r = shale_blockmap_clear(
		map, epoch, 0, (UINT64_C(1) << 63) / SHALE_BLOCK, &changed);
	if (r == 0)
		s->body->freed += changed;
	return r;
}

static int translate_files(struct settling *s, struct shale_change *ch)
{
	struct shale_rec_content *c = &s->body->c;
	uint64_t bound = c->size;
	uint32_t kept = 0;

	for (uint32_t i = 0; i < c->n_files; i++) {
		struct shale_drop drop = {s->body->ino, c->file[i].epoch};
		if (drop.epoch > s->committed) {
			kept = i + 1;
		} else {
			int r = translate_file(s, drop.epoch, bound);
			if (r == 0)
				r = shale_buf_append(&ch->drops, &drop,
						     sizeof(drop));
			if (r < 0)
				return r;
		}
		if (c->file[i].limit < bound)
			bound = c->file[i].limit;
	}
	c->n_files = kept;
	return 0;
}

static int settle_body(struct shale_body *body, struct shale_change *ch)
{
	struct settling s = {
		.body = body,
		.committed = body->live->committed,
		.last = body->live->state.last,
	};

	int r = translate_ranges(&s);
	if (r == 0)
		r = translate_files(&s, ch);
	if (r < 0) {
		shale_rec_content_release(&s.next);
		return r;
	}
	shale_rec_content_release(&body->c);
	body->c.ranges = s.next.ranges;
	body->c.n_ranges = s.next.n_ranges;
	body->dirty = true;
	return 0;
}

static int settle_locked(struct shale_live *live, uint64_t ino)
{
	cleanup_change struct shale_change ch;
	cleanup_body struct shale_body body = {.live = live};
	struct shale_live_node *node;

	shale_change_init(&ch, live);
	int r = shale_change_load(&ch, ino, &node);
	if (r < 0)
		return r == -ESTALE ? 0 : r;
	/* Without a name at the freeze: the image does not have it. */
	if (!node->attr.nlink || node->attr.born > live->committed)
		return 0;
	r = shale_body_of(&body, live, node);
	if (r == 0)
		r = settle_body(&body, &ch);
	if (r < 0)
		return r;
	body.same_epoch = true;
	shale_body_store(&body, &ch);
	return shale_change_commit(&ch, NULL);
}

static int settle_one(struct shale_live *live, uint64_t ino)
{
	struct shale_locks locks;

	shale_locks_enter(live, &locks, &ino, 1);
	int r = settle_locked(live, ino);
	shale_locks_leave(live, &locks);
	return r;
}

static int needs(const struct shale_buf *value, uint32_t committed, bool *out)
{
	struct shale_rec_content c;

	int r = shale_rec_content_decode(value, &c, NULL);
	if (r < 0)
		return r;
	*out = c.n_files && c.file[c.n_files - 1].epoch <= committed;
	shale_rec_content_release(&c);
	return 0;
}

int shale_settle(struct shale_live *live)
{
	cleanup_buf struct shale_buf key = {0}, value = {0};

	for (uint64_t ino = 0;; ino++) {
		struct shale_key from = shale_key_content(ino);
		bool now = false;
		int r = shale_db_next(live->db, from.b, from.len, 1, &key,
				      &value, NULL);
		if (r == -ENOENT)
			return 0;
		if (r == 0)
			r = shale_key_ino(&key, 'C', &ino);
		if (r == 0)
			r = needs(&value, live->committed, &now);
		if (r == 0 && now)
			r = settle_one(live, ino);
		if (r < 0)
			return r;
	}
}
