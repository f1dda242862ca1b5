/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/workspace/journal.h"

#include "fs/workspace/journal_disk.h"
#include "fs/workspace/journal_impl.h"
#include "layers/base/cleanup.h"
#include "layers/base/io.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/statvfs.h>

enum {
	AHEAD = 4 << 20,      /* bytes allocated at a time */
	AHEAD_MIN = 64 << 10, /* when there is no room for that */
	RESERVE = 8 << 20,
	ZEROS = 4096,
	ZEROS_AHEAD = 16,  /* times that at a time, … */
	ZEROS_MOST = 128,  /* or up to this */
	RECORDS_AHEAD = 8, /* for so many of the present one */
	PLENTY = 64 << 20
};

static struct shale_segment *last(struct shale_journal *j)
{
	return &j->seg[j->n - 1];
}

void shale_segment_name(char name[SHALE_SEGMENT_NAME], uint64_t start)
{
	snprintf(name, SHALE_SEGMENT_NAME, "journal.%016llx",
		 (unsigned long long)start);
}

int shale_journal_add(struct shale_journal *j, uint64_t start, int fd)
{
	if (j->n == j->cap) {
		size_t cap = j->cap ? 2 * j->cap : 8;
		void *seg = realloc(j->seg, cap * sizeof(*j->seg));
		if (!seg)
			return -ENOMEM;
		j->seg = seg;
		j->cap = cap;
	}
	j->seg[j->n++] = (struct shale_segment){start, fd};
	return 0;
}

/* ------------------------------------------------------------- reserve */

bool shale_journal_free_reserve(struct shale_journal *j)
{
	return unlinkat(j->dirfd, "reserve", 0) == 0;
}

void shale_journal_keep_reserve(struct shale_journal *j)
{
	struct stat st;
	if (fstatat(j->dirfd, "reserve", &st, 0) == 0 && st.st_size == RESERVE)
		return;

	/* Marked complete by its name: a crash in between leaves no false one.
	 */
	cleanup_fd int fd =
		openat(j->dirfd, "reserve.tmp",
		       O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	if (fallocate(fd, 0, 0, RESERVE) < 0 ||
	    renameat(j->dirfd, "reserve.tmp", j->dirfd, "reserve") < 0)
		unlinkat(j->dirfd, "reserve.tmp", 0);
}

/* ------------------------------------------------------------ appending */

/*
 * What the journal holds has to be applied before it can go: the database needs
 * room for that, pages that are copied when they change included.
 */
static bool room_to_apply(const struct shale_journal *j)
{
	struct statvfs fs;

	return fstatvfs(j->dirfd, &fs) < 0 ||
	       (uint64_t)fs.f_bavail * fs.f_frsize >= 2 * (j->end - j->dropped);
}

/*
 * Allocate space so that `end` may be written.  File systems without fallocate
 * find out at the write.
 */
static int allocate(struct shale_journal *j, uint64_t end, bool reserve)
{
	uint64_t step = AHEAD;

	if (!reserve && !room_to_apply(j))
		return -ENOSPC;
	for (;;) {
		uint64_t to =
			end > j->allocated + step ? end : j->allocated + step;
		uint64_t start = last(j)->start;
		if (fallocate(last(j)->fd, FALLOC_FL_KEEP_SIZE,
			      (off_t)(j->allocated - start),
			      (off_t)(to - j->allocated)) == 0 ||
		    errno == EOPNOTSUPP) {
			j->allocated = to;
			return 0;
		}
		if (errno == EINTR)
			continue;
		if (errno != ENOSPC && errno != EDQUOT)
			return -errno;
		int r = -errno;
		if (step > AHEAD_MIN)
			step = AHEAD_MIN;
		else if (!reserve || !shale_journal_free_reserve(j))
			return r;
	}
}

static int rotate(struct shale_journal *j)
{
	char name[SHALE_SEGMENT_NAME];
	shale_segment_name(name, j->end);

	cleanup_fd int fd = openat(
		j->dirfd, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	/* What was allocated ahead in the old one goes with it. */
	int r = shale_journal_add(j, j->end, fd);
	if (r < 0) {
		unlinkat(j->dirfd, name, 0);
		return r;
	}
	steal_fd(&fd);
	shale_journal_unmap(j);
	j->allocated = j->zeroed = j->end;
	j->new_names = true;
	return 0;
}

static int make_room(struct shale_journal *j, size_t len, bool reserve)
{
	if (j->end > last(j)->start &&
	    j->end + len > last(j)->start + SHALE_JOURNAL_SEGMENT) {
		int r = rotate(j);
		if (r == -ENOSPC && reserve && shale_journal_free_reserve(j))
			r = rotate(j);
		if (r < 0)
			return r;
	}
	if (j->end + len <= j->allocated)
		return 0;
	return allocate(j, j->end + len, reserve);
}

/*
 * Write zeros where the next records will be.  One flush makes them, the new
 * size and the extents that were only allocated durable, and the many that
 * follow write over what is there: that costs two thirds.  To a reader zeros
 * are the end.  If they cannot be written, nothing is lost.
 */
static void zero_ahead(struct shale_journal *j, size_t len)
{
	static const uint8_t zeros[ZEROS];
	struct iovec iov[ZEROS_MOST];
	uint64_t start = last(j)->start;

	if (j->end + len <= j->zeroed)
		return;
	uint64_t from = j->zeroed > j->end ? j->zeroed : j->end;
	uint64_t want = RECORDS_AHEAD * len / ZEROS;
	if (want < ZEROS_AHEAD)
		want = ZEROS_AHEAD;
	if (want > ZEROS_MOST)
		want = ZEROS_MOST;
	uint64_t room = j->allocated > from ? (j->allocated - from) / ZEROS : 0;
	int n = (int)(want < room ? want : room);
	for (int i = 0; i < n; i++)
		iov[i] = (struct iovec){(void *)(uintptr_t)zeros, ZEROS};
	ssize_t done =
		n ? pwritev(last(j)->fd, iov, n, (off_t)(from - start)) : 0;
	j->zeroed = from + (done > 0 ? (uint64_t)done : 0);
}

static int write_scratch(struct shale_journal *j, bool follows,
			 struct shale_err *err)
{
	uint64_t off = j->end - last(j)->start;
	if (follows && shale_journal_store(j))
		return 0;
	int r = shale_pwrite_full(last(j)->fd, j->scratch.data, j->scratch.len,
				  off, "journal", err);
	if (r == 0)
		return 0;
	j->allocated = j->zeroed = j->end;
	if (ftruncate(last(j)->fd, (off_t)off) < 0)
		j->failed = r;
	return r;
}

static int append_locked(struct shale_journal *j, struct shale_record *record,
			 bool reserve, struct shale_err *err)
{
	if (j->failed)
		return shale_err_set(
			err, -j->failed,
			"the journal has failed and takes no change");
	record->start = j->end;
	record->durable = j->durable;
	j->scratch.len = 0;
	if (shale_record_encode(record, &j->scratch) < 0)
		return shale_err_set(err, ENOMEM, "journal");
	if (j->scratch.len > SHALE_JOURNAL_RECORD_MAX)
		return shale_err_set(err, E2BIG, "journal");

	int r = make_room(j, j->scratch.len, reserve);
	if (r < 0)
		return shale_err_set(err, -r, "extend the journal");
	zero_ahead(j, j->scratch.len);
	r = write_scratch(j, record->follows, err);
	if (r < 0)
		return r;
	j->end += j->scratch.len;
	record->end = j->end;
	return 0;
}

int shale_journal_append(struct shale_journal *j, struct shale_record *record,
			 bool reserve, struct shale_err *err)
{
	pthread_mutex_lock(&j->lock);
	int r = append_locked(j, record, reserve, err);
	pthread_mutex_unlock(&j->lock);
	return r;
}

/* -------------------------------------------------------------- flushing */

/* The oldest segment that is not durable, and where it ends. */
static int oldest_dirty(struct shale_journal *j, uint64_t *end)
{
	size_t i = 0;
	while (i + 1 < j->n && j->seg[i + 1].start <= j->durable)
		i++;
	*end = i + 1 < j->n ? j->seg[i + 1].start : j->end;
	return j->seg[i].fd;
}

/* One step, lock held, released around the system calls. */
static int sync_step(struct shale_journal *j)
{
	uint64_t end;
	int fd = oldest_dirty(j, &end);
	bool names = j->new_names;

	j->syncing = true;
	j->new_names = false;
	pthread_mutex_unlock(&j->lock);
	/* A segment is dropped only below `durable`: fd stays open. */
	int r = fdatasync(fd) < 0 ? -errno : 0;
	if (r == 0 && names && fsync(j->dirfd) < 0)
		r = -errno;
	pthread_mutex_lock(&j->lock);

	j->syncing = false;
	if (r == 0) {
		j->durable = end;
	} else { /* the kernel may call the pages clean now: never ask again */
		j->failed = r;
		shale_journal_note_failed(j);
	}
	pthread_cond_broadcast(&j->synced);
	return r;
}

int shale_journal_sync(struct shale_journal *j, uint64_t pos,
		       struct shale_err *err)
{
	int r = 0;

	pthread_mutex_lock(&j->lock);
	assert(pos <= j->end);
	while (r == 0 && j->durable < pos) {
		if (j->failed)
			r = j->failed;
		else if (j->syncing)
			pthread_cond_wait(&j->synced, &j->lock);
		else
			r = sync_step(j);
	}
	pthread_mutex_unlock(&j->lock);
	return r < 0 ? shale_err_set(err, -r, "flush the journal") : 0;
}

/* On a full disk what is not needed yet is left to others. */
static bool plenty_of_room(const struct shale_journal *j)
{
	struct statvfs fs;

	return fstatvfs(j->dirfd, &fs) == 0 &&
	       (uint64_t)fs.f_bavail * fs.f_frsize >= PLENTY;
}

void shale_journal_prepare(struct shale_journal *j)
{
	pthread_mutex_lock(&j->lock);
	if ((j->zeroed <= j->end || j->new_names) && !j->failed &&
	    !j->syncing && plenty_of_room(j) && make_room(j, 1, false) == 0) {
		zero_ahead(j, 1);
		sync_step(j);
	}
	pthread_mutex_unlock(&j->lock);
}

/* --------------------------------------------------------------- reading */

int shale_journal_read(struct shale_journal *j, uint64_t from, uint64_t to,
		       shale_record_fn *fn, void *arg, struct shale_err *err)
{
	while (from < to) {
		pthread_mutex_lock(&j->lock);
		size_t i = j->n - 1;
		while (i > 0 && j->seg[i].start > from)
			i--;
		struct shale_segment seg = j->seg[i];
		pthread_mutex_unlock(&j->lock);

		uint64_t end;
		int r = shale_segment_read(seg.fd, seg.start, from, to, fn, arg,
					   &end, err);
		if (r < 0)
			return r;
		if (end == from)
			return shale_err_say(err, EUCLEAN,
					     "the journal is damaged at "
					     "position %llu",
					     (unsigned long long)from);
		from = end;
	}
	return 0;
}

/* Take the segments below `pos` off the list; `*gone` is the caller's. */
static size_t take_dropped(struct shale_journal *j, uint64_t pos,
			   struct shale_segment **gone)
{
	size_t n = 0;

	while (n + 1 < j->n && j->seg[n + 1].start <= pos &&
	       j->seg[n + 1].start <= j->durable)
		n++;
	*gone = n ? malloc(n * sizeof(**gone)) : NULL;
	if (!*gone)
		return 0; /* no memory: the next time */
	memcpy(*gone, j->seg, n * sizeof(*j->seg));
	j->n -= n;
	memmove(j->seg, j->seg + n, j->n * sizeof(*j->seg));
	return n;
}

void shale_journal_drop(struct shale_journal *j, uint64_t pos)
{
	cleanup_free struct shale_segment *gone = NULL;

	pthread_mutex_lock(&j->lock);
	size_t n = take_dropped(j, pos, &gone);
	if (j->dropped < pos)
		j->dropped = pos;
	/* Go on in a new one, so that this one can go after the next mark. */
	if (pos > last(j)->start + AHEAD && !j->failed)
		rotate(j);
	pthread_mutex_unlock(&j->lock);
	/* Nobody who appends waits while the host frees them. */
	for (size_t i = 0; i < n; i++) {
		char name[SHALE_SEGMENT_NAME];
		shale_segment_name(name, gone[i].start);
		unlinkat(j->dirfd, name, 0);
		close(gone[i].fd);
	}
}

uint64_t shale_journal_end(struct shale_journal *j)
{
	pthread_mutex_lock(&j->lock);
	uint64_t end = j->end;
	pthread_mutex_unlock(&j->lock);
	return end;
}

uint64_t shale_journal_bytes(struct shale_journal *j)
{
	pthread_mutex_lock(&j->lock);
	uint64_t bytes = j->end - j->seg[0].start;
	pthread_mutex_unlock(&j->lock);
	return bytes;
}
