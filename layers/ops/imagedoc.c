/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/imagedoc.h"

#include "layers/base/cleanup.h"
#include "layers/base/clock.h"
#include "layers/base/pool.h"
#include "layers/ops/filesums.h"
#include "layers/ops/metadoc.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>

/*
 * The walk fills batches; worker threads add the digests of a batch while the
 * walk goes on; batches are written in order.  A file that takes long holds up
 * the writing, not the workers, as long as there are batches.
 */
enum {
	BATCHES = 16,
	BATCH_FILES = 256,         /* of one batch, and so of one job */
	BATCH_BYTES = 4 << 20,     /* of contents */
	RELAX_EVERY = 1 << 15,     /* files */
	LOOK_EVERY_NS = 100000000, /* at progress, while waiting */
};

struct entry {
	struct shale_attr attr;
	size_t path, path_len; /* in the batch's paths */
	struct shale_digest digest;
	char *damage; /* why there is no digest; allocated */
};

struct batch {
	struct doc *doc;
	struct entry entry[BATCH_FILES];
	size_t n;
	uint64_t bytes;
	struct shale_buf paths;
	int r; /* of the job */
	struct shale_err why;
	bool running;
};

/* A directory that is being walked; paths end where its own does. */
struct level {
	uint64_t next, end; /* entries still to come */
	size_t path_len;
};

struct doc {
	const struct shale_image *image;
	const struct shale_imagedoc_opts *opts;
	struct shale_metadoc out;
	struct shale_filesums *sums; /* NULL: no digests */
	struct shale_pool *pool;

	struct batch *batches;  /* a ring of BATCHES */
	uint64_t first, filled; /* the oldest, and the one being filled */
	pthread_mutex_t lock;   /* of `running` */
	pthread_cond_t ended;

	atomic_bool stop; /* nobody wants what the workers do */

	struct shale_buf path, levels;
	uint64_t files;
	int64_t damaged;
};

/* ---------------------------------------------------------------- digests */

static bool stopped(void *arg)
{
	struct doc *doc = arg;
	if (!atomic_load(&doc->stop) && doc->opts->cancelled &&
	    doc->opts->cancelled(doc->opts->arg))
		atomic_store(&doc->stop, true);
	return atomic_load(&doc->stop);
}

static void run_batch(void *arg)
{
	struct batch *b = arg;
	struct doc *doc = b->doc;

	for (size_t i = 0; i < b->n && b->r == 0; i++) {
		struct entry *e = &b->entry[i];
		if (!S_ISREG(e->attr.mode))
			continue;
		b->r = shale_filesums_of(doc->sums, e->attr.ino, &e->digest,
					 &b->why);
		if (b->r != -EUCLEAN)
			continue;
		e->damage = strdup(b->why.msg);
		b->r = e->damage ? 0
				 : shale_err_set(&b->why, ENOMEM, "metadata");
	}
	pthread_mutex_lock(&doc->lock);
	b->running = false;
	pthread_cond_broadcast(&doc->ended);
	pthread_mutex_unlock(&doc->lock);
}

static void look(struct doc *doc)
{
	uint64_t told = 0, read = 0;
	if (!doc->opts->progress)
		return;
	if (doc->sums)
		shale_filesums_bytes(doc->sums, &told, &read);
	doc->opts->progress(doc->opts->arg, told, doc->files);
}

/* Wait for the job of a batch, looking at the progress meanwhile. */
static void wait_for(struct doc *doc, const struct batch *b)
{
	pthread_mutex_lock(&doc->lock);
	while (b->running) {
		struct timespec until = shale_clock_in(LOOK_EVERY_NS);
		pthread_cond_timedwait(&doc->ended, &doc->lock, &until);
		look(doc);
	}
	pthread_mutex_unlock(&doc->lock);
}

/* ---------------------------------------------------------------- batches */

static struct batch *batch_at(const struct doc *doc, uint64_t n)
{
	return &doc->batches[n % BATCHES];
}

static void empty_batch(struct batch *b)
{
	for (size_t i = 0; i < b->n; i++)
		free(b->entry[i].damage);
	b->n = 0;
	b->bytes = 0;
	b->paths.len = 0;
}

static int write_entry(struct doc *doc, const struct batch *b,
		       const struct entry *e, struct shale_err *err)
{
	struct shale_metadoc_more more = {.damage = e->damage};
	const char *path = (const char *)b->paths.data + e->path;
	int r = 0;

	if (S_ISLNK(e->attr.mode))
		r = shale_index_target(doc->image->index, e->attr.ino,
				       &more.target, &more.target_len, err);
	if (doc->sums && S_ISREG(e->attr.mode) && !e->damage)
		more.digest = &e->digest;
	if (e->damage) {
		doc->damaged++;
		if (doc->opts->damaged)
			doc->opts->damaged(doc->opts->arg, path, e->damage);
	}
	return r < 0 ? r
		     : shale_metadoc_entry(&doc->out, path, e->path_len,
					   &e->attr, &more, err);
}

/* Write the oldest batch, when its digests are there. */
static int write_batch(struct doc *doc, struct shale_err *err)
{
	struct batch *b = batch_at(doc, doc->first);

	wait_for(doc, b);
	doc->first++;
	int r = b->r;
	if (r < 0 && err)
		*err = b->why;
	for (size_t i = 0; i < b->n && r == 0; i++)
		r = write_entry(doc, b, &b->entry[i], err);
	empty_batch(b);
	look(doc);
	return r;
}

/* The batch that is being filled is full, or the last one. */
static int close_batch(struct doc *doc, struct shale_err *err)
{
	struct batch *b = batch_at(doc, doc->filled);

	if (stopped(doc))
		return shale_err_say(err, EINTR, "interrupted");
	doc->filled++;
	if (doc->sums) {
		b->running = true;
		shale_pool_add(doc->pool, run_batch, b);
	}
	if (!doc->sums || doc->filled - doc->first == BATCHES)
		return write_batch(doc, err);
	return 0;
}

/* Add the inode whose path stands in doc->path. */
static int add_entry(struct doc *doc, uint64_t ino, struct shale_err *err)
{
	struct batch *b = batch_at(doc, doc->filled);
	struct entry *e = &b->entry[b->n];

	*e = (struct entry){.path = b->paths.len, .path_len = doc->path.len};
	int r = shale_index_attr(doc->image->index, ino, &e->attr, err);
	if (r < 0)
		return r;
	if (shale_buf_append(&b->paths, doc->path.data, doc->path.len) < 0 ||
	    shale_buf_append(&b->paths, "", 1) < 0)
		return shale_err_set(err, ENOMEM, "metadata");
	b->n++;
	b->bytes += S_ISREG(e->attr.mode) ? e->attr.size : 0;
	if (++doc->files % RELAX_EVERY == 0)
		shale_image_relax(doc->image);
	return b->n == BATCH_FILES || b->bytes >= BATCH_BYTES
		       ? close_batch(doc, err)
		       : 0;
}

/* ------------------------------------------------------------------- walk */

static int push(struct doc *doc, uint64_t ino, struct shale_err *err)
{
	struct shale_index_dir dir;
	int r = shale_index_dir(doc->image->index, ino, &dir, err);
	if (r < 0)
		return r;
	struct level level = {dir.first, dir.first + dir.count,
			      ino == SHALE_ROOT_INO ? 0 : doc->path.len};
	return shale_buf_append(&doc->levels, &level, sizeof(level)) < 0
		       ? shale_err_set(err, ENOMEM, "metadata")
		       : 0;
}

static int step(struct doc *doc, struct level *level, struct shale_err *err)
{
	struct shale_entry e;
	int r = shale_index_entry(doc->image->index, level->next++, &e, err);
	if (r < 0)
		return r;
	doc->path.len = level->path_len;
	if (shale_buf_append(&doc->path, "/", 1) < 0 ||
	    shale_buf_append(&doc->path, e.name, e.name_len) < 0)
		return shale_err_set(err, ENOMEM, "metadata");
	r = add_entry(doc, e.ino, err);
	if (r == 0 && e.type == S_IFDIR >> 12)
		r = push(doc, e.ino, err);
	return r;
}

static int walk(struct doc *doc, struct shale_err *err)
{
	uint64_t left = shale_index_entries(doc->image->index);
	int r = shale_buf_append(&doc->path, "/", 1) < 0
			? shale_err_set(err, ENOMEM, "metadata")
			: add_entry(doc, SHALE_ROOT_INO, err);
	if (r == 0)
		r = push(doc, SHALE_ROOT_INO, err);
	while (r == 0 && doc->levels.len) {
		struct level *top =
			(struct level *)(doc->levels.data + doc->levels.len) -
			1;
		if (top->next == top->end) {
			doc->levels.len -= sizeof(*top);
			continue;
		}
		if (left-- == 0)
			return shale_err_say(err, EUCLEAN,
					     "the index has a circle");
		r = step(doc, top, err);
	}
	return r;
}

/* ------------------------------------------------------------------ whole */

static int start(struct doc *doc, const struct shale_digest *manifest, int fd,
		 struct shale_err *err)
{
	const struct shale_imagedoc_opts *opts = doc->opts;
	doc->batches = calloc(BATCHES, sizeof(*doc->batches));
	if (!doc->batches)
		return shale_err_set(err, ENOMEM, "metadata");
	for (size_t i = 0; i < BATCHES; i++)
		doc->batches[i].doc = doc;
	int r = shale_metadoc_begin_image(&doc->out, fd, manifest, err);
	if (r == 0 && opts->digests)
		r = shale_filesums_new(&doc->sums, doc->image, stopped, doc,
				       err);
	if (r == 0 && opts->digests)
		r = shale_pool_new(&doc->pool, opts->threads, BATCHES, err);
	return r;
}

static void finish(struct doc *doc)
{
	atomic_store(&doc->stop, true);
	shale_pool_free(doc->pool);
	for (size_t i = 0; doc->batches && i < BATCHES; i++) {
		empty_batch(&doc->batches[i]);
		shale_buf_release(&doc->batches[i].paths);
	}
	free(doc->batches);
	shale_filesums_free(doc->sums);
	shale_metadoc_release(&doc->out);
	shale_buf_release(&doc->path);
	shale_buf_release(&doc->levels);
	pthread_cond_destroy(&doc->ended);
	pthread_mutex_destroy(&doc->lock);
}

int64_t shale_imagedoc_write(const struct shale_image *image,
			     const struct shale_digest *manifest, int fd,
			     const struct shale_imagedoc_opts *opts,
			     struct shale_err *err)
{
	struct doc doc = {.image = image, .opts = opts};

	pthread_mutex_init(&doc.lock, NULL);
	shale_clock_cond_init(&doc.ended);
	int r = start(&doc, manifest, fd, err);
	if (r == 0)
		r = walk(&doc, err);
	if (r == 0)
		r = close_batch(&doc, err);
	while (r == 0 && doc.first < doc.filled)
		r = write_batch(&doc, err);
	if (r == 0)
		r = shale_metadoc_finish(&doc.out, NULL, NULL, err);
	finish(&doc);
	return r < 0 ? r : doc.damaged;
}
