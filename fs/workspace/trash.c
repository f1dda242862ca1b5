/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/workspace/trash.h"

#include "layers/base/clock.h"
#include "layers/base/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
	PIECE = 4 << 20, /* bytes that are freed at once */
	TURN = 5000000,  /* ns of work between two rests */
	NAME = 2 * 16 + 2,
};

struct shale_trash {
	int dirfd;
	uint64_t boot; /* tells this process's names from earlier ones' */
	pthread_t thread;
	uint64_t busy;        /* ns since its last rest; its own */
	pthread_mutex_t lock; /* all below */
	pthread_cond_t more;  /* for the thread */
	pthread_cond_t done;  /* a round ended */
	uint64_t put;         /* files that were put so far */
	uint64_t freed;       /* all up to this one are freed */
	bool running, stop;
	unsigned waiting; /* who is in a hurry */
};

int shale_trash_new(struct shale_trash **out, int dirfd, struct shale_err *err)
{
	struct timespec now;

	struct shale_trash *trash = calloc(1, sizeof(*trash));
	if (!trash)
		return shale_err_set(err, ENOMEM, "open 'data'");
	clock_gettime(CLOCK_REALTIME, &now);
	trash->dirfd = dirfd;
	trash->boot = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	pthread_mutex_init(&trash->lock, NULL);
	shale_clock_cond_init(&trash->more);
	pthread_cond_init(&trash->done, NULL);
	*out = trash;
	return 0;
}

/* --------------------------------------------------------------- freeing */

/*
 * Something took so long.  When that adds up to a turn, rest as long, unless
 * somebody waits.
 */
static void rest(struct shale_trash *trash, uint64_t ns)
{
	trash->busy += ns;
	if (trash->busy < TURN)
		return;
	struct timespec until = shale_clock_in(trash->busy);
	int r = 0;

	trash->busy = 0;
	pthread_mutex_lock(&trash->lock);
	while (!trash->waiting && !trash->stop && r == 0)
		r = pthread_cond_timedwait(&trash->more, &trash->lock, &until);
	pthread_mutex_unlock(&trash->lock);
}

static void free_file(struct shale_trash *trash, int dir, const char *name)
{
	struct stat st;
	cleanup_fd int fd = openat(
		dir, name, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
	off_t size = fd >= 0 && fstat(fd, &st) == 0 ? st.st_size : 0;

	while (size > PIECE) {
		uint64_t start = shale_clock_ns();
		size = (size - 1) / PIECE * PIECE;
		if (ftruncate(fd, size) < 0)
			break;
		rest(trash, shale_clock_ns() - start);
	}
	uint64_t start = shale_clock_ns();
	unlinkat(dir, name, 0);
	if (fd >= 0)
		close(steal_fd(&fd)); /* the last piece goes here */
	rest(trash, shale_clock_ns() - start);
}

/* All that is there; what is put meanwhile may be seen or not. */
static void free_all(struct shale_trash *trash)
{
	cleanup_dir DIR *dir = shale_dir_of(
		openat(trash->dirfd, "gone",
		       O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
	const struct dirent *entry;

	while (dir && (entry = shale_dir_next(dir)))
		free_file(trash, dirfd(dir), entry->d_name);
}

static void *run(void *arg)
{
	struct shale_trash *trash = arg;

	pthread_mutex_lock(&trash->lock);
	for (;;) {
		while (trash->freed == trash->put && !trash->stop)
			pthread_cond_wait(&trash->more, &trash->lock);
		if (trash->freed == trash->put)
			break;
		uint64_t put = trash->put;
		pthread_mutex_unlock(&trash->lock);
		free_all(trash);
		pthread_mutex_lock(&trash->lock);
		trash->freed = put;
		pthread_cond_broadcast(&trash->done);
	}
	pthread_mutex_unlock(&trash->lock);
	return NULL;
}

/* Lock held.  Without a thread, who puts frees. */
static bool need_thread(struct shale_trash *trash)
{
	if (!trash->running)
		trash->running =
			!pthread_create(&trash->thread, NULL, run, trash);
	return trash->running;
}

void shale_trash_free(struct shale_trash *trash)
{
	if (!trash)
		return;
	pthread_mutex_lock(&trash->lock);
	trash->stop = true;
	pthread_cond_signal(&trash->more);
	pthread_mutex_unlock(&trash->lock);
	if (trash->running)
		pthread_join(trash->thread, NULL);
	pthread_cond_destroy(&trash->more);
	pthread_cond_destroy(&trash->done);
	pthread_mutex_destroy(&trash->lock);
	free(trash);
}

/* --------------------------------------------------------------- putting */

static int move(struct shale_trash *trash, const char *name, const char *to)
{
	if (renameat(trash->dirfd, name, trash->dirfd, to) == 0)
		return 0;
	if (errno != ENOENT)
		return -errno;
	if (faccessat(trash->dirfd, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (mkdirat(trash->dirfd, "gone", 0700) < 0 && errno != EEXIST)
		return -errno;
	return renameat(trash->dirfd, name, trash->dirfd, to) < 0 ? -errno : 0;
}

int shale_trash_put(struct shale_trash *trash, const char *name)
{
	char to[sizeof("gone/") + NAME];

	pthread_mutex_lock(&trash->lock);
	bool thread = need_thread(trash);
	uint64_t n = trash->put + 1;
	snprintf(to, sizeof(to), "gone/%llx.%llx",
		 (unsigned long long)trash->boot, (unsigned long long)n);
	int r = thread ? move(trash, name, to) : -EAGAIN;
	if (r == 0) {
		trash->put = n;
		pthread_cond_signal(&trash->more);
	}
	pthread_mutex_unlock(&trash->lock);
	if (r == 0 || r == -ENOENT)
		return r;
	/* No room for another name, or no thread: then at once. */
	return unlinkat(trash->dirfd, name, 0) < 0 ? -errno : 0;
}

void shale_trash_resume(struct shale_trash *trash)
{
	if (faccessat(trash->dirfd, "gone", F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	pthread_mutex_lock(&trash->lock);
	if (need_thread(trash)) {
		trash->put++; /* they count as one, and are waited for */
		pthread_cond_signal(&trash->more);
	}
	pthread_mutex_unlock(&trash->lock);
}

bool shale_trash_wait(struct shale_trash *trash)
{
	pthread_mutex_lock(&trash->lock);
	uint64_t upto = trash->put;
	bool any = trash->freed < upto;
	trash->waiting++;
	pthread_cond_signal(&trash->more);
	while (trash->running && trash->freed < upto)
		pthread_cond_wait(&trash->done, &trash->lock);
	trash->waiting--;
	pthread_mutex_unlock(&trash->lock);
	return any;
}
