/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/base/map.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <ucontext.h>
#include <unistd.h>

enum { MAX_MAPS = 8192 };

struct slot {
	_Atomic uintptr_t start; /* 0: free */
	_Atomic uintptr_t end;
	atomic_bool poisoned;
};

static struct slot slots[MAX_MAPS];
static atomic_int slots_used; /* no slot at or above has ever been taken */
static pthread_mutex_t slots_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t install_once = PTHREAD_ONCE_INIT;
static struct sigaction previous;

struct attempt {
	sigjmp_buf jump;
	int slot;
	volatile int error;
};

static _Thread_local struct attempt *attempt; /* under way in this thread */

/*
 * End what cannot bear zeros, or put a page of zeros under the failing access
 * and let it run again.  Uses only async-signal-safe calls; mmap(2) is a plain
 * system call on Linux.
 */
static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	uintptr_t at = (uintptr_t)info->si_addr;
	int n = atomic_load(&slots_used);

	for (int i = 0; i < n; i++) {
		uintptr_t start = atomic_load(&slots[i].start);
		if (!start || at < start || at >= atomic_load(&slots[i].end))
			continue;
		if (attempt && attempt->slot == i) {
			/* Who wraps handlers (ThreadSanitizer) masks more. */
			pthread_sigmask(SIG_SETMASK,
					&((ucontext_t *)context)->uc_sigmask,
					NULL);
			shale_map_leave(-EIO);
		}
		uintptr_t page = at & ~(uintptr_t)4095;
		atomic_store(&slots[i].poisoned, true);
		if (mmap((void *)page, 4096, PROT_READ,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
			 0) != MAP_FAILED)
			return;
	}
	if (previous.sa_flags & SA_SIGINFO) {
		previous.sa_sigaction(sig, info, context);
		return;
	}
	signal(sig, SIG_DFL); /* the access repeats, and kills us */
}

static void install(void)
{
	struct sigaction action = {.sa_sigaction = on_sigbus,
				   .sa_flags = SA_SIGINFO | SA_NODEFER};
	sigemptyset(&action.sa_mask);
	sigaction(SIGBUS, &action, &previous);
}

static int take_slot(const void *data, size_t size)
{
	int found = -1;

	pthread_mutex_lock(&slots_lock);
	for (int i = 0; i < MAX_MAPS && found < 0; i++)
		if (!atomic_load(&slots[i].start))
			found = i;
	if (found >= 0) {
		atomic_store(&slots[found].poisoned, false);
		atomic_store(&slots[found].end, (uintptr_t)data + size);
		atomic_store(&slots[found].start, (uintptr_t)data);
		if (found >= atomic_load(&slots_used))
			atomic_store(&slots_used, found + 1);
	}
	pthread_mutex_unlock(&slots_lock);
	return found;
}

int shale_map_open(struct shale_map *map, int fd, const char *what,
		   struct shale_err *err)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return shale_err_set(err, errno, "stat %s", what);
	if (st.st_size <= 0)
		return shale_err_say(err, EUCLEAN, "%s is empty", what);
	if ((uint64_t)st.st_size > SIZE_MAX / 2)
		return shale_err_set(err, EFBIG, "map %s", what);

	pthread_once(&install_once, install);
	size_t size = (size_t)st.st_size;
	void *data = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	if (data == MAP_FAILED)
		return shale_err_set(err, errno, "map %s", what);

	int slot = take_slot(data, (size + 4095) & ~(size_t)4095);
	if (slot < 0) {
		munmap(data, size);
		return shale_err_say(err, ENFILE, "map %s: too many maps",
				     what);
	}
	*map = (struct shale_map){data, size, slot, false};
	return 0;
}

int shale_map_watch(struct shale_map *map, const void *data, size_t size,
		    const char *what, struct shale_err *err)
{
	pthread_once(&install_once, install);
	int slot = take_slot(data, size);
	if (slot < 0)
		return shale_err_say(err, ENFILE, "map %s: too many maps",
				     what);
	*map = (struct shale_map){data, size, slot, true};
	return 0;
}

void shale_map_close(struct shale_map *map)
{
	if (!map || !map->data)
		return;
	atomic_store(&slots[map->slot].start, 0);
	if (!map->foreign)
		munmap((void *)map->data, map->size);
	*map = (struct shale_map){0};
}

void shale_map_relax(const struct shale_map *map)
{
	/* Only a hint: what it does not do costs memory, nothing else. */
	(void)madvise((void *)map->data, map->size, MADV_DONTNEED);
}

void shale_map_want(const struct shale_map *map, size_t off, size_t len)
{
	size_t start = off & ~(size_t)4095;

	if (off < map->size && len <= map->size - off)
		(void)madvise((void *)(map->data + start), len + (off - start),
			      MADV_WILLNEED);
}

int shale_map_try(const struct shale_map *map, void (*fn)(void *arg), void *arg)
{
	struct attempt self = {.slot = map->data ? map->slot : -1};

	assert(!attempt);
	/* The handler leaves the mask as it was: nothing to restore. */
	if (sigsetjmp(self.jump, 0) == 0) {
		attempt = &self;
		fn(arg);
	}
	attempt = NULL;
	return self.error;
}

void shale_map_leave(int error)
{
	struct attempt *it = attempt;

	if (!it)
		return;
	it->error = error;
	siglongjmp(it->jump, 1);
}

bool shale_map_poisoned(const struct shale_map *map)
{
	return atomic_load_explicit(&slots[map->slot].poisoned,
				    memory_order_relaxed);
}
