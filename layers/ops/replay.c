/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/replay.h"

#include "layers/base/cleanup.h"
#include "layers/base/dir.h"
#include "layers/base/io.h"
#include "layers/ops/export.h"
#include "layers/ops/export_impl.h"
#include "layers/ops/replay_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* ------------------------------------------------------ telling, counting */

void shale_replay_say(struct shale_replaying *rp, const char *path,
		      const char *what)
{
	if (rp->opts->problem)
		rp->opts->problem(rp->opts->arg, path, what);
}

void shale_replay_in_way(struct shale_replaying *rp,
			 struct shale_replay_step *step, const char *what)
{
	step->failed = true;
	rp->sum->in_way++;
	shale_replay_say(rp, step->d.path, what);
}

int shale_replay_outcome(struct shale_replaying *rp,
			 struct shale_replay_step *step, int r,
			 const struct shale_err *why)
{
	if (r == 0)
		return 0;
	shale_replay_say(rp, step->d.path, why->msg);
	if (r > 0) {
		rp->sum->xattrs++;
		return 0;
	}
	step->failed = true;
	rp->sum->left_out++;
	rp->sum->damaged += r == -EUCLEAN;
	if (!shale_export_ends(r))
		return 0;
	if (rp->err)
		*rp->err = *why;
	return shale_err_wrap(rp->err, r, "%s", step->d.path);
}

int shale_replay_told(struct shale_replaying *rp,
		      const struct shale_replay_step *step)
{
	struct shale_difference d = step->d;
	if (step->failed || !rp->opts->change)
		return 0;
	if (!d.letter) /* its names, or a directory's time */
		d.letter = 'm';
	return rp->opts->change(rp->opts->arg, &d);
}

int shale_replay_stopped(const struct shale_replaying *rp)
{
	const struct shale_replay_opts *opts = rp->opts;
	if (opts->cancelled && opts->cancelled(opts->arg))
		return shale_err_say(rp->err, EINTR, "interrupted");
	if (opts->progress)
		opts->progress(opts->arg, rp->sum->bytes, 0, rp->sum->made, "");
	return 0;
}

/* ------------------------------------------------------------- the two ways */

static int open_stage(struct shale_replaying *rp)
{
	int r = shale_replay_stage_open(rp->root, rp->opts->what,
					&rp->restore.staging, &rp->again,
					rp->err);
	rp->restore.staged = r == 0;
	return r;
}

/*
 * That is how it went (`r`).  Everything is on disk before nothing tells any
 * more that it is not; the root, in which the stage was, gets its attributes.
 */
static int close_stage(struct shale_replaying *rp, int r,
		       int (*finish_root)(struct shale_replaying *))
{
	bool done = r == 0 && !rp->sum->unfinished;

	if (done && syncfs(rp->root) < 0)
		r = shale_err_set(rp->err, errno, "write to disk");
	else if (done)
		r = shale_replay_stage_remove(rp->root, rp->restore.staging,
					      rp->err);
	close(rp->restore.staging);
	rp->restore.staged = false;
	if (done && r == 0)
		r = finish_root(rp);
	return done && r == 0
		       ? shale_dir_sync(rp->root, "the directory", rp->err)
		       : r;
}

static int step_by_step(struct shale_replaying *rp)
{
	int r = rp->opts->dry_run ? 0 : open_stage(rp);
	if (r == 0)
		r = shale_replay_steps(rp);
	if (!rp->restore.staged)
		return r;
	/* What was done is to be right also where not all was. */
	int finished = shale_replay_touch(rp, "/", true);
	if (finished == 0)
		finished = shale_replay_finish(rp);
	return close_stage(rp, r < 0 ? r : finished, shale_replay_finish_root);
}

static int changes(struct shale_replaying *rp)
{
	const struct shale_diff_opts opts = {
		.old_shared = rp->opts->old_shared,
		.new_shared = rp->opts->new_shared,
		.all = true,
		.cancelled = rp->opts->cancelled,
		.arg = rp->opts->arg,
	};
	int r = shale_diff(rp->from, rp->to, &opts, shale_replay_add_step, rp,
			   rp->err);
	if (r < 0)
		return r;
	/* One that was interrupted at its very end is still to be tidied. */
	cleanup_buf struct shale_buf what = {0};
	bool begun = shale_replay_stage_read(rp->root, &what, NULL) == 0;
	return rp->steps.len || begun ? step_by_step(rp) : 0;
}

static int tell_all(void *arg, const struct shale_difference *d)
{
	struct shale_replaying *rp = arg;
	const struct shale_replay_step step = {.d = *d};
	rp->sum->made++;
	rp->sum->bytes += S_ISREG(d->is.mode) ? d->is.size : 0;
	return shale_replay_told(rp, &step);
}

static int fill(struct shale_replaying *rp)
{
	const struct shale_replay_opts *o = rp->opts;
	struct shale_export_result made = {0};
	/* What an earlier attempt has made may not be on disk: the power may
	 * have gone, so the contents tell. */
	const struct shale_export_opts opts = {
		.overwrite = rp->again ? SHALE_OVERWRITE_IF_CHANGED
				       : SHALE_OVERWRITE_NEVER,
		.contents = true,
		.same_owner = o->same_owner,
		.no_xattrs = o->no_xattrs,
		.threads = o->threads,
		.staged = true,
		.staging = rp->restore.staging,
		.cancelled = o->cancelled,
		.progress = o->progress,
		.problem = o->problem,
		.arg = o->arg,
	};
	int r = shale_export(rp->to, SHALE_ROOT_INO, rp->root, NULL, &opts,
			     &made, rp->err);
	rp->sum->made += made.made;
	rp->sum->bytes += made.bytes;
	rp->sum->in_way += made.exists;
	rp->sum->left_out += made.left_out;
	rp->sum->damaged += made.damaged;
	rp->sum->xattrs += made.xattrs;
	/* What this file system or user cannot have will not come either. */
	rp->sum->unfinished = made.damaged || made.io_errors;
	return r;
}

static int root_attributes(struct shale_replaying *rp)
{
	struct shale_attr attr;
	int r = shale_index_attr(rp->to->index, SHALE_ROOT_INO, &attr, rp->err);
	if (r == 0)
		r = shale_restore_attributes(&rp->restore, rp->root, &attr,
					     rp->err);
	return r < 0 ? r : 0;
}

static int from_nothing(struct shale_replaying *rp)
{
	if (rp->opts->dry_run) {
		const struct shale_diff_opts opts = {0};
		return shale_diff(NULL, rp->to, &opts, tell_all, rp, rp->err);
	}
	int r = open_stage(rp);
	if (r < 0)
		return r;
	r = fill(rp);
	if (r == 0)
		r = root_attributes(rp);
	return close_stage(rp, r, root_attributes);
}

/* --------------------------------------------------------------- may we? */

static int check_images(const struct shale_replaying *rp)
{
	const struct shale_image *image[] = {rp->from, rp->to};
	uint64_t ino;
	for (int i = 0; i < 2; i++)
		if (image[i] &&
		    shale_index_find(image[i]->index, "/" SHALE_REPLAY_STAGE,
				     &ino, NULL) == 0)
			return shale_err_say(
				rp->err, EEXIST,
				"the version has a '%s' of its own, which is "
				"where a replay makes things",
				SHALE_REPLAY_STAGE);
	return 0;
}

/* Anything but the stage? */
static int is_empty(const struct shale_replaying *rp)
{
	cleanup_dir DIR *list = shale_dir_open(rp->root, ".");
	int r = 1;

	if (!list)
		return shale_err_set(rp->err, errno, "read the directory");
	for (const struct dirent *e; r == 1 && (e = shale_dir_next(list));)
		r = !strcmp(e->d_name, SHALE_REPLAY_STAGE);
	return r;
}

/* 1: it holds what is no unfinished replay, and no version is said. */
static int check_directory(const struct shale_replaying *rp)
{
	cleanup_buf struct shale_buf what = {0};

	if (rp->root < 0)
		return 0;
	int r = shale_replay_stage_read(rp->root, &what, rp->err);
	bool begun = r == 0 && what.len;
	if (r < 0 && r != -ENOENT)
		return r;
	if (begun && (what.len != strlen(rp->opts->what) ||
		      memcmp(what.data, rp->opts->what, what.len) != 0))
		return shale_err_say(rp->err, ESTALE,
				     "it holds an unfinished replay (%.*s): "
				     "finish that first, or remove its '%s'",
				     (int)what.len, (const char *)what.data,
				     SHALE_REPLAY_STAGE);
	if (begun || rp->from)
		return 0;
	r = is_empty(rp);
	return r < 0 ? r : r == 0;
}

/*
 * A replay from nothing that was killed when nothing was left to tell of it may
 * not have given the root its time: then all the rest is the version's.
 */
static int finish_whole(struct shale_replaying *rp)
{
	if (!rp->opts->dry_run)
		unlinkat(rp->root, SHALE_REPLAY_STAGE, AT_REMOVEDIR);
	int r = shale_replay_is_whole(rp);
	if (r < 0)
		return r;
	if (r == 0)
		return shale_err_say(rp->err, ENOTEMPTY, "it is not empty");
	if (rp->opts->dry_run)
		return 0;
	r = shale_replay_finish(rp);
	return r < 0 ? r : shale_dir_sync(rp->root, "the directory", rp->err);
}

int shale_replay(const struct shale_image *from, const struct shale_image *to,
		 int dirfd, const struct shale_replay_opts *opts,
		 struct shale_replay_result *result, struct shale_err *err)
{
	*result = (struct shale_replay_result){0};
	struct shale_replaying rp = {
		.from = from,
		.to = to,
		.opts = opts,
		.sum = result,
		.err = err,
		.restore = {.image = to,
			    .same_owner = opts->same_owner,
			    .privileged = geteuid() == 0,
			    .no_xattrs = opts->no_xattrs},
		.root = dirfd,
	};
	int r = check_images(&rp);
	if (r == 0)
		r = check_directory(&rp);
	if (r > 0)
		r = finish_whole(&rp);
	else if (r == 0)
		r = from ? changes(&rp) : from_nothing(&rp);
	shale_replay_steps_release(&rp);
	return r;
}
