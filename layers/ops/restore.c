/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/restore.h"

#include "layers/base/cleanup.h"
#include "layers/base/io.h"
#include "layers/ops/beneath.h"
#include "layers/ops/xattrs.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

enum { PIECE = 1 << 20, TMP_NAME = 40 };

/* Hard to guess, so that nobody lies in wait for it; made with O_EXCL anyway.
 */
static void temporary_name(char *out)
{
	uint64_t number[2] = {0};
	if (getrandom(number, sizeof(number), GRND_NONBLOCK) < 0)
		number[0] = (uint64_t)getpid();
	snprintf(out, TMP_NAME, ".shale-%016llx",
		 (unsigned long long)(number[0] ^ number[1]));
}

/* --------------------------------------------------------------- attributes */

static uint32_t mode_to_set(const struct shale_attr *attr,
			    const struct stat *st)
{
	uint32_t mode = attr->mode & 07777;
	/* Set-id bits belong to the owner that the image names. */
	if (st->st_uid != attr->uid)
		mode &= ~(uint32_t)S_ISUID;
	if (st->st_gid != attr->gid && !S_ISDIR(attr->mode))
		mode &= ~(uint32_t)S_ISGID;
	return mode;
}

/* What the directory around it handed down, and the image has not. */
static void drop_inherited(int fd, const void *list, uint32_t len, bool dir)
{
	static const char *const names[] = {"system.posix_acl_access",
					    "system.posix_acl_default"};
	char path[SHALE_BENEATH_PROC];
	struct shale_xattr x;
	shale_beneath_proc(fd, NULL, path);
	for (int i = 0; i < (dir ? 2 : 1); i++) {
		if (shale_xattr_find(list, len, names[i], &x, NULL) < 0)
			removexattr(path, names[i]);
	}
}

static int set_xattrs(const struct shale_restore *rs, int fd,
		      const struct shale_attr *attr, struct shale_err *err)
{
	const void *list = NULL;
	uint32_t len = 0;
	int r = 0;
	if (!rs->no_xattrs)
		r = shale_index_xattrs(rs->image->index, attr->ino, &list, &len,
				       err);
	if (r == 0 && !S_ISLNK(attr->mode))
		drop_inherited(fd, list, len, S_ISDIR(attr->mode));
	if (r < 0 || !len)
		return r;
	r = shale_xattrs_write(fd, list, len, rs->privileged && rs->same_owner,
			       err);
	return r == -EUCLEAN ? r : r < 0;
}

/* fchmod knows no O_PATH descriptors. */
static int set_mode(int fd, uint32_t mode)
{
	char path[SHALE_BENEATH_PROC];
	if (fchmod(fd, mode) == 0)
		return 0;
	if (errno != EBADF)
		return -1;
	shale_beneath_proc(fd, NULL, path);
	return chmod(path, mode);
}

int shale_restore_attributes(const struct shale_restore *rs, int fd,
			     const struct shale_attr *attr,
			     struct shale_err *err)
{
	struct timespec times[2] = {attr->mtime, attr->mtime};
	struct stat st;

	/* chown clears capabilities and set-id bits, so it comes first. */
	if (rs->same_owner && rs->privileged &&
	    fchownat(fd, "", attr->uid, attr->gid, AT_EMPTY_PATH) < 0)
		return shale_err_set(err, errno, "set the owner");
	int xattrs = set_xattrs(rs, fd, attr, err);
	if (xattrs < 0)
		return xattrs;
	if (!S_ISLNK(attr->mode) &&
	    (fstat(fd, &st) < 0 || set_mode(fd, mode_to_set(attr, &st)) < 0))
		return shale_err_set(err, errno, "set the mode");
	if (utimensat(fd, "", times, AT_EMPTY_PATH) < 0)
		return shale_err_set(err, errno, "set the time");
	return xattrs;
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

static bool same_target(const struct shale_restore *rs, int dirfd,
			const char *name, const struct shale_attr *attr)
{
	char target[SHALE_TARGET_MAX + 2];
	const char *stored;
	uint32_t len;
	ssize_t n = readlinkat(dirfd, name, target, sizeof(target));
	return shale_index_target(rs->image->index, attr->ino, &stored, &len,
				  NULL) == 0 &&
	       n == (ssize_t)len && memcmp(target, stored, len) == 0;
}

static bool unchanged(const struct shale_restore *rs, int dirfd,
		      const char *name, const struct stat *st,
		      const struct shale_attr *attr)
{
	if ((st->st_mode & S_IFMT) != (attr->mode & S_IFMT) ||
	    st->st_mtim.tv_sec != attr->mtime.tv_sec ||
	    st->st_mtim.tv_nsec != attr->mtime.tv_nsec)
		return false;
	if (rs->same_owner && rs->privileged &&
	    (st->st_uid != attr->uid || st->st_gid != attr->gid))
		return false;
	switch (attr->mode & S_IFMT) {
	case S_IFLNK:
		return same_target(rs, dirfd, name, attr);
	case S_IFCHR:
	case S_IFBLK:
		if (st->st_rdev != makedev(attr->rdev_major, attr->rdev_minor))
			return false;
		break;
	case S_IFREG:
		if ((uint64_t)st->st_size != attr->size)
			return false;
		break;
	}
	return (st->st_mode & 07777) == mode_to_set(attr, st);
}

/* Rename, over what is there if that is wanted. */
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
	    unchanged(rs, dirfd, name, &st, attr)) {
		*outcome = SHALE_UNCHANGED;
		return 1;
	}
	return 0;
}

static int make_and_place(const struct shale_restore *rs, int tmpdir, int dirfd,
			  const char *name, const struct shale_attr *attr,
			  enum shale_restored *outcome, struct shale_err *err)
{
	char tmp[TMP_NAME];
	int fd = -1, xattrs = 0;

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
	if (r >= 0)
		r = place(rs, tmpdir, tmp, dirfd, name, outcome,
			  xattrs ? NULL : err);
	if (r < 0 && r != -EEXIST)
		unlinkat(tmpdir, tmp, 0);
	return r < 0 ? r : xattrs;
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
	char tmp[TMP_NAME];
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
