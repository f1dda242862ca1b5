/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/workspace/files_impl.h"

#include "layers/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <signal.h>
#include <unistd.h>

/* Data files whose bytes, size and time are those of the file: see files.h. */

int shale_files_stat(struct shale_files *files, uint64_t ino, uint32_t epoch,
		     struct stat *out)
{
	char name[SHALE_FILE_NAME];

	shale_file_name(name, ino, epoch);
	return fstatat(files->dirfd, name, out, AT_SYMLINK_NOFOLLOW) < 0
		       ? -errno
		       : 0;
}

int shale_files_seek(struct shale_files *files, uint64_t ino, uint32_t epoch,
		     uint64_t off, bool data, uint64_t *out)
{
	cleanup_fd int fd = -1;

	/* One of its own: the position is the descriptor's. */
	int r = shale_files_get(files, ino, epoch, &fd, NULL);
	if (r < 0)
		return r;
	off_t found = lseek(fd, (off_t)off, data ? SEEK_DATA : SEEK_HOLE);
	if (found < 0)
		return -errno;
	*out = (uint64_t)found;
	return 0;
}

/* What was changed without shale_files_write() waits for a flush, too. */
static void note_written(struct shale_files *files, struct shale_file *file)
{
	pthread_mutex_lock(&files->table.lock);
	file->written++;
	shale_dirty_all(&file->dirty, file->written);
	pthread_mutex_unlock(&files->table.lock);
	shale_file_release(&files->table, file);
}

int shale_files_dirty(struct shale_files *files, uint64_t ino, uint32_t epoch)
{
	struct shale_file *file = shale_file_enter(&files->table, ino, epoch);

	if (!file)
		return -ENOMEM;
	note_written(files, file);
	return 0;
}

int shale_files_resize(struct shale_files *files, uint64_t ino, uint32_t epoch,
		       uint64_t size)
{
	struct shale_file *file;

	int r = shale_file_acquire(&files->table, ino, epoch, false, &file);
	if (r < 0)
		return r;
	r = ftruncate(file->fd, (off_t)size) < 0 ? -errno : 0;
	note_written(files, file);
	return r;
}

/* Where the host's file system knows no holes, zeros do. */
static int write_zeros(int fd, uint64_t off, uint64_t end)
{
	static const char zeros[65536];

	while (off < end) {
		size_t len = end - off < sizeof(zeros) ? (size_t)(end - off)
						       : sizeof(zeros);
		ssize_t n = pwrite(fd, zeros, len, (off_t)off);
		if (n < 0 && errno != EINTR)
			return -errno;
		off += n > 0 ? (uint64_t)n : 0;
	}
	return 0;
}

int shale_files_punch(struct shale_files *files, uint64_t ino, uint32_t epoch,
		      uint64_t off, uint64_t end)
{
	struct shale_file *file;

	int r = shale_file_acquire(&files->table, ino, epoch, false, &file);
	if (r < 0)
		return r;
	if (fallocate(file->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		      (off_t)off, (off_t)(end - off)) < 0)
		r = errno == EOPNOTSUPP ? write_zeros(file->fd, off, end)
					: -errno;
	note_written(files, file);
	return r;
}

int shale_files_stamp(struct shale_files *files, uint64_t ino, uint32_t epoch,
		      const struct timespec *mtime)
{
	char name[SHALE_FILE_NAME];
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}};
	int r;

	shale_file_name(name, ino, epoch);
	if (mtime) {
		times[1] = *mtime;
		r = utimensat(files->dirfd, name, times, AT_SYMLINK_NOFOLLOW);
	} else {
		r = fchmodat(files->dirfd, name, 0600, 0);
	}
	return r < 0 ? -errno : 0;
}

/* ------------------------------------------------------------- who has it */

int shale_lease_probe(int fd, bool alone)
{
	/* Who opens it in this very moment has the kernel send a signal, which
	 * by default ends a process: one that is ignored, rather. */
	if (fcntl(fd, F_SETSIG, SIGURG) < 0 ||
	    fcntl(fd, F_SETLEASE, alone ? F_WRLCK : F_RDLCK) < 0)
		return errno == EAGAIN ? -EBUSY : -errno;
	(void)fcntl(fd, F_SETLEASE, F_UNLCK);
	return 0;
}

/* Our own descriptor is for writing. */
static bool shut_own(struct shale_files *files, uint64_t ino, uint32_t epoch)
{
	struct shale_file *file = shale_file_peek(&files->table, ino, epoch);
	bool shut = true;

	if (!file)
		return true;
	pthread_mutex_lock(&files->table.lock);
	if (file->users == 1)
		shale_file_shut(&files->table, file);
	else
		shut = file->fd < 0;
	pthread_mutex_unlock(&files->table.lock);
	shale_file_release(&files->table, file);
	return shut;
}

bool shale_files_used_elsewhere(struct shale_files *files, uint64_t ino,
				uint32_t epoch, bool reads)
{
	cleanup_fd int fd = -1;

	if (!shut_own(files, ino, epoch))
		return true;
	if (shale_files_get(files, ino, epoch, &fd, NULL) < 0)
		return false;
	return shale_lease_probe(fd, reads) == -EBUSY;
}
