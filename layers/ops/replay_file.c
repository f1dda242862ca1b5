/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/replay_impl.h"

#include "layers/base/cleanup.h"

#include <fcntl.h>
#include <string.h>

/* Below this, writing all of a file costs no more than finding what differs. */
enum { BASIS_MIN = 1 << 20 };

/* What a new file can begin with: what it replaces, if that is in place. */
static bool find_basis(const struct shale_replay_place *p, int fd,
		       const char *name, struct shale_restore_basis *basis)
{
	const struct shale_replaying *rp = p->rp;
	bool old = p->local == SHALE_LOCAL_OLD;
	struct stat st;

	if (p->local == SHALE_LOCAL_NONE || !S_ISREG(p->d->is.mode) ||
	    !S_ISREG(p->st.st_mode) || p->d->is.size < BASIS_MIN)
		return false;
	basis->image = old ? rp->from : rp->to;
	basis->ino = old ? p->d->old_ino : p->d->new_ino;
	basis->fd = openat(fd, name,
			   O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	/* The file that was looked at, and nobody has written to it since. */
	return basis->fd >= 0 && fstat(basis->fd, &st) == 0 &&
	       st.st_dev == p->st.st_dev && st.st_ino == p->st.st_ino &&
	       st.st_size == p->st.st_size &&
	       st.st_mtim.tv_sec == p->st.st_mtim.tv_sec &&
	       st.st_mtim.tv_nsec == p->st.st_mtim.tv_nsec;
}

/* It gets its name with the next batch, and is told then. */
static int make(struct shale_replay_place *p)
{
	struct shale_replaying *rp = p->rp;
	struct shale_restore restore = rp->restore;
	enum shale_restored outcome = SHALE_RESTORED;
	struct shale_restore_basis basis = {.fd = -1};
	struct shale_err why = {0};
	char staged[SHALE_STAGED_NAME];

	if (rp->opts->dry_run) {
		rp->sum->made++;
		return shale_replay_told(rp, p->step);
	}
	if (find_basis(p, p->parent, p->name, &basis))
		restore.basis = &basis;
	int r = shale_restore_stage(&restore, &p->d->is, staged, &outcome,
				    &why);
	if (basis.fd >= 0)
		close(basis.fd);
	if (r >= 0 && outcome == SHALE_REFUSED) {
		rp->sum->left_out++;
		p->step->failed = true;
		shale_replay_say(rp, p->d->path,
				 "left out: only root can make devices");
		return 0;
	}
	int whole = shale_replay_outcome(rp, p->step, r, &why);
	if (r < 0)
		return whole;
	uint64_t bytes = S_ISREG(p->d->is.mode) ? p->d->is.size : 0;
	return shale_replay_batch_add(p, staged,
				      basis.used ? basis.written : bytes);
}

static int link_to(struct shale_replay_place *p, int fromfd, const char *from)
{
	struct shale_replaying *rp = p->rp;
	struct shale_restore restore = rp->restore;
	enum shale_restored outcome = SHALE_RESTORED;
	struct shale_err why = {0};
	const char *name;

	if (rp->opts->dry_run) {
		rp->sum->made++;
		return 0;
	}
	restore.overwrite = p->local == SHALE_LOCAL_NONE
				    ? SHALE_OVERWRITE_NEVER
				    : SHALE_OVERWRITE_ALWAYS;
	cleanup_fd int fd = shale_replay_open(rp, p->d->path, &name, &why);
	int r = fd < 0 ? fd
		       : shale_restore_link(&restore, fromfd, from, fd, name,
					    &outcome, &why);
	if (r >= 0 && outcome == SHALE_EXISTS) {
		shale_replay_in_way(rp, p->step, "was made meanwhile");
		return 0;
	}
	rp->sum->made += r >= 0;
	return shale_replay_outcome(rp, p->step, r, &why);
}

/* 1: the group's file is there, as one of the versions has it: open its
 * directory. */
static int find_file(struct shale_replay_place *p,
		     struct shale_replay_group *group, int *fd,
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

/* Its first name was made in this round: the others wait for that, or have it
 * brought in place. */
static int await_maker(struct shale_replay_place *p,
		       const struct shale_replay_group *group)
{
	if (!group->maker || !group->maker->staged)
		return 0;
	if (p->step->round < SHALE_REPLAY_MORE) {
		p->step->round = SHALE_REPLAY_MORE;
		return 1;
	}
	return shale_replay_batch_flush(p->rp);
}

/* What a directory brought along was told with that. */
static int told(const struct shale_replay_place *p)
{
	return p->step->covered ? 0 : shale_replay_told(p->rp, p->step);
}

/* A name that stays one of the file that it is one of. */
static int go_on(struct shale_replay_place *p)
{
	if (p->local == SHALE_LOCAL_NEW || !p->d->letter)
		return 0;
	if (p->step->round < SHALE_REPLAY_ATTRS) {
		p->step->round = SHALE_REPLAY_ATTRS;
		return 0;
	}
	p->rp->sum->changed += p->rp->opts->dry_run;
	int r = p->rp->opts->dry_run ? 0 : shale_replay_set(p);
	return r < 0 ? r : told(p);
}

/* The first of its names.  A file that is as it must be will do, if no name
 * that the old version gave it can share it. */
static int begin_group(struct shale_replay_place *p,
		       struct shale_replay_group *group)
{
	bool own = p->local == SHALE_LOCAL_NEW &&
		   (p->step->covered || !p->d->old_ino || p->st.st_nlink == 1 ||
		    p->d->what & (SHALE_DIFF_TYPE | SHALE_DIFF_CONTENT));
	int r = own ? 0 : make(p);
	if (r < 0 || p->step->failed)
		return r;
	group->path = strdup(p->d->path);
	if (!group->path)
		return shale_err_set(p->rp->err, ENOMEM, "replay");
	group->maker = own ? NULL : p->step;
	return 0;
}

int shale_replay_link(struct shale_replay_place *p)
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
	if (goes_on)
		return go_on(p);
	r = await_maker(p, group);
	if (r)
		return r < 0 ? r : 0;
	r = find_file(p, group, &fd, &name, &st);
	if (r < 0)
		return r;
	if (r > 0 && p->local != SHALE_LOCAL_NONE &&
	    st.st_dev == p->st.st_dev && st.st_ino == p->st.st_ino)
		return 0;
	if (r == 0)
		return begin_group(p, group);
	r = link_to(p, fd, name);
	return r < 0 ? r : told(p);
}

int shale_replay_file(struct shale_replay_place *p)
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
		r = rp->opts->dry_run ? 0 : shale_replay_set(p);
		return r < 0 ? r : shale_replay_told(rp, p->step);
	}
	return make(p);
}
