/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/survey.h"

#include "layers/base/cleanup.h"
#include "layers/base/pool.h"

#include <fcntl.h>
#include <pthread.h>
#include <string.h>

struct shale_survey {
	struct shale_pool *pool;
	enum shale_xattr_policy policy;
	bool marks;
	pthread_mutex_t lock; /* of every batch's `done` */
	pthread_cond_t done;
	uint64_t given, taken; /* batches; in turn, each has a fixed place */
	struct shale_survey_batch batch[SHALE_SURVEY_BATCHES];
};

int shale_survey_new(struct shale_survey **out, unsigned threads,
		     enum shale_xattr_policy policy, bool marks,
		     struct shale_err *err)
{
	struct shale_survey *s = calloc(1, sizeof(*s));
	if (!s)
		return shale_err_set(err, ENOMEM, "walk a directory");
	s->policy = policy;
	s->marks = marks;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->done, NULL);
	for (size_t i = 0; i < SHALE_SURVEY_BATCHES; i++)
		s->batch[i].survey = s;
	int r = shale_pool_new(&s->pool, threads, SHALE_SURVEY_BATCHES, err);
	if (r < 0) {
		shale_survey_free(s);
		return r;
	}
	*out = s;
	return 0;
}

void shale_survey_free(struct shale_survey *s)
{
	if (!s)
		return;
	shale_pool_free(s->pool);
	for (size_t i = 0; i < SHALE_SURVEY_BATCHES; i++) {
		shale_buf_release(&s->batch[i].items);
		shale_buf_release(&s->batch[i].heap);
		shale_buf_release(&s->batch[i].xattrs);
	}
	pthread_cond_destroy(&s->done);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

/* --------------------------------------------------------------- threads */

/* Keep bytes, with a NUL behind them. */
static int keep(struct shale_survey_batch *b, const void *data, size_t len,
		size_t *at)
{
	*at = b->heap.len;
	int r = shale_buf_append(&b->heap, data, len);
	return r < 0 ? r : shale_buf_append(&b->heap, "", 1);
}

static const char *name_of(const struct shale_survey_batch *b,
			   const struct shale_found *f)
{
	return (const char *)b->heap.data + f->name;
}

static int read_target(struct shale_survey_batch *b, struct shale_found *f)
{
	char target[SHALE_TARGET_MAX + 1];
	ssize_t n = readlinkat(b->dirfd, name_of(b, f), target, sizeof(target));
	if (n < 0 || n > SHALE_TARGET_MAX) {
		f->target_error = n < 0 ? errno : ENAMETOOLONG;
		return 0;
	}
	f->target_len = (size_t)n;
	return keep(b, target, f->target_len, &f->target);
}

static int read_xattrs(struct shale_survey_batch *b, struct shale_found *f)
{
	const struct shale_survey *s = b->survey;
	struct shale_err why = {0};
	f->xattr_error = shale_xattrs_read(b->dirfd, name_of(b, f), s->policy,
					   s->marks, &b->xattrs, &why);
	if (f->xattr_error == -ENOMEM)
		return -ENOMEM;
	if (f->xattr_error < 0)
		return keep(b, why.msg, strlen(why.msg), &f->xattr_why);
	f->xattr_len = (uint32_t)b->xattrs.len;
	return f->xattr_len ? keep(b, b->xattrs.data, f->xattr_len, &f->xattrs)
			    : 0;
}

static int look(struct shale_survey_batch *b, struct shale_found *f)
{
	if (fstatat(b->dirfd, name_of(b, f), &f->st, AT_SYMLINK_NOFOLLOW) < 0) {
		f->error = errno;
		return 0;
	}
	int r = S_ISLNK(f->st.st_mode) ? read_target(b, f) : 0;
	if (r == 0 && !f->target_error)
		r = read_xattrs(b, f);
	return r;
}

static void look_at_all(void *arg)
{
	struct shale_survey_batch *b = arg;
	struct shale_survey *s = b->survey;
	struct shale_found *all = (void *)b->items.data;
	int r = 0;
	for (size_t i = 0; i < shale_survey_count(b) && r == 0; i++)
		r = look(b, &all[i]);

	pthread_mutex_lock(&s->lock);
	b->failed = r;
	b->done = true;
	pthread_cond_signal(&s->done);
	pthread_mutex_unlock(&s->lock);
}

/* ------------------------------------------------------- giving and taking */

static struct shale_survey_batch *in_turn(struct shale_survey *s, uint64_t n)
{
	return &s->batch[n % SHALE_SURVEY_BATCHES];
}

struct shale_survey_batch *shale_survey_room(struct shale_survey *s)
{
	if (s->given - s->taken == SHALE_SURVEY_BATCHES)
		return NULL;
	struct shale_survey_batch *b = in_turn(s, s->given);
	b->items.len = b->heap.len = 0;
	b->done = false;
	return b;
}

int shale_survey_add(struct shale_survey_batch *b, const char *name,
		     struct shale_err *err)
{
	struct shale_found found = {.error = 0};
	if (keep(b, name, strlen(name), &found.name) < 0 ||
	    shale_buf_append(&b->items, &found, sizeof(found)) < 0)
		return shale_err_set(err, ENOMEM, "walk a directory");
	return 0;
}

size_t shale_survey_count(const struct shale_survey_batch *b)
{
	return b->items.len / sizeof(struct shale_found);
}

void shale_survey_give(struct shale_survey *s)
{
	shale_pool_add(s->pool, look_at_all, in_turn(s, s->given++));
}

struct shale_survey_batch *shale_survey_take(struct shale_survey *s)
{
	struct shale_survey_batch *b = in_turn(s, s->taken);
	if (s->taken == s->given)
		return NULL;
	pthread_mutex_lock(&s->lock);
	while (!b->done)
		pthread_cond_wait(&s->done, &s->lock);
	pthread_mutex_unlock(&s->lock);
	return b;
}

void shale_survey_return(struct shale_survey *s)
{
	s->taken++;
}
