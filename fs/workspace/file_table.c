/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/workspace/file_table.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SPARE = 32 }; /* descriptors that are for others */

void shale_file_table_init(struct shale_file_table *table, int dirfd)
{
	*table = (struct shale_file_table){.dirfd = dirfd};
	pthread_mutex_init(&table->lock, NULL);
}

void shale_file_table_release(struct shale_file_table *table)
{
	for (size_t i = 0; i < SHALE_FILE_BUCKETS; i++) {
		struct shale_file *file;
		while ((file = table->bucket[i])) {
			table->bucket[i] = file->next;
			if (file->fd >= 0)
				close(file->fd);
			free(file);
		}
	}
	pthread_mutex_destroy(&table->lock);
}

void shale_file_name(char name[SHALE_FILE_NAME], uint64_t ino, uint32_t epoch)
{
	snprintf(name, SHALE_FILE_NAME, "%02x/%llx.%x", (unsigned)(ino & 255),
		 (unsigned long long)ino, epoch);
}

/* -------------------------------------------------- entries, lock held */

static struct shale_file **bucket_of(struct shale_file_table *table,
				     uint64_t ino, uint32_t epoch)
{
	uint64_t mixed = (ino ^ (uint64_t)epoch << 40) * 0x9e3779b97f4a7c15u;
	return &table->bucket[mixed >> 52];
}
static_assert(SHALE_FILE_BUCKETS == 1 << 12, "64 - 52 bits of the product");

static void list_remove(struct shale_file_table *table, struct shale_file *file)
{
	*(file->older ? &file->older->newer : &table->oldest) = file->newer;
	*(file->newer ? &file->newer->older : &table->newest) = file->older;
}

static void list_append(struct shale_file_table *table, struct shale_file *file)
{
	file->older = table->newest;
	file->newer = NULL;
	*(file->older ? &file->older->newer : &table->oldest) = file;
	table->newest = file;
}

static struct shale_file *find(struct shale_file_table *table, uint64_t ino,
			       uint32_t epoch)
{
	struct shale_file *file = *bucket_of(table, ino, epoch);
	while (file && (file->ino != ino || file->epoch != epoch))
		file = file->next;
	return file;
}

static struct shale_file *find_or_add(struct shale_file_table *table,
				      uint64_t ino, uint32_t epoch)
{
	struct shale_file *file = find(table, ino, epoch);
	if (file) {
		if (file->fd >= 0) {
			list_remove(table, file);
			list_append(table, file);
		}
		return file;
	}
	file = calloc(1, sizeof(*file));
	if (!file)
		return NULL;
	file->ino = ino;
	file->epoch = epoch;
	file->fd = -1;
	struct shale_file **bucket = bucket_of(table, ino, epoch);
	file->next = *bucket;
	*bucket = file;
	return file;
}

static void free_if_idle(struct shale_file_table *table,
			 struct shale_file *file)
{
	if (file->users || file->fd >= 0 || file->written != file->flushed ||
	    file->failed || file->remove || file->made || file->kept)
		return;
	struct shale_file **link = bucket_of(table, file->ino, file->epoch);
	while (*link != file)
		link = &(*link)->next;
	*link = file->next;
	free(file);
}

void shale_file_flushed(struct shale_file *file, uint64_t written)
{
	if (file->flushed < written)
		file->flushed = written;
	shale_dirty_clean(&file->dirty, written);
	file->untold = file->kept;
}

void shale_file_shut(struct shale_file_table *table, struct shale_file *file)
{
	if (file->fd < 0)
		return;
	close(file->fd);
	file->fd = -1;
	list_remove(table, file);
	table->n_open--;
}

/* Close what was not used for longest, down to `max`. */
static void close_some(struct shale_file_table *table, size_t max)
{
	struct shale_file *file = table->oldest;
	while (file && table->n_open > max) {
		struct shale_file *newer = file->newer;
		if (!file->users) {
			shale_file_shut(table, file);
			free_if_idle(table, file);
		}
		file = newer;
	}
}

/* How many may stay open, when a file has just got `fd`. */
static size_t bound(const struct shale_file_table *table, int fd)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 ||
	    (rlim_t)fd + SPARE < limit.rlim_cur)
		return SHALE_FILE_OPEN_MAX;
	return table->n_open > SPARE ? table->n_open - SPARE : 1;
}

void shale_file_table_spare(struct shale_file_table *table)
{
	pthread_mutex_lock(&table->lock);
	close_some(table, 0);
	pthread_mutex_unlock(&table->lock);
}

/* ------------------------------------------------------------- using them */

/* -EEXIST, -ENOENT: the directory is not there. */
static int make_file(int dirfd, const char *name, int flags)
{
	int fd = openat(dirfd, name, flags | O_CREAT | O_EXCL, 0600);
	if (fd < 0 && errno == ENOENT) {
		char dir[3] = {name[0], name[1], 0};
		if (mkdirat(dirfd, dir, 0700) < 0 && errno != EEXIST)
			return -errno;
		fd = openat(dirfd, name, flags | O_CREAT | O_EXCL, 0600);
	}
	return fd < 0 ? -errno : fd;
}

/*
 * Open it, or make it; `first`: try to make it before looking for it.  Two
 * threads may be at it: what the other made is there the next time.
 */
static int open_file(struct shale_file_table *table, uint64_t ino,
		     uint32_t epoch, bool make, bool first, bool *made)
{
	char name[SHALE_FILE_NAME];
	shale_file_name(name, ino, epoch);
	const int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW;
	int fd = -EEXIST;

	if (make && first)
		fd = make_file(table->dirfd, name, flags);
	if (fd == -EEXIST) {
		first = false;
		fd = openat(table->dirfd, name, flags);
		if (fd < 0)
			fd = -errno;
	}
	if (make && fd == -ENOENT) {
		fd = make_file(table->dirfd, name, flags);
		first = true;
	}
	*made = make && first && fd >= 0;
	return fd;
}

int shale_file_acquire(struct shale_file_table *table, uint64_t ino,
		       uint32_t epoch, bool make, struct shale_file **out)
{
	pthread_mutex_lock(&table->lock);
	struct shale_file *file = find_or_add(table, ino, epoch);
	int fd = file ? file->fd : -1;
	/* What was never written through this entry is new, most likely. */
	bool first = file && !file->written;
	if (file)
		file->users++;
	pthread_mutex_unlock(&table->lock);
	if (!file)
		return -ENOMEM;
	if (fd >= 0) {
		*out = file;
		return 0;
	}

	bool made = false;
	fd = open_file(table, ino, epoch, make, first, &made);
	if (fd == -EMFILE || fd == -ENFILE) {
		shale_file_table_spare(table);
		fd = open_file(table, ino, epoch, make, first, &made);
	}
	if (fd < 0) {
		shale_file_release(table, file);
		return fd;
	}
	pthread_mutex_lock(&table->lock);
	file->made |= made;
	if (file->fd < 0) {
		file->fd = fd;
		list_append(table, file);
		table->n_open++;
		close_some(table, bound(table, fd));
		fd = -1;
	}
	pthread_mutex_unlock(&table->lock);
	if (fd >= 0) /* another thread was faster */
		close(fd);
	*out = file;
	return 0;
}

struct shale_file *shale_file_peek(struct shale_file_table *table, uint64_t ino,
				   uint32_t epoch)
{
	pthread_mutex_lock(&table->lock);
	struct shale_file *file = find(table, ino, epoch);
	if (file)
		file->users++;
	pthread_mutex_unlock(&table->lock);
	return file;
}

struct shale_file *shale_file_enter(struct shale_file_table *table,
				    uint64_t ino, uint32_t epoch)
{
	pthread_mutex_lock(&table->lock);
	struct shale_file *file = find_or_add(table, ino, epoch);
	if (file)
		file->users++;
	pthread_mutex_unlock(&table->lock);
	return file;
}

void shale_file_release(struct shale_file_table *table, struct shale_file *file)
{
	if (!file)
		return;
	pthread_mutex_lock(&table->lock);
	file->users--;
	free_if_idle(table, file);
	pthread_mutex_unlock(&table->lock);
}

int shale_file_collect(struct shale_file_table *table,
		       bool (*want)(const struct shale_file *file, void *arg),
		       void *arg, struct shale_file ***list, size_t *n)
{
	size_t count = 0;
	int r = 0;

	*list = NULL;
	*n = 0;
	pthread_mutex_lock(&table->lock);
	for (size_t i = 0; i < SHALE_FILE_BUCKETS; i++)
		for (struct shale_file *f = table->bucket[i]; f; f = f->next)
			count += want(f, arg);
	if (count) {
		*list = malloc(count * sizeof(**list));
		r = *list ? 0 : -ENOMEM;
	}
	for (size_t i = 0; i < SHALE_FILE_BUCKETS && r == 0; i++)
		for (struct shale_file *f = table->bucket[i]; f; f = f->next) {
			if (!want(f, arg))
				continue;
			f->users++;
			(*list)[(*n)++] = f;
		}
	pthread_mutex_unlock(&table->lock);
	return r;
}
