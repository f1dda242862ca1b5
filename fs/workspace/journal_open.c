/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/workspace/journal_disk.h"
#include "fs/workspace/journal_impl.h"
#include "layers/base/cleanup.h"
#include "layers/base/io.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

SHALE_DEFINE_CLEANUP(dir, DIR *, closedir);

/* "journal." and 16 lower-case hex digits. */
static bool parse_name(const char *name, uint64_t *start)
{
	if (strncmp(name, "journal.", 8) != 0 ||
	    strspn(name + 8, "0123456789abcdef") != 16 || name[24])
		return false;
	*start = strtoull(name + 8, NULL, 16);
	return *start <= INT64_MAX;
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

/* Starts of all segments, sorted, as uint64_t. */
static int list_segments(int dirfd, struct shale_buf *starts,
			 struct shale_err *err)
{
	cleanup_fd int fd =
		openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	SHALE_CLEANUP(shale_cleanup_dir)
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		return shale_err_set(err, errno, "read the workspace");
	steal_fd(&fd);

	struct dirent *entry;
	uint64_t start;
	while ((errno = 0, entry = readdir(dir)))
		if (parse_name(entry->d_name, &start) &&
		    shale_buf_append(starts, &start, sizeof(start)) < 0)
			return shale_err_set(err, ENOMEM, "read the workspace");
	if (errno)
		return shale_err_set(err, errno, "read the workspace");
	if (starts->len)
		qsort(starts->data, starts->len / sizeof(start), sizeof(start),
		      by_number);
	return 0;
}

int shale_journal_make(int dirfd, struct shale_err *err)
{
	cleanup_buf struct shale_buf starts = {0};
	int r = list_segments(dirfd, &starts, err);
	if (r < 0)
		return r;

	char name[SHALE_SEGMENT_NAME];
	struct stat st;
	shale_segment_name(name, 0);
	/* One empty first segment: we were here before and died. */
	if (starts.len > sizeof(uint64_t) ||
	    (starts.len && (fstatat(dirfd, name, &st, 0) < 0 || st.st_size)))
		return shale_err_say(err, EEXIST,
				     "there is a journal, but its database "
				     "is missing");
	cleanup_fd int fd =
		openat(dirfd, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || fsync(fd) < 0)
		return shale_err_set(err, errno, "make '%s'", name);
	return shale_dir_sync(dirfd, "workspace", err);
}

/*
 * The record at `at`, in segment `i`, is not valid: is that the end?  On a
 * machine that stayed up, only what was being written can be torn, so anything
 * valid behind it means damage.  After a power cut pages may have reached the
 * disk in any order; only a record that knew `at` to be durable proves damage.
 */
static int check_end(struct shale_journal *j, size_t i, uint64_t at,
		     bool power_cut, struct shale_err *err)
{
	for (; i < j->n; i++) {
		struct shale_segment *seg = &j->seg[i];
		uint64_t from = at + 1 > seg->start ? at + 1 : seg->start;
		bool more;
		int r = shale_segment_more(seg->fd, seg->start, from,
					   power_cut ? at + 1 : 0, &more, err);
		if (r < 0)
			return r;
		if (more)
			return shale_err_say(
				err, EUCLEAN,
				"the journal is damaged at position %llu: "
				"there are good records behind it",
				(unsigned long long)at);
	}
	return 0;
}

/* Drop segments from `i` on: they lie behind the end. */
static void forget_from(struct shale_journal *j, size_t i)
{
	for (size_t k = i; k < j->n; k++) {
		char name[SHALE_SEGMENT_NAME];
		shale_segment_name(name, j->seg[k].start);
		unlinkat(j->dirfd, name, 0);
		close(j->seg[k].fd);
	}
	j->n = i;
}

/*
 * After a power cut the end is to stay where it was found: what is cut off
 * would fit behind new records, should it come back by another one.
 */
static int keep_end(struct shale_journal *j, struct shale_err *err)
{
	unlinkat(j->dirfd, "journal.failed", 0); /* what it means is gone */
	if (fsync(j->seg[j->n - 1].fd) < 0)
		return shale_err_set(err, errno, "flush the journal");
	return shale_dir_sync(j->dirfd, "journal", err);
}

/* Read from `from` to the end, across segments. */
static int find_end(struct shale_journal *j, uint64_t from, bool power_cut,
		    shale_record_fn *fn, void *arg, struct shale_err *err)
{
	size_t i = 0;
	uint64_t at = from;

	for (;; i++) {
		int r = shale_segment_read(j->seg[i].fd, j->seg[i].start, at,
					   UINT64_MAX, fn, arg, &at, err);
		if (r < 0)
			return r;
		if (i + 1 == j->n || j->seg[i + 1].start != at)
			break;
	}
	int r = check_end(j, i, at, power_cut, err);
	if (r < 0)
		return r;
	/* An empty segment behind a torn end was made for what is not there. */
	forget_from(j, i + 1);
	j->end = j->allocated = j->zeroed = at;
	return 0;
}

/* What is torn must not look like damage once more was appended. */
static int cut_off(struct shale_journal *j, struct shale_err *err)
{
	const struct shale_segment *last = &j->seg[j->n - 1];

	return ftruncate(last->fd, (off_t)(j->end - last->start)) < 0
		       ? shale_err_set(err, errno, "truncate the journal")
		       : 0;
}

/* Open the segments that hold `from` and what follows; remove older ones. */
static int open_segments(struct shale_journal *j, uint64_t from,
			 struct shale_err *err)
{
	cleanup_buf struct shale_buf starts = {0};
	int r = list_segments(j->dirfd, &starts, err);
	if (r < 0)
		return r;

	const uint64_t *start = (const uint64_t *)(void *)starts.data;
	size_t n = starts.len / sizeof(*start), first = n;
	while (first > 0 && start[first - 1] > from)
		first--;
	if (first == 0)
		return shale_err_say(err, EUCLEAN,
				     "the journal has no position %llu",
				     (unsigned long long)from);
	for (size_t i = 0; i < n; i++) {
		char name[SHALE_SEGMENT_NAME];
		shale_segment_name(name, start[i]);
		if (i + 1 < first) {
			unlinkat(j->dirfd, name, 0);
			continue;
		}
		cleanup_fd int fd = openat(j->dirfd, name, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			return shale_err_set(err, errno, "open '%s'", name);
		r = shale_journal_add(j, start[i], fd);
		if (r < 0)
			return shale_err_set(err, ENOMEM, "open the journal");
		steal_fd(&fd);
	}
	struct stat st;
	if (fstat(j->seg[0].fd, &st) < 0)
		return shale_err_set(err, errno, "open the journal");
	if (j->seg[0].start + (uint64_t)st.st_size < from)
		return shale_err_say(err, EUCLEAN,
				     "the journal ends before position %llu, "
				     "up to which it was applied",
				     (unsigned long long)from);
	return 0;
}

SHALE_DEFINE_CLEANUP(journal, struct shale_journal *, shale_journal_close);

int shale_journal_open(struct shale_journal **out, int dirfd, uint64_t from,
		       bool power_cut, shale_record_fn *fn, void *arg,
		       struct shale_err *err)
{
	SHALE_CLEANUP(shale_cleanup_journal)
	struct shale_journal *j = calloc(1, sizeof(*j));
	if (!j)
		return shale_err_set(err, ENOMEM, "open the journal");
	j->dirfd = dirfd;
	pthread_mutex_init(&j->lock, NULL);
	pthread_cond_init(&j->synced, NULL);

	int r = open_segments(j, from, err);
	if (r == 0)
		r = find_end(j, from, power_cut, fn, arg, err);
	/* Before it is cut: of what could not be flushed there may be no other
	 * copy than the kernel's, which it calls clean, and drops when it is to
	 * cut a part of it off. */
	if (r == 0 && !power_cut)
		r = shale_journal_renew(j, from, err);
	if (r == 0)
		r = cut_off(j, err);
	if (r == 0 && power_cut)
		r = keep_end(j, err);
	if (r < 0)
		return r;
	/* What was written before us may not be on disk, nor its name. */
	j->durable = j->dropped = from;
	j->new_names = true;
	shale_journal_keep_reserve(j);
	*out = steal_ptr(&j);
	return 0;
}

void shale_journal_close(struct shale_journal *j)
{
	if (!j)
		return;
	shale_journal_unmap(j);
	for (size_t i = 0; i < j->n; i++)
		close(j->seg[i].fd);
	free(j->seg);
	shale_buf_release(&j->scratch);
	pthread_mutex_destroy(&j->lock);
	pthread_cond_destroy(&j->synced);
	free(j);
}
