/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/replay_impl.h"

#include "layers/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>

static bool no_directory(int r)
{
	return r == -ENOENT || r == -ENOTDIR || r == -ELOOP;
}

static bool is_dir(const struct shale_attr *attr)
{
	return S_ISDIR(attr->mode);
}

/* 0: there is such a place; 1: there is not, or the step is over. */
static int go_there(struct shale_replay_place *p)
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

static void leave(struct shale_replay_place *p)
{
	if (p->parent >= 0)
		close(p->parent);
}

/* ----------------------------------------------------------------- removing */

static int remove_here(struct shale_replay_place *p)
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
	struct shale_replay_place p = {.rp = rp, .step = step, .parent = -1};

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

/* ----------------------------------------------------------------- applying */

int shale_replay_set(struct shale_replay_place *p)
{
	struct shale_err why = {0};
	int r = shale_replay_attributes(p->rp, p->parent, p->name, p->d, &why);
	p->rp->sum->changed += r >= 0;
	return shale_replay_outcome(p->rp, p->step, r, &why);
}

int shale_replay_apply(struct shale_replaying *rp,
		       struct shale_replay_step *step, bool *whole, bool *shut)
{
	SHALE_CLEANUP(leave)
	struct shale_replay_place p = {.rp = rp, .step = step, .parent = -1};
	bool several = step->d.what & SHALE_DIFF_LINKS || step->d.is.nlink > 1;

	if (step->covered && rp->opts->dry_run)
		return shale_replay_told(rp, step);
	if (step->covered && (is_dir(&step->d.is) || !several))
		return 0; /* told with the directory */
	if (several && !is_dir(&step->d.is) && !rp->opts->dry_run &&
	    step->round == SHALE_REPLAY_ALONE) {
		step->round = SHALE_REPLAY_FIRST;
		return 0;
	}
	int r = go_there(&p);
	if (r == 1 && !step->failed && step->d.letter)
		shale_replay_in_way(rp, step, "its directory is not there");
	if (r)
		return r < 0 ? r : 0;
	if (is_dir(&step->d.is))
		return shale_replay_dir(&p, whole, shut);
	return several ? shale_replay_link(&p) : shale_replay_file(&p);
}
