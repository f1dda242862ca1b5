/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/workspace/files_impl.h"

#include "fs/workspace/file_failed.h"
#include "layers/base/cleanup.h"
#include "layers/base/io.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

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

void shale_files_spare(struct shale_files *files)
{
	shale_file_table_spare(&files->table);
}

/* --------------------------------------------------------------- reading */

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
