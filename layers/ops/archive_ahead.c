/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/archive_ahead.h"

#include "layers/base/buf.h"
#include "layers/base/cleanup.h"
#include "layers/base/pool.h"

#include <pthread.h>
#include <string.h>

/* Batches on their way, and how much one holds. */
enum { BATCHES = 12, BATCH_BYTES = 1 << 20, BATCH_ITEMS = 512 };

struct item {
	enum { MEMBER, DATA, HOLE } kind;
	uint64_t off, len; /* of the inode member.attr.ino */
	size_t at;         /* data: in the batch's bytes */
	/* Offsets in the batch's text; SIZE_MAX: none. */
	size_t path, target, link;
	size_t runs, n_runs; /* in the batch's runs; SIZE_MAX: none */
	struct shale_archive_member member;
};

struct batch {
	struct shale_archive_ahead *ahead;
	struct shale_buf items, text, runs;
	uint8_t *bytes;
	size_t len;
	bool busy; /* given to a worker; under the lock */
	int r;     /* what reading it gave */
	size_t at; /* and which item, if that failed */
	struct shale_err why;
};

struct shale_archive_ahead {
	const struct shale_image *image;
	struct shale_archive_out *to;
	struct shale_archive_ahead_opts opts;
	struct shale_pool *pool;
	pthread_mutex_t lock;
	pthread_cond_t read; /* a batch was */
	struct batch batch[BATCHES];
	size_t filling;        /* the batch that takes items */
	size_t queued;         /* those before it that are not written yet */
	struct shale_buf path; /* of the entry being written */
};

int shale_archive_ahead_new(struct shale_archive_ahead **out,
			    const struct shale_image *image,
			    struct shale_archive_out *to,
			    const struct shale_archive_ahead_opts *opts,
			    struct shale_err *err)
{
	struct shale_archive_ahead *h = calloc(1, sizeof(*h));
	if (!h)
		return shale_err_set(err, ENOMEM, "read ahead");
	h->image = image;
	h->to = to;
	h->opts = *opts;
	pthread_mutex_init(&h->lock, NULL);
	pthread_cond_init(&h->read, NULL);
	int r = shale_pool_new(&h->pool, opts->threads, BATCHES, err);
	for (size_t i = 0; i < BATCHES && r == 0; i++) {
		h->batch[i].ahead = h;
		h->batch[i].bytes = malloc(BATCH_BYTES);
		if (!h->batch[i].bytes)
			r = shale_err_set(err, ENOMEM, "read ahead");
	}
	if (r < 0) {
		shale_archive_ahead_free(h);
		return r;
	}
	*out = h;
	return 0;
}

void shale_archive_ahead_free(struct shale_archive_ahead *h)
{
	if (!h)
		return;
	shale_pool_free(h->pool);
	for (size_t i = 0; i < BATCHES; i++) {
		shale_buf_release(&h->batch[i].items);
		shale_buf_release(&h->batch[i].text);
		shale_buf_release(&h->batch[i].runs);
		free(h->batch[i].bytes);
	}
	shale_buf_release(&h->path);
	pthread_cond_destroy(&h->read);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

/* ------------------------------------------------------------------ reading */

static int read_batch(struct batch *b)
{
	const struct item *item = (void *)b->items.data;
	size_t n = b->items.len / sizeof(*item);
	int r = 0;
	for (size_t i = 0; i < n && r == 0; i++) {
		if (item[i].kind != DATA)
			continue;
		size_t got = 0;
		b->at = i;
		r = shale_image_read(b->ahead->image, item[i].member.attr.ino,
				     item[i].off, b->bytes + item[i].at,
				     item[i].len, &got, &b->why);
		if (r == 0 && got != item[i].len)
			r = shale_err_say(&b->why, EUCLEAN,
					  "content is missing");
	}
	return r;
}

static void run_batch(void *arg)
{
	struct batch *b = arg;
	int r = read_batch(b);
	pthread_mutex_lock(&b->ahead->lock);
	b->r = r;
	b->busy = false;
	pthread_cond_signal(&b->ahead->read);
	pthread_mutex_unlock(&b->ahead->lock);
}

/* ------------------------------------------------------------------ writing */

static int write_member(struct shale_archive_ahead *h, const struct batch *b,
			const struct item *item, struct shale_err *err)
{
	struct shale_archive_member m = item->member;
	const char *text = (const char *)b->text.data;
	struct shale_err lacks = {0};
	m.path = text + item->path;
	m.target = item->target == SIZE_MAX ? NULL : text + item->target;
	m.link = item->link == SIZE_MAX ? NULL : text + item->link;
	m.runs = NULL;
	if (item->runs != SIZE_MAX) {
		static const struct shale_archive_run none;
		m.runs = item->n_runs
				 ? (const void *)(b->runs.data + item->runs)
				 : &none;
		m.n_runs = item->n_runs;
	}
	h->path.len = 0;
	if (shale_buf_append(&h->path, m.path, strlen(m.path) + 1) < 0)
		return shale_err_set(err, ENOMEM, "a path");
	int r = shale_archive_out_entry(h->to, &m, &lacks);
	if (r < 0)
		return shale_err_say(err, -r, "%s", lacks.msg);
	if (h->opts.written)
		h->opts.written(h->opts.arg, m.path, m.attr.size,
				r ? lacks.msg : NULL);
	return 0;
}

static int write_item(struct shale_archive_ahead *h, const struct batch *b,
		      const struct item *item, struct shale_err *err)
{
	int r = 0;
	switch (item->kind) {
	case MEMBER:
		return write_member(h, b, item, err);
	case DATA:
		r = shale_archive_out_data(h->to, b->bytes + item->at,
					   item->len, err);
		break;
	case HOLE:
		r = shale_archive_out_hole(h->to, item->len, err);
		break;
	}
	if (r == 0 && h->opts.progress)
		h->opts.progress(h->opts.arg, item->len);
	return r;
}

/* Name the file in which reading the batch failed. */
static int damaged(const struct shale_archive_ahead *h, const struct batch *b,
		   struct shale_err *err)
{
	const struct item *item = (void *)b->items.data;
	const char *path = h->path.len ? (const char *)h->path.data : "";
	for (size_t i = 0; i < b->at; i++)
		if (item[i].kind == MEMBER)
			path = (const char *)b->text.data + item[i].path;
	return shale_err_say(err, -b->r,
			     "'/%s': %s; an archive is whole or not made: "
			     "export to a directory for what can be read",
			     path, b->why.msg);
}

/* Wait for the oldest batch, and write it. */
static int write_oldest(struct shale_archive_ahead *h, struct shale_err *err)
{
	size_t at = (h->filling + BATCHES - h->queued) % BATCHES;
	struct batch *b = &h->batch[at];
	pthread_mutex_lock(&h->lock);
	while (b->busy)
		pthread_cond_wait(&h->read, &h->lock);
	pthread_mutex_unlock(&h->lock);
	h->queued--;

	const struct item *item = (void *)b->items.data;
	size_t n = b->items.len / sizeof(*item);
	int r = b->r < 0 ? damaged(h, b, err) : 0;
	for (size_t i = 0; i < n && r == 0; i++)
		r = write_item(h, b, &item[i], err);
	b->items.len = b->text.len = b->runs.len = b->len = 0;
	return r;
}

/* Hand the batch that is being filled to the workers. */
static int turn(struct shale_archive_ahead *h, struct shale_err *err)
{
	struct batch *b = &h->batch[h->filling];
	if (!b->items.len)
		return 0;
	b->r = 0;
	b->busy = b->len != 0;
	if (b->busy)
		shale_pool_add(h->pool, run_batch, b);
	h->filling = (h->filling + 1) % BATCHES;
	h->queued++;
	return h->queued == BATCHES ? write_oldest(h, err) : 0;
}

int shale_archive_ahead_finish(struct shale_archive_ahead *h,
			       struct shale_err *err)
{
	int r = turn(h, err);
	while (r == 0 && h->queued)
		r = write_oldest(h, err);
	return r;
}

/* ----------------------------------------------------------------- queueing */

static int add(struct shale_archive_ahead *h, const struct item *item,
	       struct shale_err *err)
{
	struct batch *b = &h->batch[h->filling];
	if (shale_buf_append(&b->items, item, sizeof(*item)) < 0)
		return shale_err_set(err, ENOMEM, "read ahead");
	if (b->items.len >= BATCH_ITEMS * sizeof(*item) ||
	    b->text.len >= BATCH_BYTES || b->len == BATCH_BYTES)
		return turn(h, err);
	return 0;
}

static size_t keep_text(struct batch *b, const char *text)
{
	size_t at = b->text.len;
	if (!text || shale_buf_append(&b->text, text, strlen(text) + 1) < 0)
		return SIZE_MAX;
	return at;
}

int shale_archive_ahead_member(struct shale_archive_ahead *h,
			       const struct shale_archive_member *m,
			       struct shale_err *err)
{
	struct batch *b = &h->batch[h->filling];
	struct item item = {
		.kind = MEMBER,
		.path = keep_text(b, m->path),
		.target = keep_text(b, m->target),
		.link = keep_text(b, m->link),
		.runs = m->runs ? b->runs.len : SIZE_MAX,
		.n_runs = m->n_runs,
		.member = *m,
	};
	if (item.path == SIZE_MAX || (m->target && item.target == SIZE_MAX) ||
	    (m->link && item.link == SIZE_MAX) ||
	    (m->runs && shale_buf_append(&b->runs, m->runs,
					 m->n_runs * sizeof(*m->runs)) < 0))
		return shale_err_set(err, ENOMEM, "read ahead");
	return add(h, &item, err);
}

int shale_archive_ahead_data(struct shale_archive_ahead *h, uint64_t ino,
			     uint64_t off, uint64_t len, struct shale_err *err)
{
	int r = 0;
	while (len && r == 0) {
		struct batch *b = &h->batch[h->filling];
		size_t room = BATCH_BYTES - b->len;
		size_t n = len < room ? (size_t)len : room;
		struct item item = {
			.kind = DATA, .off = off, .len = n, .at = b->len};
		item.member.attr.ino = ino;
		b->len += n;
		off += n;
		len -= n;
		r = add(h, &item, err);
	}
	return r;
}

int shale_archive_ahead_hole(struct shale_archive_ahead *h, uint64_t len,
			     struct shale_err *err)
{
	struct item item = {.kind = HOLE, .len = len};
	return len ? add(h, &item, err) : 0;
}
