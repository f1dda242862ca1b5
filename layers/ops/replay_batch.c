/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/replay_impl.h"

#include "layers/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* So much is made before it is made durable. */
enum { BATCH_NAMES = 4096, BATCH_BYTES = 256 << 20 };

struct shale_replay_staged {
	struct shale_replay_step *step;
	char name[SHALE_STAGED_NAME];
	bool replaces;  /* something that was there, */
	struct stat st; /* which was this */
	uint64_t bytes; /* of a file */
};

int shale_replay_batch_add(const struct shale_replay_place *p,
			   const char *staged, uint64_t bytes)
{
	struct shale_replaying *rp = p->rp;
	struct shale_replay_staged one = {
		.step = p->step,
		.replaces = p->local != SHALE_LOCAL_NONE,
		.bytes = S_ISDIR(p->d->is.mode) ? 0 : bytes,
	};

	snprintf(one.name, sizeof(one.name), "%s", staged);
	if (one.replaces)
		one.st = p->st;
	if (shale_buf_append(&rp->batch, &one, sizeof(one)) < 0)
		return shale_err_set(rp->err, ENOMEM, "replay");
	p->step->staged = true;
	rp->batch_bytes += bytes;
	return rp->batch_bytes >= BATCH_BYTES ||
			       rp->batch.len >= BATCH_NAMES * sizeof(one)
		       ? shale_replay_batch_flush(rp)
		       : 0;
}

/* Only who may write a directory may move it. */
static int move_in(int stage, const char *tmp, int parent, const char *name)
{
	int r = renameat2(stage, tmp, parent, name, RENAME_NOREPLACE);
	if (r < 0 && errno == EACCES && fchmodat(stage, tmp, 0700, 0) == 0)
		r = renameat2(stage, tmp, parent, name, RENAME_NOREPLACE);
	if (r < 0 && errno == EINVAL) /* a file system without that flag */
		r = renameat(stage, tmp, parent, name);
	return r < 0 ? -errno : 0;
}

/* What was looked at before it was replaced is still what is there.  (Another
 * of its names may have gone meanwhile.) */
static bool still_there(const struct shale_replay_staged *one, int parent,
			const char *name)
{
	struct stat st;
	return !one->replaces ||
	       (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		st.st_dev == one->st.st_dev && st.st_ino == one->st.st_ino &&
		st.st_mode == one->st.st_mode &&
		st.st_size == one->st.st_size &&
		st.st_mtim.tv_sec == one->st.st_mtim.tv_sec &&
		st.st_mtim.tv_nsec == one->st.st_mtim.tv_nsec);
}

/* Another file system is mounted there: it is made anew on that. */
static int place_across(struct shale_restore *restore,
			const struct shale_replay_staged *one, int parent,
			const char *name, enum shale_restored *outcome,
			struct shale_err *why)
{
	char staged[SHALE_STAGED_NAME];

	restore->staging = parent;
	int r = shale_restore_stage(restore, &one->step->d.is, staged, outcome,
				    why);
	if (r < 0 || *outcome != SHALE_RESTORED)
		return r;
	r = syncfs(parent) < 0 ? shale_err_set(why, errno, "write to disk")
			       : shale_restore_place(restore, staged, parent,
						     name, outcome, why);
	if (r < 0)
		unlinkat(parent, staged, 0);
	return r;
}

static int place_file(struct shale_replaying *rp,
		      const struct shale_replay_staged *one, int parent,
		      const char *name, enum shale_restored *outcome,
		      struct shale_err *why)
{
	struct shale_restore restore = rp->restore;
	restore.overwrite =
		one->replaces ? SHALE_OVERWRITE_ALWAYS : SHALE_OVERWRITE_NEVER;
	int r = shale_restore_place(&restore, one->name, parent, name, outcome,
				    why);
	return r == -EXDEV
		       ? place_across(&restore, one, parent, name, outcome, why)
		       : r;
}

/* The steps below a directory are done with it, or not. */
static int tell_below(struct shale_replaying *rp, struct shale_replay_step *dir)
{
	struct shale_replay_step *end =
		(void *)(rp->steps.data + rp->steps.len);
	const char *path = dir->d.path;
	size_t len = strlen(path);
	int r = shale_replay_told(rp, dir);

	for (struct shale_replay_step *s = dir + 1;
	     r == 0 && s < end && !strncmp(s->d.path, path, len) &&
	     (uint8_t)s->d.path[len] <= '/';
	     s++) {
		if (s->d.path[len] != '/' || s->d.letter == 'D')
			continue;
		s->failed |= dir->failed;
		r = shale_replay_told(rp, s);
	}
	return r;
}

static int place_there(struct shale_replaying *rp,
		       const struct shale_replay_staged *one, int parent,
		       const char *name, enum shale_restored *outcome,
		       struct shale_err *why)
{
	if (!still_there(one, parent, name)) {
		*outcome = SHALE_EXISTS;
		return 0;
	}
	if (!S_ISDIR(one->step->d.is.mode))
		return place_file(rp, one, parent, name, outcome, why);
	int r = move_in(rp->restore.staging, one->name, parent, name);
	return r < 0 ? shale_err_set(why, -r, "give it its name")
		     : shale_replay_touch(rp, one->step->d.path, true);
}

static int place_one(struct shale_replaying *rp,
		     const struct shale_replay_staged *one)
{
	enum shale_restored outcome = SHALE_RESTORED;
	struct shale_replay_step *step = one->step;
	bool dir = S_ISDIR(step->d.is.mode);
	struct shale_err why = {0};
	const char *name;

	step->staged = false;
	cleanup_fd int fd = shale_replay_open(rp, step->d.path, &name, &why);
	int r = fd < 0 ? fd : place_there(rp, one, fd, name, &outcome, &why);
	if (r >= 0 && outcome == SHALE_EXISTS) {
		shale_replay_in_way(rp, step,
				    one->replaces ? "was changed meanwhile"
						  : "was made meanwhile");
	} else if (r >= 0) {
		rp->sum->made += !dir; /* a directory has been counted */
		rp->sum->bytes += one->bytes;
	}
	r = shale_replay_outcome(rp, step, r, &why);
	if (r < 0)
		return r;
	return dir ? tell_below(rp, step) : shale_replay_told(rp, step);
}

int shale_replay_batch_flush(struct shale_replaying *rp)
{
	const struct shale_replay_staged *one = (void *)rp->batch.data;
	size_t n = rp->batch.len / sizeof(*one);
	int r = 0;

	if (n && syncfs(rp->restore.staging) < 0)
		r = shale_err_set(rp->err, errno, "write to disk");
	for (size_t i = 0; r == 0 && i < n; i++)
		r = place_one(rp, &one[i]);
	rp->batch.len = 0;
	rp->batch_bytes = 0;
	return r;
}
