/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/mount/receivers.h"

#include "layers/base/turns.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { RECEIVERS_MAX = 16, THREADS_MAX = 32 };

int shale_receiver_init(struct shale_receiver *r, struct shale_session *s,
			int fd, size_t size)
{
	*r = (struct shale_receiver){.session = s, .fd = fd, .size = size};
	void *in = mmap(NULL, size, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (in == MAP_FAILED)
		return -ENOMEM;
	r->in = in;
	if (posix_memalign((void **)&r->out, 4096, size)) {
		r->out = NULL;
		shale_receiver_release(r);
		return -ENOMEM;
	}
	return 0;
}

void shale_receiver_release(struct shale_receiver *r)
{
	if (r->in)
		munmap(r->in, r->size);
	free(r->out);
}

int shale_receiver_read(struct shale_receiver *r)
{
	ssize_t n = read(r->fd, r->in, r->size);
	if (n >= 0) {
		r->len = (size_t)n;
		return (int)n;
	}
	/* ENOENT: the request was withdrawn before it was read. */
	return errno == EINTR || errno == ENOENT || errno == EAGAIN ? 0
								    : -errno;
}

int shale_receivers_init(struct shale_receivers *all,
			 void (*serve)(struct shale_receiver *r),
			 struct shale_err *err)
{
	all->serve = serve;
	int r = pthread_key_create(&all->key, NULL);
	if (r)
		return shale_err_set(err, r, "serve a mount");
	pthread_mutex_init(&all->lock, NULL);
	pthread_cond_init(&all->wake, NULL);
	return 0;
}

void shale_receivers_release(struct shale_receivers *all)
{
	pthread_key_delete(all->key);
	pthread_mutex_destroy(&all->lock);
	pthread_cond_destroy(&all->wake);
}

struct shale_receiver *shale_receivers_own(struct shale_receivers *all)
{
	return pthread_getspecific(all->key);
}

void shale_receivers_set_own(struct shale_receivers *all,
			     struct shale_receiver *r)
{
	pthread_setspecific(all->key, r);
}

/* ------------------------------------------------------ having one, or not */

/* With the lock held: wake somebody if nobody would read the next request. */
static void call_reader(struct shale_receivers *all)
{
	if (all->free && atomic_load(&all->reading) == 0)
		pthread_cond_signal(&all->wake);
}

void shale_receivers_let_go(struct shale_receivers *all)
{
	struct shale_receiver *r = shale_receivers_own(all);

	if (!r)
		return;
	shale_receivers_set_own(all, NULL);
	pthread_mutex_lock(&all->lock);
	r->next = all->free;
	all->free = r;
	atomic_fetch_add(&all->n_free, 1);
	call_reader(all);
	pthread_mutex_unlock(&all->lock);
}

/* Wait for a receiver; NULL at the end. */
static struct shale_receiver *take(struct shale_receivers *all)
{
	pthread_mutex_lock(&all->lock);
	while (!all->free && !atomic_load(&all->ended))
		pthread_cond_wait(&all->wake, &all->lock);
	struct shale_receiver *r = atomic_load(&all->ended) ? NULL : all->free;
	if (r) {
		all->free = r->next;
		atomic_fetch_sub(&all->n_free, 1);
	}
	pthread_mutex_unlock(&all->lock);
	shale_receivers_set_own(all, r);
	return r;
}

static void end(struct shale_receivers *all, int r)
{
	if (r != -ENODEV)
		atomic_store(&all->failure, -r);
	pthread_mutex_lock(&all->lock);
	atomic_store(&all->ended, true);
	pthread_cond_broadcast(&all->wake);
	pthread_mutex_unlock(&all->lock);
}

/*
 * Both sides write their count before they read the other's: who reads the last
 * request sees the receiver that is let go, or who lets go sees that nobody
 * reads.
 */
static int read_next(struct shale_receivers *all, struct shale_receiver *r)
{
	atomic_fetch_add(&all->reading, 1);
	int n = shale_receiver_read(r);
	if (atomic_fetch_sub(&all->reading, 1) == 1 &&
	    atomic_load(&all->n_free)) {
		pthread_mutex_lock(&all->lock);
		call_reader(all);
		pthread_mutex_unlock(&all->lock);
	}
	return n;
}

static void *run_thread(void *arg)
{
	struct shale_receivers *all = arg;
	struct shale_receiver *r;

	shale_turns_short();
	while ((r = take(all))) {
		while (shale_receivers_own(all) == r) {
			int n = read_next(all, r);
			if (n > 0)
				all->serve(r);
			else if (n < 0)
				end(all, n);
			if (n < 0 || (n == 0 && atomic_load(&all->ended)))
				return NULL;
		}
	}
	return NULL;
}

/* ------------------------------------------------------------------ running */

static int make(struct shale_receivers *all, struct shale_receiver *r,
		const struct shale_receivers_opts *opts)
{
	int ret = shale_receiver_init(r, opts->session, opts->fd, opts->size);
	if (ret < 0)
		return ret;
	r->next = all->free;
	all->free = r;
	atomic_fetch_add(&all->n_free, 1);
	return 0;
}

int shale_receivers_run(struct shale_receivers *all,
			const struct shale_receivers_opts *opts,
			struct shale_err *err)
{
	struct shale_receiver own[RECEIVERS_MAX];
	pthread_t threads[THREADS_MAX];
	unsigned n = opts->n < 2 ? 2 : opts->n;
	unsigned made = 0, started = 0;
	int r = 0;

	while (r == 0 && made < n && made < RECEIVERS_MAX) {
		r = make(all, &own[made], opts);
		made += r == 0;
	}
	if (made)
		r = 0;
	n = made ? made + opts->waiting : 0;
	while (r == 0 && started < n && started < THREADS_MAX) {
		r = -pthread_create(&threads[started], NULL, run_thread, all);
		started += r == 0;
	}
	for (unsigned i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
	for (unsigned i = 0; i < made; i++)
		shale_receiver_release(&own[i]);
	if (!started)
		return shale_err_set(err, -r, "start a thread");
	int failure = atomic_load(&all->failure);
	return failure ? shale_err_set(err, failure, "read requests") : 0;
}
