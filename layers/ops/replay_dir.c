/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/replay_impl.h"

#include "layers/base/cleanup.h"
#include "layers/ops/export.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

static bool is_dir(const struct shale_attr *attr)
{
	return S_ISDIR(attr->mode);
}

/* Paths of an export are below the directory that it fills. */
struct below {
	struct shale_replaying *rp;
	const char *path;
};

static void say_below(void *arg, const char *path, const char *what)
{
	const struct below *b = arg;
	cleanup_buf struct shale_buf full = {0};
	if (shale_buf_printf(&full, "%s%s", b->path, path) == 0 &&
	    shale_buf_str(&full))
		shale_replay_say(b->rp, (char *)full.data, what);
}

static bool cancelled_below(void *arg)
{
	const struct below *b = arg;
	const struct shale_replay_opts *opts = b->rp->opts;
	return opts->cancelled && opts->cancelled(opts->arg);
}

static void progress_below(void *arg, uint64_t done, uint64_t total,
			   uint64_t files, const char *path)
{
	const struct below *b = arg;
	const struct shale_replay_opts *opts = b->rp->opts;
	(void)total;
	if (opts->progress)
		opts->progress(opts->arg, b->rp->sum->bytes + done, 0,
			       b->rp->sum->made + files, path);
}

/* Fill `fd`, all that is in the new directory and its own attributes. */
static int fill(struct shale_replay_place *p, int fd)
{
	struct shale_replaying *rp = p->rp;
	struct below below = {rp, p->d->path};
	struct shale_export_result made = {0};
	const struct shale_export_opts opts = {
		.overwrite = SHALE_OVERWRITE_NEVER,
		.same_owner = rp->opts->same_owner,
		.no_xattrs = rp->opts->no_xattrs,
		.threads = rp->opts->threads,
		.own_root = true,
		.cancelled = cancelled_below,
		.progress = progress_below,
		.problem = say_below,
		.arg = &below,
	};
	int r = shale_export(rp->to, p->d->new_ino, fd, NULL, &opts, &made,
			     rp->err);
	rp->sum->made += made.made + 1;
	rp->sum->bytes += made.bytes;
	rp->sum->left_out += made.left_out;
	rp->sum->damaged += made.damaged;
	rp->sum->xattrs += made.xattrs;
	return r;
}

static int build(struct shale_replay_place *p)
{
	struct shale_replaying *rp = p->rp;
	int stage = rp->restore.staging;
	uint64_t bytes = rp->sum->bytes;
	char tmp[SHALE_STAGED_NAME];

	/* One that gets no name stays there until the end. */
	snprintf(tmp, sizeof(tmp), "directory-%td",
		 p->step - (struct shale_replay_step *)(void *)rp->steps.data);
	if (mkdirat(stage, tmp, 0700) < 0)
		return shale_err_set(rp->err, errno, "make a directory in '%s'",
				     SHALE_REPLAY_STAGE);
	cleanup_fd int fd = openat(
		stage, tmp, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return shale_err_set(rp->err, errno, "open '%s'",
				     SHALE_REPLAY_STAGE);
	int r = fill(p, fd);
	return r < 0 ? r
		     : shale_replay_batch_add(p, tmp, rp->sum->bytes - bytes);
}

int shale_replay_dir(struct shale_replay_place *p, bool *whole, bool *shut)
{
	struct shale_replaying *rp = p->rp;
	bool had = p->d->old_ino && is_dir(&p->d->was);
	int r = 0;

	if (p->local == SHALE_LOCAL_OLD && !had) /* it would have gone */
		p->local = SHALE_LOCAL_NONE;
	switch (p->local) {
	case SHALE_LOCAL_NONE:
		*whole = !had;
		*shut = had;
		if (had && p->d->letter)
			shale_replay_in_way(rp, p->step, "is not there");
		if (had)
			return 0;
		if (!rp->opts->dry_run)
			return build(p);
		rp->sum->made++;
		break;
	case SHALE_LOCAL_NEW:
		return shale_replay_touch(rp, p->d->path, true);
	case SHALE_LOCAL_OLD:
		if (rp->opts->dry_run)
			rp->sum->changed++;
		else
			r = shale_replay_set(p);
		if (r == 0)
			r = shale_replay_touch(rp, p->d->path, true);
		break;
	case SHALE_LOCAL_OTHER:
		*shut = !S_ISDIR(p->st.st_mode) || !had;
		if (p->d->letter)
			shale_replay_in_way(rp, p->step, p->what);
		else if (!*shut)
			r = shale_replay_touch(rp, p->d->path, true);
		return r;
	}
	return r < 0 ? r : shale_replay_told(rp, p->step);
}
