/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/replay.h"

#include "layers/base/cleanup.h"
#include "layers/ops/export.h"
#include "layers/ops/export_impl.h"
#include "layers/ops/replay_impl.h"

#include <dirent.h>
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
	rp->sum->damaged += r == -EIO || r == -EUCLEAN;
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

static int stopped(const struct shale_replaying *rp)
{
	const struct shale_replay_opts *opts = rp->opts;
	if (opts->cancelled && opts->cancelled(opts->arg))
		return shale_err_say(rp->err, EINTR, "interrupted");
	if (opts->progress)
		opts->progress(opts->arg, rp->sum->bytes, 0, rp->sum->made, "");
	return 0;
}

/* -------------------------------------------------------------------- steps */

static int add_step(void *arg, const struct shale_difference *d)
{
	struct shale_replaying *rp = arg;
	struct shale_replay_step step = {.d = *d};

	step.d.path = strdup(d->path);
	if (step.d.path &&
	    shale_buf_append(&rp->steps, &step, sizeof(step)) == 0)
		return 0;
	free((char *)step.d.path);
	return shale_err_set(rp->err, ENOMEM, "replay");
}

static bool is_dir(const struct shale_attr *attr)
{
	return S_ISDIR(attr->mode);
}

/* Must what was there go before what comes can be made? */
static bool removes(const struct shale_difference *d)
{
	return d->letter == 'D' ||
	       (d->letter == 'T' && (is_dir(&d->was) || is_dir(&d->is)));
}

/* What is in a directory goes before it. */
static int remove_all(struct shale_replaying *rp)
{
	struct shale_replay_step *step = (void *)rp->steps.data;
	int r = 0;
	for (size_t i = rp->steps.len / sizeof(*step); r == 0 && i-- > 0;) {
		if (!removes(&step[i].d))
			continue;
		r = stopped(rp);
		if (r == 0)
			r = shale_replay_remove(rp, &step[i]);
	}
	return r;
}

/* A directory that was made whole, or is none here, whose inside may follow. */
struct outer {
	const char *path;
	bool whole;
};

/*
 * Is the path in one of those?  They are left behind when no path in them can
 * come any more: paths ascend as strcmp() has it.
 */
static const struct outer *find_outer(struct shale_buf *outers,
				      const char *path)
{
	const struct outer *v = (const void *)outers->data;
	size_t n = outers->len / sizeof(*v), len = 0;

	for (; n; n--) {
		len = strlen(v[n - 1].path);
		if (!strncmp(path, v[n - 1].path, len) &&
		    (uint8_t)path[len] <= '/')
			break;
	}
	outers->len = n * sizeof(*v);
	for (size_t i = 0; i < n; i++) {
		len = strlen(v[i].path);
		if (!strncmp(path, v[i].path, len) && path[len] == '/')
			return &v[i];
	}
	return NULL;
}

/* One step, unless what is around it was made whole or is not there. */
static int apply_one(struct shale_replaying *rp, struct shale_replay_step *step,
		     struct shale_buf *outers)
{
	bool whole = false, shut = step->failed && is_dir(&step->d.is);
	const struct outer *in = find_outer(outers, step->d.path);
	int r = 0;

	if (in && !in->whole)
		return 0;
	if (!step->failed) {
		r = stopped(rp);
		if (r == 0)
			r = shale_replay_apply(rp, step, in != NULL, &whole,
					       &shut);
	}
	struct outer out = {step->d.path, whole && !step->failed};
	if (r == 0 && (whole || shut) &&
	    shale_buf_append(outers, &out, sizeof(out)) < 0)
		r = shale_err_set(rp->err, ENOMEM, "replay");
	return r;
}

static int apply_all(struct shale_replaying *rp)
{
	struct shale_replay_step *step = (void *)rp->steps.data;
	size_t n = rp->steps.len / sizeof(*step);
	cleanup_buf struct shale_buf outers = {0};
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		if (step[i].d.letter != 'D')
			r = apply_one(rp, &step[i], &outers);
	outers.len = 0;
	for (size_t i = 0; r == 0 && i < n; i++)
		if (step[i].later)
			r = apply_one(rp, &step[i], &outers);
	return r;
}

static void release(struct shale_replaying *rp)
{
	struct shale_replay_step *step = (void *)rp->steps.data;
	for (size_t i = 0; i < rp->steps.len / sizeof(*step); i++)
		free((char *)step[i].d.path);
	char **dir = (void *)rp->dirs.data;
	for (size_t i = 0; i < rp->dirs.len / sizeof(*dir); i++)
		free(dir[i]);
	shale_buf_release(&rp->steps);
	shale_buf_release(&rp->dirs);
	shale_replay_links_release(&rp->links);
}

/* ------------------------------------------------------------- the two ways */

static int open_stage(struct shale_replaying *rp, bool *again)
{
	int r = shale_replay_stage_open(rp->root, rp->opts->what,
					&rp->restore.staging, again, rp->err);
	rp->restore.staged = r == 0;
	return r;
}

/* The stage goes, then the root gets its time. */
static int close_stage(struct shale_replaying *rp)
{
	int r = shale_replay_stage_remove(rp->root, rp->restore.staging,
					  rp->err);
	close(rp->restore.staging);
	rp->restore.staged = false;
	return r;
}

static int step_by_step(struct shale_replaying *rp)
{
	bool again;
	int r = 0;

	if (!rp->opts->dry_run)
		r = open_stage(rp, &again);
	if (r == 0)
		r = remove_all(rp);
	if (r == 0)
		r = apply_all(rp);
	if (rp->opts->dry_run)
		return r;
	/* What was done is to be right also where not all was. */
	if (rp->restore.staged) {
		int closed = r == 0 ? close_stage(rp) : 0;
		r = r < 0 ? r : closed;
		int finished = shale_replay_touch(rp, "/", true);
		if (finished == 0)
			finished = shale_replay_finish(rp);
		r = r < 0 ? r : finished;
	}
	if (rp->restore.staged)
		close(rp->restore.staging);
	return r;
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
	int r = shale_diff(rp->from, rp->to, &opts, add_step, rp, rp->err);
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

static int fill(struct shale_replaying *rp, bool again)
{
	const struct shale_replay_opts *o = rp->opts;
	struct shale_export_result made = {0};
	const struct shale_export_opts opts = {
		.overwrite = again ? SHALE_OVERWRITE_IF_CHANGED
				   : SHALE_OVERWRITE_NEVER,
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
	return r;
}

static int from_nothing(struct shale_replaying *rp)
{
	struct shale_attr attr;
	bool again;

	if (rp->opts->dry_run) {
		const struct shale_diff_opts opts = {0};
		return shale_diff(NULL, rp->to, &opts, tell_all, rp, rp->err);
	}
	int r = open_stage(rp, &again);
	if (r < 0)
		return r;
	r = fill(rp, again);
	if (r < 0) {
		close(rp->restore.staging);
		return r;
	}
	r = close_stage(rp);
	if (r == 0)
		r = shale_index_attr(rp->to->index, SHALE_ROOT_INO, &attr,
				     rp->err);
	if (r == 0)
		r = shale_restore_attributes(&rp->restore, rp->root, &attr,
					     rp->err);
	return r < 0 ? r : 0;
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
	int copy = openat(rp->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = copy < 0 ? NULL : fdopendir(copy);
	int r = 1;

	if (!list) {
		r = shale_err_set(rp->err, errno, "read the directory");
		if (copy >= 0)
			close(copy);
		return r;
	}
	for (const struct dirent *e; r == 1 && (e = readdir(list));)
		r = !strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") ||
		    !strcmp(e->d_name, SHALE_REPLAY_STAGE);
	closedir(list);
	return r;
}

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
				     "finish that first",
				     (int)what.len, (const char *)what.data);
	if (begun || rp->from)
		return 0;
	r = is_empty(rp);
	if (r < 0)
		return r;
	return r ? 0 : shale_err_say(rp->err, ENOTEMPTY, "it is not empty");
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
	if (r == 0)
		r = from ? changes(&rp) : from_nothing(&rp);
	release(&rp);
	return r;
}
