/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/blob/blobs_impl.h"

#include "layers/base/cleanup.h"
#include "layers/base/io.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/file.h>
#include <sys/random.h>

enum { MANY = 8 }; /* files from which one syncfs beats an fsync of each */

/* The file name of a blob: the digest in hex. */
struct name {
	char text[SHALE_DIGEST_HEX + 1];
};

static struct name name_of(const struct shale_digest *digest)
{
	struct name name;
	shale_hex(name.text, digest->b, sizeof(digest->b));
	return name;
}

static int open_dir(int dirfd, const char *path, int *fd, struct shale_err *err)
{
	*fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *fd < 0 ? shale_err_set(err, errno, "open '%s'", path) : 0;
}

int shale_blobs_open(struct shale_blobs **out, int dirfd, struct shale_err *err)
{
	struct shale_blobs *blobs = calloc(1, sizeof(*blobs));
	if (!blobs)
		return shale_err_set(err, ENOMEM, "open blobs");
	blobs->dir = blobs->tmp = -1;

	int r = open_dir(dirfd, "blobs/sha256", &blobs->dir, err);
	if (r == 0)
		r = open_dir(dirfd, "tmp", &blobs->tmp, err);
	blobs->fds = shale_fds_new();
	blobs->direct = shale_fds_new();
	if (r == 0 && (!blobs->fds || !blobs->direct))
		r = shale_err_set(err, ENOMEM, "open blobs");
	if (r < 0) {
		shale_blobs_close(blobs);
		return r;
	}
	*out = blobs;
	return 0;
}

void shale_blobs_close(struct shale_blobs *blobs)
{
	if (!blobs)
		return;
	shale_fds_free(blobs->fds);
	shale_fds_free(blobs->direct);
	if (blobs->dir >= 0)
		close(blobs->dir);
	if (blobs->tmp >= 0)
		close(blobs->tmp);
	free(blobs);
}

static int open_blob(struct shale_blobs *blobs,
		     const struct shale_digest *digest, int flags, int *fd,
		     struct shale_err *err)
{
	struct name name = name_of(digest);
	int got = openat(blobs->dir, name.text,
			 O_RDONLY | O_CLOEXEC | O_NOFOLLOW | flags);
	if (got < 0)
		return shale_err_set(err, errno, "open blob sha256:%s",
				     name.text);
	*fd = got;
	return 0;
}

int shale_blobs_get(struct shale_blobs *blobs,
		    const struct shale_digest *digest, int *fd,
		    struct shale_err *err)
{
	return open_blob(blobs, digest, 0, fd, err);
}

bool shale_blobs_has(struct shale_blobs *blobs,
		     const struct shale_digest *digest)
{
	struct name name = name_of(digest);
	return faccessat(blobs->dir, name.text, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

int shale_blobs_take(struct shale_blobs *blobs, struct shale_fds *fds,
		     int flags, const struct shale_digest *digest,
		     struct shale_blobs_fd *out, struct shale_err *err)
{
	*out = (struct shale_blobs_fd){.fds = fds};
	out->fd = shale_fds_take(fds, digest, &out->held);
	if (out->fd >= 0)
		return 0;
	int r = open_blob(blobs, digest, flags, &out->fd, err);
	if (r < 0)
		return r;
	if (atomic_load(&blobs->scatter)) /* a hint */
		(void)posix_fadvise(out->fd, 0, 0, POSIX_FADV_RANDOM);
	out->held = shale_fds_put(fds, digest, out->fd);
	return 0;
}

void shale_blobs_give(struct shale_blobs_fd *taken)
{
	if (taken->held)
		shale_fds_release(taken->fds, taken->held);
	else
		close(taken->fd);
}

void shale_blobs_scatter(struct shale_blobs *blobs, bool direct)
{
	atomic_store(&blobs->scatter, true);
	if (!direct)
		atomic_store(&blobs->no_direct, true);
}

int shale_blobs_pread(struct shale_blobs *blobs,
		      const struct shale_digest *digest, void *data, size_t len,
		      uint64_t off, struct shale_err *err)
{
	char what[5 + SHALE_DIGEST_STR] = "blob ";
	struct shale_blobs_fd blob;

	int r = shale_blobs_take(blobs, blobs->fds, 0, digest, &blob, err);
	if (r < 0)
		return r;
	shale_digest_str(digest, what + 5);
	r = shale_pread_full(blob.fd, data, len, off, what, err);
	shale_blobs_give(&blob);
	return r;
}

/* The process, a counter and a random number: other processes' names differ
 * even where process numbers come again. */
static void make_name(struct shale_blobs *blobs, char *name)
{
	uint64_t salt = 0;
	if (getrandom(&salt, sizeof(salt), GRND_NONBLOCK) < 0)
		salt = (uint64_t)(uintptr_t)blobs;
	snprintf(name, 64, "blob-%ld-%u-%016llx", (long)getpid(),
		 atomic_fetch_add(&blobs->next_tmp, 1),
		 (unsigned long long)salt);
}

int shale_blobs_create(struct shale_blobs *blobs, int *fd, char *name,
		       struct shale_err *err)
{
	int got;
	do {
		make_name(blobs, name);
		got = openat(blobs->tmp, name,
			     O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	} while (got < 0 && errno == EEXIST);
	if (got < 0)
		return shale_err_set(err, errno, "create 'tmp/%s'", name);
	*fd = got;
	return 0;
}

static int sync_files(const struct shale_blob_tmp *files, size_t n,
		      struct shale_err *err)
{
	if (n >= MANY)
		return syncfs(files[0].fd) == 0
			       ? 0
			       : shale_err_set(err, errno, "sync tmp/");
	for (size_t i = 0; i < n; i++)
		if (fsync(files[i].fd) < 0)
			return shale_err_set(err, errno, "sync 'tmp/%s'",
					     files[i].name);
	return 0;
}

int shale_blobs_lock(struct shale_blobs *blobs, int how, int *out,
		     struct shale_err *err)
{
	/* a lock belongs to an open file: this thread's own */
	cleanup_fd int fd =
		openat(blobs->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return shale_err_set(err, errno, "open 'blobs/sha256'");
	while (flock(fd, how) < 0)
		if (errno != EINTR)
			return shale_err_set(err, errno, "lock 'blobs/sha256'");
	*out = steal_fd(&fd);
	return 0;
}

int shale_blobs_refresh(struct shale_blobs *blobs,
			const struct shale_digest *digest,
			struct shale_err *err)
{
	const struct timespec now[2] = {{.tv_nsec = UTIME_OMIT},
					{.tv_nsec = UTIME_NOW}};
	struct name name = name_of(digest);
	cleanup_fd int lock = -1;

	int r = shale_blobs_lock(blobs, LOCK_SH, &lock, err);
	if (r < 0)
		return r;
	if (utimensat(blobs->dir, name.text, now, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	return errno == ENOENT
		       ? -ENOENT
		       : shale_err_set(err, errno, "blob sha256:%s", name.text);
}

int shale_blobs_publish(struct shale_blobs *blobs,
			const struct shale_blob_tmp *files, size_t n,
			struct shale_err *err)
{
	cleanup_fd int lock = -1;
	int r = sync_files(files, n, err);
	if (r == 0)
		r = shale_blobs_lock(blobs, LOCK_SH, &lock, err);
	if (r < 0)
		return r;

	for (size_t i = 0; i < n; i++) {
		struct name name = name_of(&files[i].digest);
		if (renameat(blobs->tmp, files[i].name, blobs->dir, name.text) <
		    0)
			return shale_err_set(err, errno,
					     "publish blob sha256:%s",
					     name.text);
		/* Another file of that name may still be open. */
		shale_fds_forget(blobs->fds, &files[i].digest);
		shale_fds_forget(blobs->direct, &files[i].digest);
	}
	return shale_dir_sync(blobs->dir, "blobs/sha256", err);
}

void shale_blobs_abandon(struct shale_blobs *blobs, const char *name)
{
	unlinkat(blobs->tmp, name, 0);
}

int shale_blobs_put(struct shale_blobs *blobs, const void *data, size_t len,
		    struct shale_digest *digest, struct shale_err *err)
{
	struct shale_blob_tmp tmp;
	int r = shale_blobs_create(blobs, &tmp.fd, tmp.name, err);
	if (r < 0)
		return r;

	cleanup_fd int fd = tmp.fd;
	shale_sha256(data, len, &tmp.digest);
	r = shale_write_full(fd, data, len, "a new blob", err);
	if (r == 0)
		r = shale_blobs_publish(blobs, &tmp, 1, err);
	if (r < 0) {
		shale_blobs_abandon(blobs, tmp.name);
		return r;
	}
	*digest = tmp.digest;
	return 0;
}

int shale_blobs_read(struct shale_blobs *blobs,
		     const struct shale_digest *digest, size_t limit,
		     struct shale_buf *out, struct shale_err *err)
{
	struct name name = name_of(digest);
	size_t start = out->len;
	int r = shale_read_file(blobs->dir, name.text, limit, out, err);

	struct shale_digest got;
	if (r == 0) {
		shale_sha256(out->data + start, out->len - start, &got);
		if (!shale_digest_equal(&got, digest))
			r = shale_err_say(err, EUCLEAN,
					  "blob sha256:%s is damaged: its "
					  "content has another digest",
					  name.text);
	}
	if (r < 0)
		out->len = start;
	return r;
}
