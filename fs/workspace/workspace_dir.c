/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/workspace/info.h"
#include "layers/base/dir.h"
#include "layers/base/io.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/*
 * Making, removing and listing.  What is being made or removed has the name
 * `.tmp.<process>.<name>`: a crash leaves one of these, and the next of us
 * takes it away.
 */

enum { DEPTH_MAX = 4 }; /* of directories in a workspace */

static DIR *open_list(int parent, const char *name)
{
	return shale_dir_of(openat(
		parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
}

static int remove_tree(int parent, const char *name, int depth)
{
	if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -errno;
	if (depth > DEPTH_MAX)
		return -ELOOP;

	cleanup_dir DIR *dir = open_list(parent, name);
	if (!dir)
		return -errno;
	const struct dirent *entry;
	while ((entry = shale_dir_next(dir))) {
		int r = remove_tree(dirfd(dir), entry->d_name, depth + 1);
		if (r < 0)
			return r;
	}
	if (errno || unlinkat(parent, name, AT_REMOVEDIR) < 0)
		return -errno;
	return 0;
}

/* Take away what processes that are gone left half made or half removed. */
static void sweep(int all)
{
	cleanup_dir DIR *dir = open_list(all, ".");
	const struct dirent *entry;

	while (dir && (entry = shale_dir_next(dir))) {
		long pid;
		if (sscanf(entry->d_name, ".tmp.%ld.", &pid) != 1 || pid <= 0)
			continue;
		if (kill((pid_t)pid, 0) < 0 && errno == ESRCH)
			remove_tree(all, entry->d_name, 0);
	}
}

static int open_all(int store_dirfd, int *out, struct shale_err *err)
{
	int fd = openat(store_dirfd, "workspaces",
			O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return shale_err_set(err, errno, "open 'workspaces'");
	*out = fd;
	return 0;
}

enum { TMP_NAME = 160 };

static void tmp_name(char tmp[TMP_NAME], const char *name)
{
	snprintf(tmp, TMP_NAME, ".tmp.%ld.%s", (long)getpid(), name);
}

/* ---------------------------------------------------------------- making */

static int fill(int all, const char *tmp,
		const struct shale_workspace_info *info, struct shale_err *err)
{
	if (mkdirat(all, tmp, 0700) < 0)
		return shale_err_set(err, errno, "make '%s'", info->name);
	cleanup_fd int dir =
		openat(all, tmp, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return shale_err_set(err, errno, "make '%s'", info->name);
	int r = shale_workspace_info_write(dir, info, err);
	if (r < 0)
		return r;
	if (renameat2(all, tmp, all, info->name, RENAME_NOREPLACE) < 0) {
		if (errno == EEXIST)
			return shale_err_say(err, EEXIST,
					     "there is a workspace '%s' "
					     "already",
					     info->name);
		return shale_err_set(err, errno, "make '%s'", info->name);
	}
	return shale_dir_sync(all, "workspaces", err);
}

int shale_workspace_make(int store_dirfd,
			 const struct shale_workspace_info *info,
			 struct shale_err *err)
{
	char tmp[TMP_NAME];
	cleanup_fd int all = -1;

	int r = shale_workspace_name_check(info->name, err);
	if (r == 0)
		r = shale_mkdir(store_dirfd, "workspaces", 0700, err);
	if (r == 0)
		r = open_all(store_dirfd, &all, err);
	if (r < 0)
		return r;
	sweep(all);
	tmp_name(tmp, info->name);
	remove_tree(all, tmp, 0);
	r = fill(all, tmp, info, err);
	if (r < 0)
		remove_tree(all, tmp, 0);
	return r;
}

/* -------------------------------------------------------------- removing */

int shale_workspace_remove(int store_dirfd, const char *name,
			   struct shale_err *err)
{
	cleanup_fd int dir = -1, lock = -1, all = -1;
	char tmp[TMP_NAME];

	int r = shale_workspace_lock(store_dirfd, name, &dir, &lock, err);
	if (r == 0)
		r = open_all(store_dirfd, &all, err);
	if (r < 0)
		return r;
	sweep(all);
	tmp_name(tmp, name);
	if (renameat(all, name, all, tmp) < 0)
		return shale_err_set(err, errno, "remove workspace '%s'", name);
	r = shale_dir_sync(all, "workspaces", err);
	if (r == 0)
		r = remove_tree(all, tmp, 0);
	return r < 0 ? shale_err_set(err, -r, "remove workspace '%s'", name)
		     : 0;
}

/* ------------------------------------------------------------------ size */

static uint64_t tree_bytes(int parent, const char *name, int depth)
{
	cleanup_dir DIR *dir = open_list(parent, name);
	const struct dirent *entry;
	uint64_t sum = 0;
	struct stat st;

	while (dir && depth <= DEPTH_MAX && (entry = shale_dir_next(dir))) {
		if (fstatat(dirfd(dir), entry->d_name, &st,
			    AT_SYMLINK_NOFOLLOW) < 0)
			continue; /* it has gone since */
		sum += (uint64_t)st.st_blocks * 512;
		if (S_ISDIR(st.st_mode))
			sum += tree_bytes(dirfd(dir), entry->d_name, depth + 1);
	}
	return sum;
}

uint64_t shale_workspace_bytes(int store_dirfd, const char *name)
{
	cleanup_fd int all = -1;

	if (open_all(store_dirfd, &all, NULL) < 0)
		return 0;
	return tree_bytes(all, name, 0);
}

uint64_t shale_workspace_data_bytes(int store_dirfd, const char *name)
{
	cleanup_fd int all = -1, dir = -1;

	if (open_all(store_dirfd, &all, NULL) < 0)
		return 0;
	dir = openat(all, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir < 0 ? 0 : tree_bytes(dir, "data", 0);
}

/* --------------------------------------------------------------- listing */

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int list_names(DIR *dir, struct shale_buf *names)
{
	const struct dirent *entry;
	while ((entry = shale_dir_next(dir))) {
		if (shale_workspace_name_check(entry->d_name, NULL) < 0)
			continue;
		char *name = strdup(entry->d_name);
		if (!name || shale_buf_append(names, &name, sizeof(name)) < 0) {
			free(name);
			return -ENOMEM;
		}
	}
	return -errno;
}

int shale_workspace_list(int store_dirfd, char ***names, size_t *n,
			 struct shale_err *err)
{
	cleanup_dir DIR *dir = open_list(store_dirfd, "workspaces");
	struct shale_buf list = {0};

	int r = dir ? list_names(dir, &list) : errno == ENOENT ? 0 : -errno;
	char **all = (char **)(void *)list.data;
	size_t count = list.len / sizeof(*all);
	if (r < 0) {
		for (size_t i = 0; i < count; i++)
			free(all[i]);
		shale_buf_release(&list);
		return shale_err_set(err, -r, "list workspaces");
	}
	if (count)
		qsort(all, count, sizeof(*all), by_name);
	*names = all;
	*n = count;
	return 0;
}
