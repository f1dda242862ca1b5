/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/replay_impl.h"

#include "layers/base/cleanup.h"
#include "layers/base/dir.h"
#include "layers/base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* In the stage: which replay it is.  What is made has other names. */
static const char state[] = "state";

enum { STATE_MAX = 1024 };

typedef int name_fn(int dir, const char *name, int stage,
		    struct shale_err *err);

/* Hand every name of a directory to `fn`; `*any`: there was one. */
static int each(int dir, name_fn *fn, int stage, bool *any,
		struct shale_err *err)
{
	cleanup_dir DIR *list = shale_dir_open(dir, ".");
	int r = 0;

	if (!list)
		return shale_err_set(err, errno, "read a directory");
	for (const struct dirent *e; r == 0 && (e = shale_dir_next(list));) {
		if (dir == stage && !strcmp(e->d_name, state))
			continue;
		*any = true;
		r = fn(dir, e->d_name, stage, err);
	}
	return r;
}

/* 1: it is a directory. */
static int remove_file(int dir, const char *name, struct shale_err *err)
{
	if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno == EISDIR)
		return 1;
	return shale_err_set(err, errno, "remove '%s'", name);
}

/* A directory below goes up into the stage, under a name of its own. */
static int lift(int dir, const char *name, int stage, struct shale_err *err)
{
	char above[32];
	struct stat st;
	int r = remove_file(dir, name, err);

	/* Its number is its own: no name is tried as often as there are. */
	uint64_t i = 0;
	if (r == 1 && fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		i = st.st_ino;
	for (; r == 1; i++) {
		fchmodat(dir, name, 0700, 0);
		snprintf(above, sizeof(above), "old-%llu",
			 (unsigned long long)i);
		if (renameat2(dir, name, stage, above, RENAME_NOREPLACE) == 0)
			return 0;
		if (errno != EEXIST)
			r = shale_err_set(err, errno, "remove '%s'", name);
	}
	return r;
}

/*
 * What is there was made from an image, whose depth is its maker's choice: so
 * a directory is not descended into, but what is in it lifted out.
 */
static int remove_one(int dir, const char *name, int stage,
		      struct shale_err *err)
{
	bool any;
	int r = remove_file(dir, name, err);
	if (r != 1)
		return r;
	fchmodat(dir, name, 0700, 0);
	cleanup_fd int fd = openat(
		dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return shale_err_set(err, errno, "remove '%s'", name);
	r = each(fd, lift, stage, &any, err);
	if (r == 0 && unlinkat(dir, name, AT_REMOVEDIR) < 0)
		r = shale_err_set(err, errno, "remove '%s'", name);
	return r;
}

int shale_replay_stage_clear(int stage, struct shale_err *err)
{
	bool any;
	int r;
	do {
		any = false;
		r = each(stage, remove_one, stage, &any, err);
	} while (r == 0 && any);
	return r;
}

static int open_ours(int root, struct shale_err *err)
{
	struct stat st;
	cleanup_fd int fd =
		openat(root, SHALE_REPLAY_STAGE,
		       O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ENOENT
				       : shale_err_set(err, errno, "open '%s'",
						       SHALE_REPLAY_STAGE);
	if (fstat(fd, &st) < 0 || st.st_uid != geteuid())
		return shale_err_say(err, EEXIST, "'%s' is somebody else's",
				     SHALE_REPLAY_STAGE);
	return steal_fd(&fd);
}

int shale_replay_stage_read(int root, struct shale_buf *what,
			    struct shale_err *err)
{
	cleanup_fd int fd = open_ours(root, err);
	return fd < 0 ? fd : shale_read_file(fd, state, STATE_MAX, what, err);
}

int shale_replay_stage_open(int root, const char *what, int *stage, bool *again,
			    struct shale_err *err)
{
	cleanup_buf struct shale_buf before = {0};

	if (mkdirat(root, SHALE_REPLAY_STAGE, 0700) < 0 && errno != EEXIST)
		return shale_err_set(err, errno, "make '%s'",
				     SHALE_REPLAY_STAGE);
	cleanup_fd int fd = open_ours(root, err);
	if (fd < 0)
		return fd;
	int r = shale_read_file(fd, state, STATE_MAX, &before, NULL);
	*again = r == 0 && before.len == strlen(what) &&
		 !memcmp(before.data, what, before.len);
	r = shale_replay_stage_clear(fd, err);
	if (r == 0 && !*again)
		r = shale_file_replace(fd, state, what, strlen(what), err);
	if (r == 0)
		*stage = steal_fd(&fd);
	return r;
}

int shale_replay_stage_remove(int root, int stage, struct shale_err *err)
{
	int r = shale_replay_stage_clear(stage, err);
	if (r == 0 && unlinkat(stage, state, 0) < 0 && errno != ENOENT)
		r = shale_err_set(err, errno, "remove '%s'", state);
	if (r == 0 && unlinkat(root, SHALE_REPLAY_STAGE, AT_REMOVEDIR) < 0)
		r = shale_err_set(err, errno, "remove '%s'",
				  SHALE_REPLAY_STAGE);
	return r;
}
