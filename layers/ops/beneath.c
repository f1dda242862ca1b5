/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/beneath.h"

#include "layers/base/cleanup.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

/* The kernel takes paths below 4096 bytes, NUL included. */
enum { LONGEST = 4095 };

static int open_at_once(int root, const char *path, int flags, mode_t mode)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned)flags,
		.mode = flags & O_CREAT ? mode : 0,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
	};
	long fd;
	do {
		fd = syscall(SYS_openat2, root, path, &how, sizeof(how));
	} while (fd < 0 && (errno == EINTR || errno == EAGAIN));
	return fd < 0 ? -errno : (int)fd;
}

/* Name by name: for long paths, and where there is no openat2. */
static int open_stepwise(int root, const char *path, int flags, mode_t mode)
{
	cleanup_fd int dir = -1;
	const char *slash;

	while ((slash = strchr(path, '/'))) {
		char name[256];
		size_t len = (size_t)(slash - path);
		if (len >= sizeof(name))
			return -ENAMETOOLONG;
		memcpy(name, path, len);
		name[len] = '\0';
		int next =
			openat(dir < 0 ? root : dir, name,
			       O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (next < 0)
			return -errno;
		if (dir >= 0)
			close(dir);
		dir = next;
		path = slash + 1;
	}
	int fd = openat(dir < 0 ? root : dir, path, flags, mode);
	return fd < 0 ? -errno : fd;
}

int shale_beneath_open(int root, const char *path, int flags, mode_t mode)
{
	flags |= O_CLOEXEC | O_NOFOLLOW;
	if (!*path)
		path = ".";
	if (strlen(path) < LONGEST) {
		int fd = open_at_once(root, path, flags, mode);
		if (fd != -ENOSYS && fd != -EPERM)
			return fd;
	}
	return open_stepwise(root, path, flags, mode);
}

void shale_beneath_proc(int dirfd, const char *name, char *out)
{
	snprintf(out, SHALE_BENEATH_PROC, "/proc/self/fd/%d%s%s", dirfd,
		 name ? "/" : "", name ? name : "");
}
