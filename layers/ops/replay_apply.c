/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/replay_impl.h"

#include "layers/base/cleanup.h"
#include "layers/ops/export.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* A step, and what stands at its path. */
struct place {
	struct shale_replaying *rp;
	struct shale_replay_step *step;
	const struct shale_difference *d;
	int parent;
	const char *name;
	enum shale_local local;
	struct stat st; /* unless there is nothing */
	const char *what;
};

static bool no_directory(int r)
{
	return r == -ENOENT || r == -ENOTDIR || r == -ELOOP;
}

static bool is_dir(const struct shale_attr *attr)
{
	return S_ISDIR(attr->mode);
}

/* 0: there is such a place; 1: there is not, or the step is over. */
static int go_there(struct place *p)
{
	struct shale_err why = {0};
	p->d = &p->step->d;
	p->parent = shale_replay_parent(p->rp, p->d->path, &p->name);
	if (no_directory(p->parent))
		return 1;
	int r = p->parent < 0
			? shale_err_set(&why, -p->parent, "open its directory")
			: shale_replay_look(p->rp, p->parent, p->name, p->d,
					    &p->st, &p->local, &p->what, &why);
	if (r == 0)
		return 0;
	r = shale_replay_outcome(p->rp, p->step, r, &why);
	return r < 0 ? r : 1;
}

static void leave(struct place *p)
{
	if (p->parent >= 0)
		close(p->parent);
}

/* ----------------------------------------------------------------- removing */

static int remove_here(struct place *p)
{
	bool dir = is_dir(&p->d->was);
	struct shale_err why = {0};
	const char *name;

	cleanup_fd int fd = shale_replay_open(p->rp, p->d->path, &name, &why);
	if (fd >= 0 && unlinkat(fd, name, dir ? AT_REMOVEDIR : 0) == 0) {
		p->rp->sum->removed++;
		return 0;
	}
	if (fd >= 0 && dir && (errno == ENOTEMPTY || errno == EEXIST)) {
		shale_replay_in_way(p->rp, p->step,
				    "holds what the version does not have");
		return 1;
	}
	int r = fd < 0 ? fd : shale_err_set(&why, errno, "remove it");
	r = shale_replay_outcome(p->rp, p->step, r, &why);
	return r < 0 ? r : 1;
}

int shale_replay_remove(struct shale_replaying *rp,
			struct shale_replay_step *step)
{
	SHALE_CLEANUP(leave)
	struct place p = {.rp = rp, .step = step, .parent = -1};

	int r = go_there(&p);
	if (r || p.local == SHALE_LOCAL_NONE ||
	    (p.local == SHALE_LOCAL_NEW && p.d->new_ino))
		return r < 0 ? r : 0;
	if (p.local == SHALE_LOCAL_OTHER) {
		shale_replay_in_way(rp, step, p.what);
		return 0;
	}
	if (!rp->opts->dry_run)
		r = remove_here(&p);
	else if (!p.d->new_ino)
		rp->sum->removed++;
	/* Of another type now: that is told when it is made. */
	return r == 0 && !p.d->new_ino ? shale_replay_told(rp, step)
				       : (r < 0 ? r : 0);
}

/* ------------------------------------------------------------- directories */

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
static int fill(struct place *p, int fd)
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

static int build(struct place *p)
{
	static const char tmp[] = "directory";
	struct shale_replaying *rp = p->rp;
	int stage = rp->restore.staging;
	struct shale_err why = {0};
	const char *name;

	if (mkdirat(stage, tmp, 0700) < 0)
		return shale_err_set(rp->err, errno, "make a directory in '%s'",
				     SHALE_REPLAY_STAGE);
	cleanup_fd int fd = openat(
		stage, tmp, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return shale_err_set(rp->err, errno, "open '%s'",
				     SHALE_REPLAY_STAGE);
	int r = fill(p, fd);
	if (r < 0)
		return r;
	cleanup_fd int parent = shale_replay_open(rp, p->d->path, &name, &why);
	r = parent < 0 ? parent : move_in(stage, tmp, parent, name);
	if (r == 0)
		return shale_replay_touch(rp, p->d->path, true);
	if (parent >= 0)
		shale_err_set(&why, -r, "give it its name");
	r = shale_replay_outcome(rp, p->step, r, &why);
	int stale = shale_replay_stage_clear(stage, rp->err);
	return r < 0 ? r : stale;
}

static int set_attributes(struct place *p)
{
	struct shale_err why = {0};
	int r = shale_replay_attributes(p->rp, p->parent, p->name, p->d, &why);
	p->rp->sum->changed += r >= 0;
	return shale_replay_outcome(p->rp, p->step, r, &why);
}

static int apply_dir(struct place *p, bool *whole, bool *shut)
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
		if (rp->opts->dry_run)
			rp->sum->made++;
		else
			r = build(p);
		break;
	case SHALE_LOCAL_NEW:
		return shale_replay_touch(rp, p->d->path, true);
	case SHALE_LOCAL_OLD:
		if (rp->opts->dry_run)
			rp->sum->changed++;
		else
			r = set_attributes(p);
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

/* -------------------------------------------------------------------- files */

static enum shale_overwrite over(const struct place *p)
{
	return p->local == SHALE_LOCAL_NONE ? SHALE_OVERWRITE_NEVER
					    : SHALE_OVERWRITE_ALWAYS;
}

/* What restoring a file came to. */
static int made(struct place *p, int r, enum shale_restored outcome,
		uint64_t bytes, const struct shale_err *why)
{
	if (r >= 0 && outcome == SHALE_EXISTS) {
		shale_replay_in_way(p->rp, p->step, "was made meanwhile");
		return 0;
	}
	if (r >= 0 && outcome == SHALE_REFUSED) {
		p->rp->sum->left_out++;
		p->step->failed = true;
		shale_replay_say(p->rp, p->d->path,
				 "left out: only root can make devices");
		return 0;
	}
	p->rp->sum->made += r >= 0;
	p->rp->sum->bytes += r >= 0 ? bytes : 0;
	return shale_replay_outcome(p->rp, p->step, r, why);
}

static int make(struct place *p)
{
	struct shale_restore restore = p->rp->restore;
	enum shale_restored outcome = SHALE_RESTORED;
	struct shale_err why = {0};
	const char *name;

	if (p->rp->opts->dry_run) {
		p->rp->sum->made++;
		return 0;
	}
	restore.overwrite = over(p);
	cleanup_fd int fd = shale_replay_open(p->rp, p->d->path, &name, &why);
	int r = fd < 0 ? fd
		       : shale_restore_inode(&restore, fd, name, &p->d->is,
					     &outcome, &why);
	return made(p, r, outcome, S_ISREG(p->d->is.mode) ? p->d->is.size : 0,
		    &why);
}

static int link_to(struct place *p, int fromfd, const char *from)
{
	struct shale_restore restore = p->rp->restore;
	enum shale_restored outcome = SHALE_RESTORED;
	struct shale_err why = {0};
	const char *name;

	if (p->rp->opts->dry_run) {
		p->rp->sum->made++;
		return 0;
	}
	restore.overwrite = over(p);
	cleanup_fd int fd = shale_replay_open(p->rp, p->d->path, &name, &why);
	int r = fd < 0 ? fd
		       : shale_restore_link(&restore, fromfd, from, fd, name,
					    &outcome, &why);
	return made(p, r, outcome, 0, &why);
}

/* 1: the group's file is there, as one of the versions has it: open its
 * directory. */
static int find_file(struct place *p, struct shale_replay_group *group, int *fd,
		     const char **name, struct stat *st)
{
	struct shale_replaying *rp = p->rp;
	struct shale_difference d = {
		.old_ino = group->from_ino,
		.new_ino = p->d->new_ino,
		.is = p->d->is,
	};
	enum shale_local local;
	const char *what;
	int r = 0;

	if (!group->path)
		return 0;
	if (d.old_ino)
		r = shale_index_attr(rp->from->index, d.old_ino, &d.was,
				     rp->err);
	*fd = shale_replay_parent(rp, group->path, name);
	if (r == 0 && *fd >= 0)
		r = shale_replay_look(rp, *fd, *name, &d, st, &local, &what,
				      rp->err);
	if (r < 0)
		return r;
	if (*fd >= 0 && (local == SHALE_LOCAL_OLD || local == SHALE_LOCAL_NEW))
		return 1;
	/* Somebody changed it: the group begins anew. */
	free(group->path);
	*group = (struct shale_replay_group){0};
	return 0;
}

/* One of several names of a file, now or before. */
static int apply_link(struct place *p, bool covered)
{
	struct shale_replay_group *group;
	cleanup_fd int fd = -1;
	const char *name;
	struct stat st;

	int r = shale_replay_group(p->rp, p->d->new_ino, &group);
	if (r < 0)
		return r;
	bool goes_on = group->from_ino && group->from_ino == p->d->old_ino &&
		       p->local != SHALE_LOCAL_NONE;
	if (p->local == SHALE_LOCAL_OTHER) {
		if (p->d->letter || !goes_on)
			shale_replay_in_way(p->rp, p->step, p->what);
		return 0;
	}
	if (goes_on) {
		if (p->local == SHALE_LOCAL_NEW || !p->d->letter)
			return 0;
		if (!p->step->later) {
			p->step->later = true;
			return 0;
		}
		p->rp->sum->changed += p->rp->opts->dry_run;
		r = p->rp->opts->dry_run ? 0 : set_attributes(p);
		return r < 0 ? r : shale_replay_told(p->rp, p->step);
	}
	r = find_file(p, group, &fd, &name, &st);
	if (r < 0)
		return r;
	if (r > 0 && p->local != SHALE_LOCAL_NONE &&
	    st.st_dev == p->st.st_dev && st.st_ino == p->st.st_ino)
		return 0;
	if (r > 0) {
		r = link_to(p, fd, name);
		return r < 0 ? r : shale_replay_told(p->rp, p->step);
	}
	/* The first of its names.  A file that is as it must be will do, if no
	 * name that the old version gave it can share it. */
	bool own = p->local == SHALE_LOCAL_NEW &&
		   (covered || !p->d->old_ino || p->st.st_nlink == 1 ||
		    p->d->what & (SHALE_DIFF_TYPE | SHALE_DIFF_CONTENT));
	r = own ? 0 : make(p);
	if (r < 0 || p->step->failed)
		return r;
	group->path = strdup(p->d->path);
	if (!group->path)
		return shale_err_set(p->rp->err, ENOMEM, "replay");
	return own ? 0 : shale_replay_told(p->rp, p->step);
}

static int apply_file(struct place *p)
{
	struct shale_replaying *rp = p->rp;
	int r;

	if (p->local == SHALE_LOCAL_OTHER) {
		shale_replay_in_way(rp, p->step, p->what);
		return 0;
	}
	if (p->local == SHALE_LOCAL_NEW)
		return 0;
	/* Where somebody else has a link to it, that is not ours to change. */
	if (p->local == SHALE_LOCAL_OLD && p->d->letter == 'm' &&
	    p->st.st_nlink == 1) {
		rp->sum->changed += rp->opts->dry_run;
		r = rp->opts->dry_run ? 0 : set_attributes(p);
	} else {
		r = make(p);
	}
	return r < 0 ? r : shale_replay_told(rp, p->step);
}

int shale_replay_apply(struct shale_replaying *rp,
		       struct shale_replay_step *step, bool covered,
		       bool *whole, bool *shut)
{
	SHALE_CLEANUP(leave)
	struct place p = {.rp = rp, .step = step, .parent = -1};
	bool several = step->d.what & SHALE_DIFF_LINKS || step->d.is.nlink > 1;

	if (covered) {
		int r = shale_replay_told(rp, step);
		if (r < 0 || rp->opts->dry_run || is_dir(&step->d.is) ||
		    !several)
			return r;
	}
	int r = go_there(&p);
	if (r == 1 && !step->failed && step->d.letter)
		shale_replay_in_way(rp, step, "its directory is not there");
	if (r)
		return r < 0 ? r : 0;
	if (is_dir(&step->d.is))
		return apply_dir(&p, whole, shut);
	return several ? apply_link(&p, covered) : apply_file(&p);
}
