/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/space.h"

#include "tools/output.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { DEPTH = 3 }; /* data files are two directories down */

/* Bytes allocated to files below a directory; what cannot be read has none. */
static uint64_t allocated(int dirfd, const char *name, int depth)
{
	struct stat st;
	uint64_t sum = 0;
	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir && fd >= 0)
		close(fd);
	for (struct dirent *d; dir && (d = readdir(dir));) {
		if (d->d_name[0] == '.' ||
		    fstatat(fd, d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (S_ISREG(st.st_mode))
			sum += (uint64_t)st.st_blocks * 512;
		else if (S_ISDIR(st.st_mode) && depth > 1)
			sum += allocated(fd, d->d_name, depth - 1);
	}
	if (dir)
		closedir(dir);
	return sum;
}

void shale_space_explain(struct shale_ctx *ctx, struct shale_store *store,
			 const char *workspace)
{
	struct statvfs fs;
	char path[300], need[32], free[32], why[sizeof(ctx->err.msg)];
	int dirfd = shale_store_dirfd(store);

	if (fstatvfs(dirfd, &fs) < 0)
		return;
	shale_human_size((uint64_t)fs.f_bavail * fs.f_frsize, false, free);
	memcpy(why, ctx->err.msg, sizeof(why));
	if (!workspace) {
		shale_err_say(&ctx->err, ENOSPC,
			      "%.700s; nothing was published; %s is free in %s",
			      why, free, shale_store_path(store));
		return;
	}
	snprintf(path, sizeof(path), "workspaces/%s/data", workspace);
	shale_human_size(allocated(dirfd, path, DEPTH), false, need);
	shale_err_say(&ctx->err, ENOSPC,
		      "%.700s; the new version needs up to %s and %s is free in "
		      "%s; the changes are kept: make space, then commit again",
		      why, need, free, shale_store_path(store));
}
