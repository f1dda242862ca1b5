/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/workspace/files.h"

#include "fs/workspace/file_failed.h"
#include "fs/workspace/file_table.h"
#include "fs/workspace/trash.h"
#include "layers/base/cleanup.h"
#include "layers/base/io.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

enum {
	FLUSH_MANY = 64,         /* beyond this many files, syncfs */
	NEARLY_FULL = 256 << 20, /* bytes left on the host */
};

struct shale_files {
	int dirfd; /* data/ */
	struct shale_trash *trash;
	struct shale_file_table table;
};

int shale_files_open(struct shale_files **out, int dirfd, struct shale_err *err)
{
	int r = shale_mkdir(dirfd, "data", 0700, err);
	if (r < 0)
		return r;
	cleanup_fd int fd =
		openat(dirfd, "data", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return shale_err_set(err, errno, "open 'data'");
	struct shale_files *files = calloc(1, sizeof(*files));
	if (!files)
		return shale_err_set(err, ENOMEM, "open 'data'");
	files->dirfd = steal_fd(&fd);
	shale_file_table_init(&files->table, files->dirfd);
	r = shale_file_load_failed(&files->table, err);
	if (r == 0)
		r = shale_trash_new(&files->trash, files->dirfd, err);
	if (r < 0) {
		shale_files_close(files);
		return r;
	}
	*out = files;
	return 0;
}

void shale_files_close(struct shale_files *files)
{
	if (!files)
		return;
	shale_file_table_release(&files->table);
	shale_trash_free(files->trash);
	close(files->dirfd);
	free(files);
}

/* ------------------------------------------------------- reading, writing */

int shale_files_write(struct shale_files *files, uint64_t ino, uint32_t epoch,
		      const void *data, size_t len, uint64_t off,
		      struct shale_err *err)
{
	struct shale_file *file;
	int r = shale_file_acquire(&files->table, ino, epoch, true, &file);
	if (r < 0)
		return shale_err_set(err, -r, "data of inode %llu",
				     (unsigned long long)ino);

	r = shale_pwrite_full(file->fd, data, len, off, "data file", err);
	/* Counted when it is done, also if only a part was. */
	pthread_mutex_lock(&files->table.lock);
	file->written++;
	if (file->remove) {
		files->table.n_remove--;
		/* A killed process may have made it, and not flushed that. */
		file->made = true;
	}
	file->remove = false;
	pthread_mutex_unlock(&files->table.lock);
	shale_file_release(&files->table, file);
	return r;
}

int shale_files_read(struct shale_files *files, uint64_t ino, uint32_t epoch,
		     void *data, size_t len, uint64_t off,
		     struct shale_err *err)
{
	struct shale_file *file;
	uint8_t *at = data;

	int r = shale_file_acquire(&files->table, ino, epoch, false, &file);
	if (r == -ENOENT)
		return shale_err_say(err, EUCLEAN,
				     "the data of inode %llu is missing",
				     (unsigned long long)ino);
	if (r < 0)
		return shale_err_set(err, -r, "data of inode %llu",
				     (unsigned long long)ino);
	while (len) {
		ssize_t n = pread(file->fd, at, len, (off_t)off);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			r = shale_err_set(err, errno, "read data of inode %llu",
					  (unsigned long long)ino);
		if (n <= 0)
			break;
		at += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	if (r == 0)
		memset(at, 0, len);
	shale_file_release(&files->table, file);
	return r;
}

int shale_files_get(struct shale_files *files, uint64_t ino, uint32_t epoch,
		    int *fd, struct shale_err *err)
{
	char name[SHALE_FILE_NAME];
	shale_file_name(name, ino, epoch);
	int opened =
		openat(files->dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (opened < 0)
		return shale_err_set(err, errno, "open data of inode %llu",
				     (unsigned long long)ino);
	*fd = opened;
	return 0;
}

/* -------------------------------------------------------------- flushing */

/* Its name, and once the name of the directory that it is in. */
static int sync_names(struct shale_files *files, uint64_t ino)
{
	bool *named = &files->table.named[ino & 255];
	char dir[3];
	snprintf(dir, sizeof(dir), "%02x", (unsigned)(ino & 255));
	cleanup_fd int fd =
		openat(files->dirfd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) < 0)
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
	if (r < 0) /* nothing was tried: it is as dirty as before */
		return shale_err_set(err, -r, "flush data of inode %llu",
				     (unsigned long long)file->ino);
	if (fdatasync(opened->fd) < 0)
		r = -errno;
	if (r == 0 && made)
		r = sync_names(files, file->ino);
	shale_file_release(&files->table, opened);

	if (r < 0) {
		shale_file_fail(&files->table, file, -r);
		return shale_err_set(err, -r, "flush data of inode %llu",
				     (unsigned long long)file->ino);
	}
	pthread_mutex_lock(&files->table.lock);
	if (file->flushed < written)
		file->flushed = written;
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
	if (file->remove && file->remove_at <= *(uint64_t *)arg)
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
		if (list[i]->flushed < written[i])
			list[i]->flushed = written[i];
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

static bool has_failed(const struct shale_file *file, void *arg)
{
	(void)arg;
	return file->failed;
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

	int r = shale_file_collect(&files->table, has_failed, NULL, &list,
				   &n_files);
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

/* -------------------------------------------------------------- removing */

int shale_files_remove(struct shale_files *files, uint64_t ino, uint32_t epoch,
		       uint64_t pos)
{
	struct shale_file *file = shale_file_enter(&files->table, ino, epoch);
	if (!file)
		return -ENOMEM;
	pthread_mutex_lock(&files->table.lock);
	if (!file->remove)
		files->table.n_remove++;
	file->remove = true;
	if (file->remove_at < pos)
		file->remove_at = pos;
	pthread_mutex_unlock(&files->table.lock);
	shale_file_release(&files->table, file);
	return 0;
}

static bool is_due(const struct shale_file *file, void *arg)
{
	return file->remove && file->remove_at <= *(uint64_t *)arg;
}

/*
 * With the lock held, so that a write that calls the removal off comes before
 * or after, and then makes the file anew.  It has another name then; what it
 * takes is given back by a thread that nobody waits for.
 */
static void remove_file(struct shale_files *files, struct shale_file *file)
{
	char name[SHALE_FILE_NAME];
	shale_file_name(name, file->ino, file->epoch);

	pthread_mutex_lock(&files->table.lock);
	if (file->remove && file->users == 1) {
		(void)shale_trash_put(files->trash, name);
		shale_file_shut(&files->table, file);
		file->remove = file->made = false;
		file->remove_at = 0;
		shale_file_unfail(&files->table, file);
		file->flushed = file->written;
		files->table.n_remove--;
	} /* else it is in use: the next time */
	pthread_mutex_unlock(&files->table.lock);
}

static bool nearly_full(struct shale_files *files)
{
	struct statvfs fs;

	return fstatvfs(files->dirfd, &fs) == 0 &&
	       (uint64_t)fs.f_bavail * fs.f_frsize < NEARLY_FULL;
}

void shale_files_applied(struct shale_files *files, uint64_t pos)
{
	cleanup_free struct shale_file **list = NULL;
	size_t n;

	pthread_mutex_lock(&files->table.lock);
	bool none = !files->table.n_remove;
	pthread_mutex_unlock(&files->table.lock);
	/* No memory: the next time. */
	if (none ||
	    shale_file_collect(&files->table, is_due, &pos, &list, &n) < 0)
		return;
	for (size_t i = 0; i < n; i++) {
		remove_file(files, list[i]);
		shale_file_release(&files->table, list[i]);
	}
	/* Somebody may be waiting for the space. */
	if (nearly_full(files))
		shale_trash_wait(files->trash);
}

void shale_files_tidy(struct shale_files *files)
{
	shale_trash_resume(files->trash);
}

/* --------------------------------------------------------------- looking */

static bool parse_name(const char *name, uint64_t *ino, uint32_t *epoch)
{
	char again[SHALE_FILE_NAME];
	char *end;

	errno = 0;
	*ino = strtoull(name, &end, 16);
	if (errno || *end != '.')
		return false;
	unsigned long value = strtoul(end + 1, &end, 16);
	if (errno || *end || value > UINT32_MAX)
		return false;
	*epoch = (uint32_t)value;
	shale_file_name(again, *ino, *epoch);
	return strcmp(again + 3, name) == 0;
}

SHALE_DEFINE_CLEANUP(dir, DIR *, closedir);

static int each_in(struct shale_files *files, unsigned which,
		   int (*fn)(void *arg, uint64_t ino, uint32_t epoch),
		   void *arg, struct shale_err *err)
{
	char name[3];
	snprintf(name, sizeof(name), "%02x", which);
	cleanup_fd int fd =
		openat(files->dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return 0;
	SHALE_CLEANUP(shale_cleanup_dir)
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		return shale_err_set(err, errno, "read 'data/%s'", name);
	steal_fd(&fd);

	struct dirent *entry;
	while ((errno = 0, entry = readdir(dir))) {
		uint64_t ino;
		uint32_t epoch;
		if (!parse_name(entry->d_name, &ino, &epoch))
			continue;
		int r = fn(arg, ino, epoch);
		if (r)
			return r;
	}
	return errno ? shale_err_set(err, errno, "read 'data/%s'", name) : 0;
}

int shale_files_each(struct shale_files *files,
		     int (*fn)(void *arg, uint64_t ino, uint32_t epoch),
		     void *arg, struct shale_err *err)
{
	int r = 0;
	for (unsigned which = 0; which < 256 && r == 0; which++)
		r = each_in(files, which, fn, arg, err);
	return r;
}

struct sum {
	struct shale_files *files;
	uint64_t bytes;
};

static int add_bytes(void *arg, uint64_t ino, uint32_t epoch)
{
	struct sum *sum = arg;
	char name[SHALE_FILE_NAME];
	struct stat st;

	shale_file_name(name, ino, epoch);
	if (fstatat(sum->files->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		sum->bytes += (uint64_t)st.st_blocks * 512;
	return 0;
}

uint64_t shale_files_bytes(struct shale_files *files)
{
	struct sum sum = {files, 0};
	shale_files_each(files, add_bytes, &sum, NULL);
	return sum.bytes;
}
