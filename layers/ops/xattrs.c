/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/xattrs.h"

#include "layers/base/cleanup.h"
#include "layers/ops/beneath.h"
#include "layers/ops/whiteout.h"

#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#ifndef SYS_listxattrat
#define SYS_listxattrat 465 /* Linux 6.13; of one number everywhere */
#endif

static bool starts(const char *name, const char *prefix)
{
	return strncmp(name, prefix, strlen(prefix)) == 0;
}

bool shale_xattr_wanted(enum shale_xattr_policy policy, bool foreign,
			const char *name)
{
	if (policy == SHALE_XATTRS_NONE)
		return false;
	if (policy == SHALE_XATTRS_USER || starts(name, "user."))
		return starts(name, "user.");
	if (starts(name, "system."))
		return starts(name, "system.posix_acl_");
	/* How XFS keeps the same ACLs, which it shows to root. */
	if (starts(name, "trusted.SGI_ACL_"))
		return false;
	if (!foreign)
		return true;
	return policy == SHALE_XATTRS_ALL && !starts(name, "trusted.overlay.");
}

/* Whose xattrs are read: `name` in `dirfd`, itself if it is a symlink. */
struct whose {
	int dirfd;
	const char *name;
};

static ssize_t get_value(const struct whose *w, const char *xattr, void *out,
			 size_t room)
{
	char path[SHALE_BENEATH_PROC];
	shale_beneath_proc(w->dirfd, w->name, path);
	return lgetxattr(path, xattr, out, room);
}

/* Every file is asked for its names, and few have any: a new kernel tells them
 * without the way through /proc, which costs more than the answer. */
static ssize_t list_names(const struct whose *w, void *out, size_t room)
{
	char path[SHALE_BENEATH_PROC];
	long n = syscall(SYS_listxattrat, w->dirfd, w->name,
			 AT_SYMLINK_NOFOLLOW, out, room);
	if (n >= 0 || (errno != ENOSYS && errno != EPERM))
		return n;
	shale_beneath_proc(w->dirfd, w->name, path);
	return llistxattr(path, out, room);
}

/* A list (`xattr` NULL) or value grows between asking for its size and
 * reading. */
static ssize_t read_growing(const struct whose *w, const char *xattr,
			    struct shale_buf *out)
{
	for (;;) {
		out->len = 0;
		ssize_t n = xattr ? get_value(w, xattr, NULL, 0)
				  : list_names(w, NULL, 0);
		if (n <= 0)
			return n < 0 ? -errno : 0;
		if (shale_buf_reserve(out, (size_t)n) < 0)
			return -ENOMEM;
		n = xattr ? get_value(w, xattr, out->data, out->cap)
			  : list_names(w, out->data, out->cap);
		if (n >= 0) {
			out->len = (size_t)n;
			return n;
		}
		if (errno != ERANGE)
			return -errno;
	}
}

/* Append one; one that went away meanwhile, or that may not be read, is not
 * there. */
static int append_one(const struct whose *w, const char *name,
		      struct shale_buf *value, struct shale_buf *out,
		      struct shale_err *err)
{
	ssize_t n = read_growing(w, name, value);
	if (n == -ENODATA || n == -EPERM || n == -EACCES || n == -ENOTSUP)
		return 0;
	if (n < 0)
		return shale_err_set(err, (int)-n, "xattr %s", name);
	return shale_xattr_append(out, name, value->data, value->len, err);
}

int shale_xattrs_read(int dirfd, const char *name,
		      enum shale_xattr_policy policy, bool marks,
		      struct shale_buf *out, struct shale_err *err)
{
	cleanup_buf struct shale_buf names = {0};
	cleanup_buf struct shale_buf value = {0};
	const struct whose w = {dirfd, name};

	out->len = 0;
	if (policy == SHALE_XATTRS_NONE && !marks)
		return 0;
	ssize_t n = read_growing(&w, NULL, &names);
	if (n == -ENOTSUP || n == -EPERM || n == -EACCES)
		return 0;
	if (n < 0)
		return shale_err_set(err, (int)-n, "list xattrs");

	for (size_t at = 0; at < names.len;) {
		const char *one = (const char *)names.data + at;
		int r = 0;
		if (shale_xattr_wanted(policy, false, one) ||
		    (marks && shale_whiteout_xattr(one)))
			r = append_one(&w, one, &value, out, err);
		if (r < 0)
			return r;
		at += strlen(one) + 1;
	}
	return out->len ? shale_xattr_sort(out, err) : 0;
}

int shale_xattrs_write(int fd, const void *list, uint32_t len, bool privileged,
		       struct shale_err *err)
{
	char path[SHALE_BENEATH_PROC];
	struct shale_xattr x;
	uint32_t at = 0;
	int first = 0, r;

	shale_beneath_proc(fd, NULL, path);
	while ((r = shale_xattr_next(list, len, &at, &x, err)) > 0) {
		char key[256];
		memcpy(key, x.name, x.name_len);
		key[x.name_len] = '\0';
		if (setxattr(path, key, x.value, x.value_len, 0) == 0)
			continue;
		if (!privileged && !starts(key, "user.") &&
		    (errno == EPERM || errno == EACCES || errno == ENOTSUP))
			continue;
		if (!first)
			first = shale_err_set(err, errno, "xattr %s", key);
	}
	return r < 0 ? r : first;
}
