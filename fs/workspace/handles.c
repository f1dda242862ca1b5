/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/workspace/handles.h"

#include "fs/workspace/map64.h"
#include "layers/base/cleanup.h"

#include <assert.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum {
	PLACES_MAX = 1 << 20,
	PLACES_STEP = 4096, /* the file grows by so many */
};

/*
 * Native integers: the file never outlives the boot.  `ino` is written last
 * when a place is taken and first when it is cleared, so a daemon that is
 * killed in between leaves it free.
 */
struct place {
	_Atomic uint64_t ino; /* 0: free */
	uint64_t unique;
	uint32_t taken; /* how often */
	_Atomic uint32_t note;
};
static_assert(sizeof(struct place) == 24, "one file for two daemons");

struct shale_handles {
	int fd;
	struct place *places; /* mapped: PLACES_MAX of them, `n` in the file */
	pthread_mutex_t lock;
	uint32_t n;
	uint32_t *free; /* places that nobody has, `n_free` of them */
	uint32_t n_free, cap_free;
	struct shale_map64 count;     /* inode: number of slots */
	struct shale_map64 of_unique; /* request: slot + 1 */
};

static uint64_t slot_of(struct shale_handles *handles, uint32_t at)
{
	return (uint64_t)handles->places[at].taken << 32 | at;
}

static struct place *place_of(struct shale_handles *handles, uint64_t slot)
{
	uint32_t at = (uint32_t)slot;
	if (at >= handles->n || handles->places[at].taken != slot >> 32)
		return NULL;
	return &handles->places[at];
}

/* ------------------------------------------------------------- opening */

static int reserve_free(struct shale_handles *handles, uint32_t n)
{
	if (n <= handles->cap_free)
		return 0;
	void *list = realloc(handles->free, n * sizeof(*handles->free));
	if (!list)
		return -ENOMEM;
	handles->free = list;
	handles->cap_free = n;
	return 0;
}

/* Count a slot in memory; room was reserved. */
static void remember(struct shale_handles *handles, uint32_t at)
{
	struct place *place = &handles->places[at];
	uint64_t ino = atomic_load(&place->ino);
	shale_map64_set(&handles->count, ino,
			shale_map64_get(&handles->count, ino) + 1);
	if (place->unique)
		shale_map64_set(&handles->of_unique, place->unique,
				slot_of(handles, at) + 1);
}

static int reserve_maps(struct shale_handles *handles)
{
	int r = shale_map64_reserve(&handles->count);
	return r < 0 ? r : shale_map64_reserve(&handles->of_unique);
}

/* What the file says, into memory.  The lowest places are used first. */
static int load(struct shale_handles *handles)
{
	int r = reserve_free(handles, handles->n);
	for (uint32_t at = handles->n; at-- > 0 && r == 0;) {
		if (!atomic_load(&handles->places[at].ino)) {
			handles->free[handles->n_free++] = at;
			continue;
		}
		r = reserve_maps(handles);
		if (r == 0)
			remember(handles, at);
	}
	return r;
}

/*
 * More places, allocated on disk: a store to a page that has no room there
 * would be a SIGBUS.
 */
static int grow(struct shale_handles *handles)
{
	if (handles->n >= PLACES_MAX)
		return -ENFILE;
	uint32_t n = handles->n + PLACES_STEP;
	if (n > PLACES_MAX)
		n = PLACES_MAX;
	int r = reserve_free(handles, n);
	if (r < 0)
		return r;
	r = posix_fallocate(handles->fd, 0, (off_t)(n * sizeof(struct place)));
	if (r)
		return -r;
	for (uint32_t at = n; at-- > handles->n;)
		handles->free[handles->n_free++] = at;
	handles->n = n;
	return 0;
}

SHALE_DEFINE_CLEANUP(handles, struct shale_handles *, shale_handles_close);

int shale_handles_open(struct shale_handles **out, int dirfd, bool fresh,
		       struct shale_err *err)
{
	SHALE_CLEANUP(shale_cleanup_handles)
	struct shale_handles *handles = calloc(1, sizeof(*handles));
	if (!handles)
		return shale_err_set(err, ENOMEM, "open handles");
	pthread_mutex_init(&handles->lock, NULL);
	handles->fd = openat(
		dirfd, "handles",
		O_RDWR | O_CREAT | O_CLOEXEC | (fresh ? O_TRUNC : 0), 0600);
	struct stat st;
	if (handles->fd < 0 || fstat(handles->fd, &st) < 0)
		return shale_err_set(err, errno, "open 'handles'");
	uint64_t n = (uint64_t)st.st_size / sizeof(struct place);
	handles->n = n < PLACES_MAX ? (uint32_t)n : PLACES_MAX;

	/* All of the address space at once: places never move. */
	void *at = mmap(NULL, PLACES_MAX * sizeof(struct place),
			PROT_READ | PROT_WRITE, MAP_SHARED, handles->fd, 0);
	if (at == MAP_FAILED)
		return shale_err_set(err, errno, "map 'handles'");
	handles->places = at;
	int r = load(handles);
	/* Not at the first open of a file: the disk may have to be asked. */
	if (r == 0 && !handles->n)
		r = grow(handles);
	if (r < 0)
		return shale_err_set(err, -r, "open 'handles'");
	*out = steal_ptr(&handles);
	return 0;
}

void shale_handles_close(struct shale_handles *handles)
{
	if (!handles)
		return;
	if (handles->places)
		munmap(handles->places, PLACES_MAX * sizeof(struct place));
	if (handles->fd >= 0)
		close(handles->fd);
	free(handles->free);
	shale_map64_release(&handles->count);
	shale_map64_release(&handles->of_unique);
	pthread_mutex_destroy(&handles->lock);
	free(handles);
}

/* ------------------------------------------------------ taking, clearing */

static int take(struct shale_handles *handles, uint64_t ino, uint64_t unique,
		uint64_t *slot)
{
	uint64_t had =
		unique ? shale_map64_get(&handles->of_unique, unique) : 0;
	if (had) {
		struct place *place = place_of(handles, had - 1);
		if (place && atomic_load(&place->ino) == ino) {
			*slot = had - 1;
			return 0;
		}
	}
	int r = reserve_maps(handles);
	if (r == 0 && !handles->n_free)
		r = grow(handles);
	if (r < 0)
		return r;

	uint32_t at = handles->free[--handles->n_free];
	struct place *place = &handles->places[at];
	place->taken++;
	place->unique = unique;
	atomic_store(&place->note, 0);
	atomic_store(&place->ino, ino);
	remember(handles, at);
	*slot = slot_of(handles, at);
	return 0;
}

int shale_handles_take(struct shale_handles *handles, uint64_t ino,
		       uint64_t unique, uint64_t *slot)
{
	if (!ino)
		return -EINVAL;
	pthread_mutex_lock(&handles->lock);
	int r = take(handles, ino, unique, slot);
	pthread_mutex_unlock(&handles->lock);
	return r;
}

void shale_handles_clear(struct shale_handles *handles, uint64_t slot)
{
	pthread_mutex_lock(&handles->lock);
	struct place *place = place_of(handles, slot);
	uint64_t ino = place ? atomic_exchange(&place->ino, 0) : 0;
	if (ino) {
		if (shale_map64_get(&handles->of_unique, place->unique) ==
		    slot + 1)
			shale_map64_set(&handles->of_unique, place->unique, 0);
		shale_map64_set(&handles->count, ino,
				shale_map64_get(&handles->count, ino) - 1);
		handles->free[handles->n_free++] = (uint32_t)slot;
	}
	pthread_mutex_unlock(&handles->lock);
}

uint64_t shale_handles_ino(struct shale_handles *handles, uint64_t slot)
{
	pthread_mutex_lock(&handles->lock);
	struct place *place = place_of(handles, slot);
	uint64_t ino = place ? atomic_load(&place->ino) : 0;
	pthread_mutex_unlock(&handles->lock);
	return ino;
}

void shale_handles_note(struct shale_handles *handles, uint64_t slot,
			uint32_t note)
{
	pthread_mutex_lock(&handles->lock);
	struct place *place = place_of(handles, slot);
	if (place && atomic_load(&place->ino))
		atomic_store(&place->note, note);
	pthread_mutex_unlock(&handles->lock);
}

uint32_t shale_handles_noted(struct shale_handles *handles, uint32_t bits)
{
	uint32_t count = 0;

	pthread_mutex_lock(&handles->lock);
	for (uint32_t at = 0; at < handles->n; at++) {
		struct place *place = &handles->places[at];
		count += atomic_load(&place->ino) &&
			 atomic_load(&place->note) & bits;
	}
	pthread_mutex_unlock(&handles->lock);
	return count;
}

uint32_t shale_handles_find(struct shale_handles *handles, uint64_t ino,
			    uint32_t bits)
{
	uint32_t found = 0;

	pthread_mutex_lock(&handles->lock);
	for (uint32_t at = 0; at < handles->n && !found; at++) {
		struct place *place = &handles->places[at];
		uint32_t note = atomic_load(&place->note);
		if (atomic_load(&place->ino) == ino && note & bits)
			found = note;
	}
	pthread_mutex_unlock(&handles->lock);
	return found;
}

uint32_t shale_handles_count(struct shale_handles *handles, uint64_t ino)
{
	pthread_mutex_lock(&handles->lock);
	uint64_t count = shale_map64_get(&handles->count, ino);
	pthread_mutex_unlock(&handles->lock);
	return (uint32_t)count;
}

bool shale_handles_held(struct shale_handles *handles, uint64_t ino)
{
	return shale_handles_count(handles, ino) != 0;
}
