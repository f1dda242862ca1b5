/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/base/io.h"

#include "layers/base/cleanup.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

int shale_pread_full(int fd, void *data, size_t len, uint64_t off,
		     const char *what, struct shale_err *err)
{
	uint8_t *at = data;
	while (len) {
		ssize_t n = pread(fd, at, len, (off_t)off);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return shale_err_set(err, errno, "read %s", what);
		if (n == 0)
			return shale_err_say(err, EUCLEAN,
					     "%s ends before offset %llu", what,
					     (unsigned long long)(off + len));
		at += n;
		len -= (size_t)n;
		off += (uint64_t)n;
	}
	return 0;
}

int shale_pwrite_full(int fd, const void *data, size_t len, uint64_t off,
		      const char *what, struct shale_err *err)
{
	const uint8_t *at = data;
	while (len) {
		ssize_t n = pwrite(fd, at, len, (off_t)off);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return shale_err_set(err, errno, "write %s", what);
		at += n;
		len -= (size_t)n;
		off += (uint64_t)n;
	}
	return 0;
}

int shale_write_full(int fd, const void *data, size_t len, const char *what,
		     struct shale_err *err)
{
	const uint8_t *at = data;
	while (len) {
		ssize_t n = write(fd, at, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return shale_err_set(err, errno, "write %s", what);
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

int shale_read_file(int dirfd, const char *name, size_t limit,
		    struct shale_buf *out, struct shale_err *err)
{
	cleanup_fd int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return shale_err_set(err, errno, "open '%s'", name);

	size_t start = out->len;
	for (;;) {
		if (out->len - start > limit)
			return shale_err_say(err, EFBIG,
					     "'%s' has more than %zu bytes",
					     name, limit);
		if (shale_buf_reserve(out, 16384) < 0)
			return shale_err_set(err, ENOMEM, "read '%s'", name);
		ssize_t n = read(fd, out->data + out->len, 16384);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return shale_err_set(err, errno, "read '%s'", name);
		if (n == 0)
			return 0;
		out->len += (size_t)n;
	}
}

int shale_dir_sync(int dirfd, const char *what, struct shale_err *err)
{
	/* The descriptor may be O_PATH: reopen to be able to sync it. */
	cleanup_fd int fd =
		openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) < 0)
		return shale_err_set(err, errno, "sync directory %s", what);
	return 0;
}

int shale_file_publish(int dirfd, const char *tmp, int fd, const char *name,
		       struct shale_err *err)
{
	if (fsync(fd) < 0)
		return shale_err_set(err, errno, "sync '%s'", tmp);
	if (renameat(dirfd, tmp, dirfd, name) < 0)
		return shale_err_set(err, errno, "publish '%s'", name);
	return shale_dir_sync(dirfd, name, err);
}

int shale_file_append(int fd, const void *data, size_t len, const char *what,
		      struct shale_err *err)
{
	off_t end = lseek(fd, 0, SEEK_END);
	int r = end < 0 ? shale_err_set(err, errno, "append to '%s'", what)
			: shale_write_full(fd, data, len, what, err);
	if (r < 0 && end >= 0 && ftruncate(fd, end) < 0)
		shale_err_wrap(err, r, "and it cannot be cut off");
	return r;
}

int shale_file_replace(int dirfd, const char *name, const void *data,
		       size_t len, struct shale_err *err)
{
	char tmp[300];
	int n = snprintf(tmp, sizeof(tmp), ".%s.%ld.tmp", name, (long)getpid());
	if (n < 0 || (size_t)n >= sizeof(tmp))
		return shale_err_set(err, ENAMETOOLONG, "replace '%s'", name);

	cleanup_fd int fd = openat(
		dirfd, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return shale_err_set(err, errno, "create '%s'", tmp);

	int r = shale_write_full(fd, data, len, name, err);
	if (r == 0)
		r = shale_file_publish(dirfd, tmp, fd, name, err);
	if (r < 0)
		unlinkat(dirfd, tmp, 0);
	return r;
}

int shale_mkdir(int dirfd, const char *name, mode_t mode, struct shale_err *err)
{
	if (mkdirat(dirfd, name, mode) < 0 && errno != EEXIST)
		return shale_err_set(err, errno, "make directory '%s'", name);
	return 0;
}
