/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/outfile.h"

#include "layers/base/cleanup.h"
#include "layers/base/io.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

enum { PIECE = 256 << 10 };

/* Directory and name of `path`, behind a symlink if it is one. */
static int open_place(struct shale_outfile *out, const char *path,
		      struct shale_err *err)
{
	cleanup_free char *real = realpath(path, NULL);
	const char *at = real ? real : path;
	const char *slash = strrchr(at, '/');
	cleanup_free char *dir =
		slash ? strndup(at, (size_t)(slash - at) + 1) : strdup(".");
	out->name = strdup(slash ? slash + 1 : at);
	if (!dir || !out->name)
		return shale_err_set(err, ENOMEM, "write '%s'", path);
	out->dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (out->dirfd < 0)
		return shale_err_set(err, errno, "open the directory of '%s'",
				     path);
	if (!*out->name)
		return shale_err_set(err, EISDIR, "write '%s'", path);
	return 0;
}

static int create(struct shale_outfile *out, struct shale_err *err)
{
	do {
		uint64_t salt = 0;
		if (getrandom(&salt, sizeof(salt), GRND_NONBLOCK) < 0)
			salt = (uint64_t)getpid();
		snprintf(out->tmp, sizeof(out->tmp), ".shale-%016llx",
			 (unsigned long long)salt);
		out->fd = openat(out->dirfd, out->tmp,
				 O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	} while (out->fd < 0 && errno == EEXIST);
	if (out->fd < 0) {
		out->tmp[0] = '\0';
		return shale_err_set(err, errno, "create a file beside '%s'",
				     out->path);
	}
	return 0;
}

/* What is replaced may be for some eyes only; so is what replaces it. */
static int keep_mode(const struct shale_outfile *out, const struct stat *was,
		     struct shale_err *err)
{
	if (geteuid() == 0 && fchown(out->fd, was->st_uid, was->st_gid) < 0)
		return shale_err_set(err, errno, "keep the owner of '%s'",
				     out->path);
	if (fchmod(out->fd, was->st_mode & 0777) < 0)
		return shale_err_set(err, errno, "keep the mode of '%s'",
				     out->path);
	return 0;
}

int shale_outfile_open(struct shale_outfile *out, const char *path,
		       struct shale_err *err)
{
	bool piped = strcmp(path, "-") == 0;
	struct stat st;
	*out = (struct shale_outfile){.fd = -1, .dirfd = -1, .path = path};
	bool there = !piped && stat(path, &st) == 0;
	if (there && S_ISDIR(st.st_mode))
		return shale_err_set(err, EISDIR, "write '%s'", path);
	if (piped || (there && !S_ISREG(st.st_mode))) {
		out->fd = piped ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)
				: open(path, O_WRONLY | O_CLOEXEC);
		return out->fd < 0
			       ? shale_err_set(err, errno, "open '%s'", path)
			       : 0;
	}
	int r = open_place(out, path, err);
	if (r == 0)
		r = create(out, err);
	if (r == 0 && there)
		r = keep_mode(out, &st, err);
	if (r < 0)
		shale_outfile_release(out);
	return r;
}

/* Does `name` hold what was written? */
static bool is_same(const struct shale_outfile *out)
{
	struct stat a, b;
	cleanup_fd int fd = openat(out->dirfd, out->name,
				   O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	cleanup_free uint8_t *buf = malloc((size_t)2 * PIECE);
	if (fd < 0 || !buf || fstat(fd, &a) < 0 || fstat(out->fd, &b) < 0 ||
	    a.st_size != b.st_size)
		return false;
	for (off_t at = 0; at < a.st_size; at += PIECE) {
		off_t left = a.st_size - at;
		size_t n = left < PIECE ? (size_t)left : PIECE;
		if (shale_pread_full(fd, buf, n, (uint64_t)at, "", NULL) < 0 ||
		    shale_pread_full(out->fd, buf + PIECE, n, (uint64_t)at, "",
				     NULL) < 0 ||
		    memcmp(buf, buf + PIECE, n) != 0)
			return false;
	}
	return true;
}

int shale_outfile_commit(struct shale_outfile *out, bool *same,
			 struct shale_err *err)
{
	if (same)
		*same = false;
	if (out->dirfd < 0) {
		int fd = steal_fd(&out->fd);
		return close(fd) < 0 ? shale_err_set(err, errno, "write '%s'",
						     out->path)
				     : 0;
	}
	if (same && is_same(out)) {
		*same = true;
		return 0;
	}
	int r = shale_file_publish(out->dirfd, out->tmp, out->fd, out->name,
				   err);
	if (r == 0)
		out->tmp[0] = '\0';
	return r;
}

void shale_outfile_release(struct shale_outfile *out)
{
	if (out->fd >= 0)
		close(out->fd);
	if (out->tmp[0])
		unlinkat(out->dirfd, out->tmp, 0);
	if (out->dirfd >= 0)
		close(out->dirfd);
	free(out->name);
	*out = (struct shale_outfile){.fd = -1, .dirfd = -1};
}
