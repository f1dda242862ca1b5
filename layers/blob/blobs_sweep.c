/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/blob/blobs_sweep.h"

#include "layers/base/cleanup.h"
#include "layers/base/clock.h"
#include "layers/base/dir.h"
#include "layers/base/io.h"
#include "layers/blob/blobs_impl.h"

#include <errno.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

struct timespec shale_blob_time(const struct stat *st)
{
	return shale_time_order(&st->st_mtim, &st->st_ctim) < 0 ? st->st_ctim
								: st->st_mtim;
}

/* -ENOENT: nothing of ours has that name. */
static int look(int dir, const char *name, struct shale_blob_seen *out)
{
	struct stat st;

	if (strlen(name) != SHALE_DIGEST_HEX ||
	    shale_digest_parse(name, &out->digest) < 0)
		return -ENOENT;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -ENOENT;
	out->size = (uint64_t)st.st_size;
	out->ino = st.st_ino;
	out->time = shale_blob_time(&st);
	return 0;
}

int shale_blobs_list(struct shale_blobs *blobs, struct shale_buf *out,
		     struct shale_err *err)
{
	cleanup_dir DIR *dir = shale_dir_open(blobs->dir, ".");
	if (!dir)
		return shale_err_set(err, errno, "read 'blobs/sha256'");
	const struct dirent *d;
	while ((d = shale_dir_next(dir))) {
		struct shale_blob_seen seen = {0};
		int r = look(dirfd(dir), d->d_name, &seen);
		if (r == 0 && shale_buf_append(out, &seen, sizeof(seen)) < 0)
			r = -ENOMEM;
		if (r < 0 && r != -ENOENT)
			return shale_err_set(err, -r, "blob '%s'", d->d_name);
	}
	return errno ? shale_err_set(err, errno, "read 'blobs/sha256'") : 0;
}

static bool same_file(const struct shale_blob_seen *a,
		      const struct shale_blob_seen *b)
{
	return a->ino == b->ino && a->size == b->size &&
	       shale_time_order(&a->time, &b->time) == 0;
}

int shale_blobs_remove(struct shale_blobs *blobs,
		       const struct shale_blob_seen *seen, size_t n,
		       bool *removed, struct shale_err *err)
{
	cleanup_fd int lock = -1;
	int r = shale_blobs_lock(blobs, LOCK_EX, &lock, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		char name[SHALE_DIGEST_HEX + 1];
		struct shale_blob_seen now = {0};

		removed[i] = false;
		shale_hex(name, seen[i].digest.b, sizeof(seen[i].digest.b));
		if (look(blobs->dir, name, &now) < 0 ||
		    !same_file(&now, &seen[i]))
			continue;
		if (unlinkat(blobs->dir, name, 0) < 0 && errno != ENOENT)
			return shale_err_set(err, errno,
					     "remove blob sha256:%s", name);
		removed[i] = true;
		shale_fds_forget(blobs->fds, &seen[i].digest);
	}
	return shale_dir_sync(blobs->dir, "blobs/sha256", err);
}
