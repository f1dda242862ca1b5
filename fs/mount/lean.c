/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/mount/lean.h"

#include "fs/workspace/map64.h"
#include "layers/base/cleanup.h"
#include "layers/base/pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { PROBES = 64, TRUST_MAX = 1 << 20 };

/* A thread that lists. */
struct reader {
	uint64_t last; /* when it began a directory; 0: free */
	uint32_t number;
	bool lean;       /* … that directory is lean */
	uint64_t dir;    /* that one */
	uint64_t files;  /* that it was given since the last probe */
	unsigned probes; /* since somebody looked */
};

struct shale_lean {
	struct shale_pool *pool;
	pthread_mutex_t lock;
	shale_lean_drop_fn *fn; /* NULL: do not */
	void *arg;
	uint64_t now; /* directories that were begun */
	struct reader reader[SHALE_LEAN_READERS];
	uint64_t probe[PROBES]; /* files, each where its number says */
	/* Directories that the kernel may have lean listings of, and when they
	 * were begun. */
	struct shale_map64 dirs;
	unsigned looks; /* at files of these */
	bool dropping;  /* a worker has them, or is about to */
	unsigned trust;
	/* Is there a probe that nobody looked at, or a lean listing?  Read
	 * without the lock, so that most lookups and reads take none. */
	atomic_bool unsure, any;
};

int shale_lean_new(struct shale_lean **out, struct shale_err *err)
{
	cleanup_free struct shale_lean *l = calloc(1, sizeof(*l));
	if (!l)
		return shale_err_set(err, ENOMEM, "list directories");
	int r = shale_pool_new(&l->pool, 1, 1, err);
	if (r < 0)
		return r;
	l->trust = SHALE_LEAN_TRUST;
	pthread_mutex_init(&l->lock, NULL);
	*out = steal_ptr(&l);
	return 0;
}

void shale_lean_free(struct shale_lean *l)
{
	if (!l)
		return;
	shale_pool_free(l->pool);
	shale_map64_release(&l->dirs);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

void shale_lean_to(struct shale_lean *l, shale_lean_drop_fn *fn, void *arg)
{
	if (!l)
		return;
	pthread_mutex_lock(&l->lock);
	l->fn = fn;
	l->arg = arg;
	pthread_mutex_unlock(&l->lock);
	if (!fn)
		shale_pool_wait(l->pool);
}

/* ------------------------------------------------------- what to list */

/* With the lock held: a reader that is remembered, or NULL. */
static struct reader *find(struct shale_lean *l, uint32_t number)
{
	for (size_t i = 0; i < SHALE_LEAN_READERS; i++)
		if (l->reader[i].last && l->reader[i].number == number)
			return &l->reader[i];
	return NULL;
}

/* With the lock held: a new one, for the one that has not begun a directory for
 * longest. */
static struct reader *remember(struct shale_lean *l, uint32_t number)
{
	struct reader *oldest = &l->reader[0];

	for (size_t i = 1; i < SHALE_LEAN_READERS; i++)
		if (l->reader[i].last < oldest->last)
			oldest = &l->reader[i];
	*oldest = (struct reader){.number = number};
	return oldest;
}

/* With the lock held: the directory's listing is lean, or is not any more. */
static bool note_dir(struct shale_lean *l, uint64_t dir, bool lean)
{
	if (lean &&
	    (l->dirs.n >= SHALE_LEAN_DIRS || shale_map64_reserve(&l->dirs) < 0))
		return false;
	shale_map64_set(&l->dirs, dir, lean ? l->now : 0);
	atomic_store_explicit(&l->any, l->dirs.n > 0, memory_order_relaxed);
	return lean;
}

/* With the lock held. */
static struct shale_lean_plan begin(struct shale_lean *l, uint32_t number,
				    uint64_t dir)
{
	struct reader *r = find(l, number);

	r = r ? r : remember(l, number);
	bool due = r->files >= SHALE_LEAN_EVERY;

	r->last = ++l->now;
	r->dir = dir;
	r->lean = note_dir(l, dir, due && r->probes >= l->trust);
	return (struct shale_lean_plan){
		.lean = r->lean,
		.probe = due && !r->lean,
	};
}

struct shale_lean_plan shale_lean_begin(struct shale_lean *l, uint32_t reader,
					uint64_t dir, uint64_t off)
{
	struct shale_lean_plan plan = {0};

	if (!l || !reader)
		return plan;
	pthread_mutex_lock(&l->lock);
	if (l->fn && off == 0) {
		plan = begin(l, reader, dir);
	} else if (l->fn) {
		const struct reader *r = find(l, reader);
		plan.lean = r && r->dir == dir && r->lean &&
			    shale_map64_get(&l->dirs, dir);
	}
	pthread_mutex_unlock(&l->lock);
	return plan;
}

void shale_lean_end(struct shale_lean *l, uint32_t reader, uint64_t files,
		    uint64_t probe)
{
	if (!l || !reader || (!files && !probe))
		return;
	pthread_mutex_lock(&l->lock);
	struct reader *r = find(l, reader);
	if (r)
		r->files = probe ? 0 : r->files + files;
	if (r && probe) {
		r->probes++;
		l->probe[probe % PROBES] = probe;
		atomic_store_explicit(&l->unsure, true, memory_order_relaxed);
	}
	pthread_mutex_unlock(&l->lock);
}

/* ------------------------------------------------------- who looks */

/* With the lock held: what is listed is looked at. */
static void count_anew(struct shale_lean *l)
{
	for (size_t i = 0; i < SHALE_LEAN_READERS; i++)
		l->reader[i].files = l->reader[i].probes = 0;
	atomic_store_explicit(&l->unsure, false, memory_order_relaxed);
}

static int by_time(const void *a, const void *b)
{
	const struct shale_pair64 *x = a, *y = b;
	return x->value < y->value ? -1 : x->value > y->value;
}

/* The first of a list comes first: who walks has been there first. */
static void in_order(struct shale_map64 *dirs)
{
	size_t n = 0;

	for (size_t i = 0; i < dirs->cap; i++)
		if (dirs->at[i].key)
			dirs->at[n++] = dirs->at[i];
	qsort(dirs->at, n, sizeof(*dirs->at), by_time);
}

static void drop(void *arg)
{
	struct shale_lean *l = arg;
	struct shale_map64 dirs;

	pthread_mutex_lock(&l->lock);
	dirs = l->dirs;
	l->dirs = (struct shale_map64){0};
	l->looks = 0;
	l->trust = l->trust < TRUST_MAX ? 2 * l->trust : l->trust;
	atomic_store_explicit(&l->any, false, memory_order_relaxed);
	shale_lean_drop_fn *fn = l->fn;
	void *to = l->arg;
	pthread_mutex_unlock(&l->lock);
	in_order(&dirs);
	for (size_t i = 0; fn && i < dirs.n; i++)
		fn(to, dirs.at[i].key);
	shale_map64_release(&dirs);
	pthread_mutex_lock(&l->lock);
	l->dropping = false;
	pthread_mutex_unlock(&l->lock);
}

void shale_lean_looked(struct shale_lean *l, uint64_t dir, uint64_t id)
{
	if (!l || (!atomic_load_explicit(&l->unsure, memory_order_relaxed) &&
		   !atomic_load_explicit(&l->any, memory_order_relaxed)))
		return;
	pthread_mutex_lock(&l->lock);
	bool lean = shale_map64_get(&l->dirs, dir) != 0;
	if (lean || l->probe[id % PROBES] == id)
		count_anew(l);
	if (lean && ++l->looks >= SHALE_LEAN_DROP && l->fn && !l->dropping)
		l->dropping = shale_pool_try(l->pool, drop, l) == 0;
	pthread_mutex_unlock(&l->lock);
}

void shale_lean_read(struct shale_lean *l)
{
	if (!l || !atomic_load_explicit(&l->unsure, memory_order_relaxed))
		return;
	pthread_mutex_lock(&l->lock);
	count_anew(l);
	pthread_mutex_unlock(&l->lock);
}
