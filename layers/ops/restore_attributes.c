/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/restore.h"

#include "layers/ops/beneath.h"
#include "layers/ops/same_bytes.h"
#include "layers/ops/xattrs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

/* ---------------------------------------------------------------- setting */

uint32_t shale_restore_mode(const struct shale_attr *attr,
			    const struct stat *st)
{
	uint32_t mode = attr->mode & 07777;
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
	    (fstat(fd, &st) < 0 ||
	     set_mode(fd, shale_restore_mode(attr, &st)) < 0))
		return shale_err_set(err, errno, "set the mode");
	if (utimensat(fd, "", times, AT_EMPTY_PATH) < 0)
		return shale_err_set(err, errno, "set the time");
	return xattrs;
}

/* ----------------------------------------------------------------- comparing
 */

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

bool shale_restore_unchanged(const struct shale_restore *rs, int dirfd,
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
	if ((st->st_mode & 07777) != shale_restore_mode(attr, st))
		return false;
	/* (of a damaged image, making it says more) */
	return !rs->contents || !S_ISREG(attr->mode) ||
	       shale_same_bytes(rs->image, attr->ino, dirfd, name, NULL) > 0;
}
