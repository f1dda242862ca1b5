/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/base/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

DIR *shale_dir_open(int dirfd, const char *name)
{
	return shale_dir_of(
		openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

DIR *shale_dir_of(int fd)
{
	cleanup_fd int own = fd;
	DIR *dir = own < 0 ? NULL : fdopendir(own);

	if (dir)
		steal_fd(&own);
	return dir;
}

const struct dirent *shale_dir_next(DIR *dir)
{
	const struct dirent *entry;

	do {
		errno = 0;
		entry = readdir(dir);
	} while (entry &&
		 (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")));
	return entry;
}
