/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/restore.h"

#include "layers/base/cleanup.h"
#include "layers/base/io.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

enum { PIECE = 1 << 20 };

/* Hard to guess, so that nobody lies in wait for it; made with O_EXCL anyway.
 */
static void temporary_name(char *out)
{
	uint64_t number[2] = {0};
	if (getrandom(number, sizeof(number), GRND_NONBLOCK) < 0)
		number[0] = (uint64_t)getpid();
	snprintf(out, SHALE_STAGED_NAME, ".shale-%016llx",
		 (unsigned long long)(number[0] ^ number[1]));
}

/* ------------------------------------------------------------------ content */

static int write_run(const struct shale_content *content,
		     struct shale_chunks *chunks, int fd, uint64_t off,
		     uint64_t end, uint8_t *piece, struct shale_err *err)
{
	int r = 0;
	while (r == 0 && off < end) {
		size_t got,
			want = end - off < PIECE ? (size_t)(end - off) : PIECE;
		r = shale_content_read(content, chunks, off, piece, want, &got,
				       err);
		if (r == 0 && got != want)
			r = shale_err_say(err, EUCLEAN, "content is missing");
		if (r == 0)
			r = shale_pwrite_full(fd, piece, want, off, "the file",
					      err);
		off += want;
	}
	return r;
}

/* Holes stay holes. */
static int write_content(const struct shale_image *image, uint64_t ino, int fd,
			 struct shale_err *err)
{
	struct shale_content content;
	uint64_t off = 0;
	int r = shale_image_content(image, ino, &content, err);
	if (r < 0 || !content.size)
		return r;
	size_t room = content.size < PIECE ? (size_t)content.size : PIECE;
	cleanup_free uint8_t *piece = malloc(room);
	if (!piece)
		return shale_err_set(err, ENOMEM, "a buffer");

	while (r == 0 && off < content.size) {
		uint64_t data, hole = off;
		r = shale_content_seek(&content, off, true, &data, err);
		if (r == -ENXIO) {
			r = 0;
			break;
		}
		if (r == 0)
			r = shale_content_seek(&content, data, false, &hole,
					       err);
		if (r == 0)
			r = write_run(&content, image->chunks, fd, data, hole,
				      piece, err);
		off = hole;
	}
	/* A hole at the end has not been written. */
	struct stat st;
	if (r == 0 &&
	    (fstat(fd, &st) < 0 || ((uint64_t)st.st_size < content.size &&
				    ftruncate(fd, (off_t)content.size) < 0)))
		r = shale_err_set(err, errno, "set the size");
	return r;
}

/* -------------------------------------------------------- making and placing
 */

static int make_file(const struct shale_restore *rs, int dirfd,
		     const char *name, const struct shale_attr *attr, int *fd,
		     struct shale_err *err)
{
	*fd = openat(dirfd, name,
		     O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		     0600);
	if (*fd < 0)
		return shale_err_set(err, errno, "create it");
	int r = rs->basis ? shale_restore_on_basis(rs, *fd, attr, err) : 0;
	if (r == 0 && attr->size)
		r = write_content(rs->image, attr->ino, *fd, err);
	return r < 0 ? r : 0;
}

static int make_symlink(const struct shale_restore *rs, int dirfd,
			const char *name, uint64_t ino, struct shale_err *err)
{
	char target[SHALE_TARGET_MAX + 1];
	const char *stored;
	uint32_t len;
	int r = shale_index_target(rs->image->index, ino, &stored, &len, err);
	if (r < 0)
		return r;
	memcpy(target, stored, len);
	target[len] = '\0';
	if (symlinkat(target, dirfd, name) < 0)
		return shale_err_set(err, errno, "create it");
	return 0;
}

/* `*fd` is what was made, whatever becomes of the name. */
static int make(const struct shale_restore *rs, int dirfd, const char *name,
		const struct shale_attr *attr, int *fd, struct shale_err *err)
{
	dev_t dev = makedev(attr->rdev_major, attr->rdev_minor);
	mode_t type = attr->mode & S_IFMT;
	struct stat st;
	int r = 0;

	if (type == S_IFREG)
		return make_file(rs, dirfd, name, attr, fd, err);
	if (type == S_IFLNK)
		r = make_symlink(rs, dirfd, name, attr->ino, err);
	else if (mknodat(dirfd, name, type | 0600, dev) < 0)
		r = shale_err_set(err, errno, "create it");
	if (r < 0)
		return r;
	*fd = openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (*fd < 0 || fstat(*fd, &st) < 0)
		return shale_err_set(err, errno, "look at it");
	if ((st.st_mode & S_IFMT) != type || st.st_uid != geteuid())
		return shale_err_say(err, ESTALE, "somebody else changed it");
	return 0;
}

static int place(const struct shale_restore *rs, int tmpdir, const char *tmp,
		 int dirfd, const char *name, enum shale_restored *outcome,
		 struct shale_err *err)
{
	unsigned flags =
		rs->overwrite == SHALE_OVERWRITE_NEVER ? RENAME_NOREPLACE : 0;
	int r = renameat2(tmpdir, tmp, dirfd, name, flags);
	if (r < 0 && flags && errno == EINVAL) /* a file system without it */
		r = renameat(tmpdir, tmp, dirfd, name);
	if (r < 0 && flags && errno == EEXIST) {
		*outcome = SHALE_EXISTS;
		unlinkat(tmpdir, tmp, 0);
		return 0;
	}
	if (r < 0)
		return shale_err_set(err, errno, "give it its name");
	*outcome = SHALE_RESTORED;
	return 0;
}

/* 1: `*outcome` says why there is nothing to do. */
static int look_first(const struct shale_restore *rs, int dirfd,
		      const char *name, const struct shale_attr *attr,
		      enum shale_restored *outcome, struct shale_err *err)
{
	struct stat st;
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno == ENOENT)
			return 0;
		return shale_err_set(err, errno, "look at it");
	}
	if (rs->overwrite == SHALE_OVERWRITE_NEVER) {
		*outcome = SHALE_EXISTS;
		return 1;
	}
	if (S_ISDIR(st.st_mode))
		return shale_err_set(err, EISDIR, "replace it");
	if (rs->overwrite == SHALE_OVERWRITE_IF_CHANGED &&
	    shale_restore_unchanged(rs, dirfd, name, &st, attr)) {
		*outcome = SHALE_UNCHANGED;
		return 1;
	}
	return 0;
}

/* With all its attributes, under a name of its own, which is `tmp`. */
static int make_whole(const struct shale_restore *rs, int tmpdir, char *tmp,
		      const struct shale_attr *attr,
		      enum shale_restored *outcome, struct shale_err *err)
{
	int fd = -1, xattrs = 0;

	*outcome = SHALE_RESTORED;
	temporary_name(tmp);
	int r = make(rs, tmpdir, tmp, attr, &fd, err);
	if (r == -EPERM && (S_ISCHR(attr->mode) || S_ISBLK(attr->mode))) {
		*outcome = SHALE_REFUSED;
		return 0;
	}
	if (r == 0)
		r = xattrs = shale_restore_attributes(rs, fd, attr, err);
	/* Some file systems tell of a full disk only now. */
	if (fd >= 0 && close(fd) < 0 && r >= 0)
		r = shale_err_set(err, errno, "write it");
	if (r < 0 && r != -EEXIST)
		unlinkat(tmpdir, tmp, 0);
	return r < 0 ? r : xattrs;
}

static int make_and_place(const struct shale_restore *rs, int tmpdir, int dirfd,
			  const char *name, const struct shale_attr *attr,
			  enum shale_restored *outcome, struct shale_err *err)
{
	char tmp[SHALE_STAGED_NAME];
	int xattrs = make_whole(rs, tmpdir, tmp, attr, outcome, err);
	if (xattrs < 0 || *outcome == SHALE_REFUSED)
		return xattrs;
	int r = place(rs, tmpdir, tmp, dirfd, name, outcome,
		      xattrs ? NULL : err);
	if (r < 0)
		unlinkat(tmpdir, tmp, 0);
	return r < 0 ? r : xattrs;
}

int shale_restore_stage(const struct shale_restore *rs,
			const struct shale_attr *attr, char *staged,
			enum shale_restored *outcome, struct shale_err *err)
{
	return make_whole(rs, rs->staging, staged, attr, outcome, err);
}

int shale_restore_place(const struct shale_restore *rs, const char *staged,
			int dirfd, const char *name,
			enum shale_restored *outcome, struct shale_err *err)
{
	return place(rs, rs->staging, staged, dirfd, name, outcome, err);
}

int shale_restore_inode(const struct shale_restore *rs, int dirfd,
			const char *name, const struct shale_attr *attr,
			enum shale_restored *outcome, struct shale_err *err)
{
	int r = look_first(rs, dirfd, name, attr, outcome, err);
	if (r)
		return r < 0 ? r : 0;

	r = make_and_place(rs, rs->staged ? rs->staging : dirfd, dirfd, name,
			   attr, outcome, err);
	if (r == -EXDEV && rs->staged) /* something is mounted there */
		r = make_and_place(rs, dirfd, dirfd, name, attr, outcome, err);
	return r;
}

int shale_restore_dir(const struct shale_restore *rs, int dirfd,
		      const char *name, enum shale_restored *outcome,
		      struct shale_err *err)
{
	struct stat st;
	for (int attempt = 0; attempt < 2; attempt++) {
		if (mkdirat(dirfd, name, 0700) == 0) {
			*outcome = SHALE_RESTORED;
			return 0;
		}
		if (errno != EEXIST)
			break;
		if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			break;
		if (S_ISDIR(st.st_mode)) {
			*outcome = SHALE_UNCHANGED;
			return 0;
		}
		if (rs->overwrite == SHALE_OVERWRITE_NEVER) {
			*outcome = SHALE_EXISTS;
			return 0;
		}
		if (unlinkat(dirfd, name, 0) < 0)
			break;
	}
	return shale_err_set(err, errno, "make the directory");
}

int shale_restore_link(const struct shale_restore *rs, int fromfd,
		       const char *from, int dirfd, const char *name,
		       enum shale_restored *outcome, struct shale_err *err)
{
	char tmp[SHALE_STAGED_NAME];
	struct stat a, b;
	if (fstatat(fromfd, from, &a, AT_SYMLINK_NOFOLLOW) < 0)
		return shale_err_set(err, errno, "look at '%s'", from);
	if (fstatat(dirfd, name, &b, AT_SYMLINK_NOFOLLOW) == 0) {
		bool same = a.st_dev == b.st_dev && a.st_ino == b.st_ino;
		*outcome = same ? SHALE_UNCHANGED : SHALE_EXISTS;
		if (same || rs->overwrite == SHALE_OVERWRITE_NEVER)
			return 0;
		if (S_ISDIR(b.st_mode))
			return shale_err_set(err, EISDIR, "replace it");
	}
	int tmpdir = rs->staged ? rs->staging : dirfd;
	temporary_name(tmp);
	if (linkat(fromfd, from, tmpdir, tmp, 0) < 0)
		return shale_err_set(err, errno, "link it");
	int r = place(rs, tmpdir, tmp, dirfd, name, outcome, err);
	if (r < 0)
		unlinkat(tmpdir, tmp, 0);
	return r;
}
