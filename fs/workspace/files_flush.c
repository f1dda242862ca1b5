/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/workspace/files_impl.h"

#include "fs/workspace/file_failed.h"
#include "layers/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { FLUSH_MANY = 64 }; /* beyond this many files, syncfs */

/* Its name, and once the name of the directory that it is in. */
static int open_names(const struct shale_files *files, uint64_t ino)
{
	char dir[3];
	snprintf(dir, sizeof(dir), "%02x", (unsigned)(ino & 255));
	int fd = openat(files->dirfd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int sync_names(struct shale_files *files, uint64_t ino, int dir)
{
	bool *named = &files->table.named[ino & 255];

	if (fsync(dir) < 0)
		return -errno;

	pthread_mutex_lock(&files->table.lock);
	bool done = *named;
	pthread_mutex_unlock(&files->table.lock);
	if (done)
		return 0;
	if (fsync(files->dirfd) < 0)
		return -errno;
	pthread_mutex_lock(&files->table.lock);
	*named = true;
	pthread_mutex_unlock(&files->table.lock);
	return 0;
}

/*
 * fdatasync one file in use.  What was written when it begins is what it makes
 * clean; writes meanwhile stay dirty.
 */
static int sync_file(struct shale_files *files, struct shale_file *file,
		     struct shale_err *err)
{
	struct shale_file *opened = NULL;
	int r = 0;

	pthread_mutex_lock(&files->table.lock);
	uint64_t written = file->written;
	bool made = file->made;
	bool clean = !made && file->flushed == written;
	int failed = file->failed;
	pthread_mutex_unlock(&files->table.lock);
	if (failed)
		return shale_err_set(err, failed,
				     "an earlier flush of inode %llu failed",
				     (unsigned long long)file->ino);
	if (clean)
		return 0;

	r = shale_file_acquire(&files->table, file->ino, file->epoch, false,
			       &opened);
	cleanup_fd int dir = r == 0 && made ? open_names(files, file->ino) : -1;
	if (r == 0 && made && dir < 0) {
		shale_file_release(&files->table, opened);
		r = dir;
	}
	if (r < 0) /* nothing was tried: it is as dirty as before */
		return shale_err_set(err, -r, "flush data of inode %llu",
				     (unsigned long long)file->ino);
	if (fdatasync(opened->fd) < 0)
		r = -errno;
	if (r == 0 && made)
		r = sync_names(files, file->ino, dir);
	shale_file_release(&files->table, opened);

	if (r < 0) {
		shale_file_fail(&files->table, file, -r);
		return shale_err_set(err, -r, "flush data of inode %llu",
				     (unsigned long long)file->ino);
	}
	pthread_mutex_lock(&files->table.lock);
	shale_file_flushed(file, written);
	if (made)
		file->made = false;
	pthread_mutex_unlock(&files->table.lock);
	return 0;
}

int shale_files_sync(struct shale_files *files, uint64_t ino, uint32_t epoch,
		     struct shale_err *err)
{
	struct shale_file *file = shale_file_peek(&files->table, ino, epoch);
	int r = file ? sync_file(files, file, err) : 0;
	shale_file_release(&files->table, file);
	return r;
}

/* Of what goes when batches up to there are applied, nothing counts by then. */
static bool is_dirty(const struct shale_file *file, void *arg)
{
	if (shale_file_is_due(file, arg))
		return false;
	return file->written != file->flushed || file->made || file->failed;
}

/* syncfs for all of `list`; on failure nobody knows which of them failed. */
static int sync_all(struct shale_files *files, struct shale_file **list,
		    size_t n, struct shale_err *err)
{
	cleanup_free uint64_t *written = calloc(n, sizeof(*written));
	int r = 0, failed = 0;
	if (!written)
		return shale_err_set(err, ENOMEM, "flush data files");

	pthread_mutex_lock(&files->table.lock);
	for (size_t i = 0; i < n; i++) {
		written[i] = list[i]->written;
		if (list[i]->failed)
			failed = list[i]->failed;
	}
	pthread_mutex_unlock(&files->table.lock);
	if (failed)
		return shale_err_set(err, failed, "an earlier flush failed");

	if (syncfs(files->dirfd) < 0)
		r = -errno;
	for (size_t i = 0; i < n && r < 0; i++)
		shale_file_fail(&files->table, list[i], -r);
	pthread_mutex_lock(&files->table.lock);
	for (size_t i = 0; i < n && r == 0; i++) {
		list[i]->made = false;
		shale_file_flushed(list[i], written[i]);
	}
	pthread_mutex_unlock(&files->table.lock);
	return r < 0 ? shale_err_set(err, -r, "flush data files") : 0;
}

int shale_files_flush(struct shale_files *files, uint64_t pos,
		      struct shale_err *err)
{
	cleanup_free struct shale_file **list = NULL;
	size_t n;
	int r = shale_file_collect(&files->table, is_dirty, &pos, &list, &n);
	if (r < 0)
		return shale_err_set(err, -r, "flush data files");

	if (n > FLUSH_MANY)
		r = sync_all(files, list, n, err);
	for (size_t i = 0; i < n && n <= FLUSH_MANY; i++) {
		int r2 = sync_file(files, list[i], r < 0 ? NULL : err);
		if (r == 0)
			r = r2;
	}
	for (size_t i = 0; i < n; i++)
		shale_file_release(&files->table, list[i]);
	return r;
}

static int flush_unknown(void *arg, uint64_t ino, uint32_t epoch)
{
	struct shale_files *files = arg;
	struct shale_file *file;

	int r = shale_file_acquire(&files->table, ino, epoch, false, &file);
	if (r < 0)
		return r;
	pthread_mutex_lock(&files->table.lock);
	file->written++; /* for all that is known */
	shale_dirty_all(&file->dirty, file->written);
	pthread_mutex_unlock(&files->table.lock);
	sync_file(files, file, NULL); /* its failure stays with the file */
	shale_file_release(&files->table, file);
	return 0;
}

int shale_files_flush_all(struct shale_files *files, struct shale_err *err)
{
	int r = shale_files_each(files, flush_unknown, files, err);
	if (r < 0)
		return shale_err_set(err, -r, "flush data files");
	return shale_files_flush(files, 0, err);
}

static int by_number(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;
	return *x < *y ? -1 : *x > *y;
}

int shale_files_failed(struct shale_files *files, uint64_t **inos, size_t *n)
{
	cleanup_free struct shale_file **list = NULL;
	size_t n_files = 0;

	int r = shale_file_collect(&files->table, shale_file_has_failed, NULL,
				   &list, &n_files);
	uint64_t *out = r < 0 ? NULL : calloc(n_files + 1, sizeof(*out));
	for (size_t i = 0; i < n_files; i++) {
		if (out)
			out[i] = list[i]->ino;
		shale_file_release(&files->table, list[i]);
	}
	if (!out)
		return r < 0 ? r : -ENOMEM;
	qsort(out, n_files, sizeof(*out), by_number);
	*n = 0;
	for (size_t i = 0; i < n_files; i++) /* one may have several epochs */
		if (i == 0 || out[i] != out[*n - 1])
			out[(*n)++] = out[i];
	*inos = out;
	return 0;
}

int shale_files_power_cut(struct shale_files *files, struct shale_err *err)
{
	return shale_file_forget_failed(&files->table, err);
}
