/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/replay_impl.h"

#include "layers/base/cleanup.h"
#include "layers/ops/beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

int shale_replay_touch(struct shale_replaying *rp, const char *path,
		       bool itself)
{
	const char *slash = strrchr(path, '/');
	size_t len = itself ? strlen(path) : (size_t)(slash - path);
	char *dir = strndup(path, len ? len : 1); /* "/" is the root */

	if (dir && shale_buf_append(&rp->dirs, &dir, sizeof(dir)) == 0)
		return 0;
	free(dir);
	return shale_err_set(rp->err, ENOMEM, "replay");
}

int shale_replay_open(struct shale_replaying *rp, const char *path,
		      const char **name, struct shale_err *err)
{
	struct stat st;
	cleanup_fd int fd = shale_replay_parent(rp, path, name);
	if (fd < 0)
		return shale_err_set(err, -fd, "open its directory");
	int r = shale_replay_touch(rp, path, false);
	if (r < 0)
		return r;
	if (!rp->restore.privileged && fstat(fd, &st) == 0 &&
	    (st.st_mode & SHALE_REPLAY_OPEN_BITS) != SHALE_REPLAY_OPEN_BITS)
		fchmod(fd, (st.st_mode & 07777) | SHALE_REPLAY_OPEN_BITS);
	return steal_fd(&fd);
}

/* The time that the version says, and the mode if it is ours that is there. */
static int finish_one(struct shale_replaying *rp, const char *path)
{
	struct shale_attr attr;
	struct shale_err why = {0};
	struct stat st;
	uint64_t ino;

	int r = shale_index_find(rp->to->index, path, &ino, NULL);
	if (r == -ENOENT)
		return 0;
	if (r == 0)
		r = shale_index_attr(rp->to->index, ino, &attr, &why);
	cleanup_fd int fd = shale_beneath_open(rp->root, path + 1,
					       O_RDONLY | O_DIRECTORY, 0);
	if (fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP)
		return 0;
	if (r == 0 && (fd < 0 || fstat(fd, &st) < 0))
		r = shale_err_set(&why, fd < 0 ? -fd : errno, "open it");
	if (r == 0 && S_ISDIR(attr.mode)) {
		const struct timespec times[2] = {attr.mtime, attr.mtime};
		uint32_t mode = st.st_mode & 07777;
		if (!rp->restore.privileged &&
		    mode == ((attr.mode & 07777) | SHALE_REPLAY_OPEN_BITS))
			mode = attr.mode & 07777;
		if ((mode != (st.st_mode & 07777) && fchmod(fd, mode) < 0) ||
		    futimens(fd, times) < 0)
			r = shale_err_set(&why, errno, "set the time");
	}
	if (r < 0) {
		rp->sum->left_out++;
		/* Next time it is tried again, if something tells to. */
		rp->sum->unfinished |= r == -EIO || r == -EUCLEAN;
		shale_replay_say(rp, path, why.msg);
	}
	return 0;
}

static int by_path_backwards(const void *a, const void *b)
{
	return -strcmp(*(char *const *)a, *(char *const *)b);
}

int shale_replay_finish_root(struct shale_replaying *rp)
{
	return finish_one(rp, "/");
}

int shale_replay_finish(struct shale_replaying *rp)
{
	char **dir = (void *)rp->dirs.data;
	size_t n = rp->dirs.len / sizeof(*dir);
	int r = 0;

	if (n)
		qsort(dir, n, sizeof(*dir), by_path_backwards);
	for (size_t i = 0; r == 0 && i < n; i++)
		if (!i || strcmp(dir[i], dir[i - 1]) != 0)
			r = finish_one(rp, dir[i]);
	return r;
}
