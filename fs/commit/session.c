/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/commit/session.h"

#include "fs/commit/resting.h"
#include "fs/control/control.h"
#include "layers/base/cleanup.h"
#include "layers/base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>

/* How long to wait for another commit to end. */
enum { BUSY_MS = 10000, RETRY_MS = 20 };

/* Packing is work behind what the mount's users do. */
enum { NICE = 5 };

SHALE_DEFINE_CLEANUP(files, struct shale_files *, shale_files_close);
SHALE_DEFINE_CLEANUP(snapshot, struct shale_snapshot *, shale_snapshot_close);
#define cleanup_files    SHALE_CLEANUP(shale_cleanup_files)
#define cleanup_snapshot SHALE_CLEANUP(shale_cleanup_snapshot)

/* --------------------------------------------------------------- mounted */

void shale_commit_write_back(const char *mountpoint)
{
	cleanup_fd int fd = open(mountpoint, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		syncfs(fd);
}

static int open_dir(struct shale_store *store, const char *name, int *fd,
		    struct shale_err *err)
{
	char path[300];
	snprintf(path, sizeof(path), "workspaces/%s", name);
	*fd = openat(shale_store_dirfd(store), path,
		     O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *fd < 0 ? shale_err_set(err, errno, "open workspace '%s'", name)
		       : 0;
}

static int call(struct shale_control *control, json_t *request,
		struct shale_err *err)
{
	json_t *reply;
	int r = shale_control_call(control, request, &reply, err);
	if (r == 0)
		json_decref(reply);
	return r;
}

/* -ESTALE: nobody answers, or not any more. */
static int gone(int r)
{
	return shale_control_gone(r) ? -ESTALE : r;
}

/*
 * A committer that was killed may still be on the daemon's mind, and one that
 * runs may be about to end: wait a little for either.
 */
static int freeze(const struct shale_commit *commit,
		  struct shale_control *control, json_t **reply,
		  struct shale_err *err)
{
	const struct shale_pack_stats none = {0};

	for (int tries = 0;; tries++) {
		int r = shale_control_call(control,
					   json_pack("{s:s}", "do", "freeze"),
					   reply, err);
		if (r != -EBUSY || tries == BUSY_MS / RETRY_MS)
			return gone(r);
		if (commit->going && commit->going(commit->arg, &none))
			return shale_err_say(err, EINTR, "interrupted");
		shale_clock_pause(RETRY_MS);
	}
}

/*
 * This thread, and those that it starts: applications and the daemon come
 * first where there is not enough for all.  The applier waits for us until the
 * snapshot is taken; from there on nobody does.
 */
static void give_way(void)
{
	(void)setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + NICE);
}

/* Freeze, and hold the state of that moment in a snapshot of our own. */
static int take_snapshot(const struct shale_commit *commit,
			 struct shale_control *control, int dirfd,
			 struct shale_snapshot **out, json_int_t *epoch,
			 uint64_t *frozen_us, struct shale_err *err)
{
	json_t *reply;
	int r = freeze(commit, control, &reply, err);
	if (r < 0)
		return r;
	*epoch = json_integer_value(json_object_get(reply, "epoch"));
	*frozen_us = (uint64_t)json_integer_value(
		json_object_get(reply, "frozen_us"));
	json_decref(reply);

	r = shale_snapshot_open(out, dirfd, err);
	return r < 0 ? r
		     : call(control, json_pack("{s:s}", "do", "opened"), err);
}

/* What became of the changes of a workspace. */
struct outcome {
	const char *mount, *workspace; /* id and name */
	uint32_t epoch;                /* up to this one … */
	struct shale_rec_image which;  /* … they are in that image */
};

static int tell_daemon(struct shale_control *control,
		       const struct outcome *outcome, struct shale_err *err)
{
	char digest[SHALE_DIGEST_STR];
	shale_digest_str(&outcome->which.manifest[0], digest);
	return call(control,
		    json_pack("{s:s, s:I, s:[s]}", "do", "committed", "epoch",
			      (json_int_t)outcome->epoch, "manifests", digest),
		    err);
}

static int tell_next_daemon(const struct shale_commit *commit,
			    const struct outcome *outcome,
			    struct shale_err *err)
{
	cleanup_control struct shale_control *control = NULL;
	int r = shale_control_connect(&control,
				      shale_store_dirfd(commit->store),
				      outcome->mount, err);
	return r < 0 ? r : tell_daemon(control, outcome, err);
}

static int tell_resting(const struct shale_commit *commit,
			const struct outcome *outcome, struct shale_err *err)
{
	struct shale_resting rest = {0};
	int r = shale_resting_open(&rest, commit->store, outcome->workspace,
				   err);
	if (r == 0)
		r = shale_live_committed(rest.live, outcome->epoch,
					 &outcome->which, err);
	return shale_resting_close(&rest, r, err);
}

/*
 * The daemon has gone while the changes were packed: the one that takes over is
 * told, or, when the mount has gone too, the workspace directly.
 */
static int tell_whoever(const struct shale_commit *commit,
			const struct outcome *outcome, struct shale_err *err)
{
	int r;
	for (int tries = 0;; tries++) {
		r = gone(tell_next_daemon(commit, outcome, err));
		if (r == -ESTALE)
			r = tell_resting(commit, outcome, err);
		if (r != -EBUSY || tries == BUSY_MS / RETRY_MS)
			break;
		shale_clock_pause(RETRY_MS);
	}
	return r == -ENOKEY ? 0 : r; /* it went with its mount */
}

/* Have the workspace know what its changes have become. */
static int tell(const struct shale_commit *commit,
		struct shale_control *control, const struct outcome *outcome,
		struct shale_err *err)
{
	int r = tell_daemon(control, outcome, err);
	if (gone(r) == -ESTALE)
		r = tell_whoever(commit, outcome, err);
	return r < 0 ? shale_err_wrap(err, r,
				      "the version is there, but the workspace "
				      "does not know of it")
		     : 0;
}

/* Freeze, and pack what there is at that moment, the end of `*epoch`. */
static int freeze_and_pack(struct shale_commit *commit,
			   struct shale_control *control, const char *name,
			   struct shale_commit_result *out, json_int_t *epoch,
			   struct shale_err *err)
{
	cleanup_fd int dirfd = -1;
	cleanup_files struct shale_files *files = NULL;
	cleanup_snapshot struct shale_snapshot *snapshot = NULL;
	uint64_t frozen_us = 0;

	int r = open_dir(commit->store, name, &dirfd, err);
	if (r == 0)
		r = take_snapshot(commit, control, dirfd, &snapshot, epoch,
				  &frozen_us, err);
	if (r == 0)
		r = shale_files_open(&files, dirfd, err);
	if (r < 0)
		return r;
	commit->snapshot = snapshot;
	commit->files = files;
	commit->workspace = name;
	give_way();
	r = shale_commit_run(commit, out, err);
	commit->snapshot = NULL;
	commit->files = NULL;
	if (r == 0)
		out->frozen_us = frozen_us;
	return r;
}

int shale_commit_mounted(struct shale_commit *commit, const char *id,
			 const char *mountpoint, const char *name,
			 struct shale_commit_result *out, struct shale_err *err)
{
	cleanup_control struct shale_control *control = NULL;
	cleanup_lease int lease = -1;
	json_int_t epoch = 0;
	int r = shale_control_connect(
		&control, shale_store_dirfd(commit->store), id, err);
	if (r < 0)
		return gone(r);
	/* Until the mount has it, nothing but a tag may name the version. */
	r = shale_store_lease(commit->store, &lease, err);
	if (r < 0)
		return r;
	shale_commit_write_back(mountpoint);
	/* The workspace's database is open once in a process, at most: the
	 * snapshot is closed again before anybody is told. */
	r = freeze_and_pack(commit, control, name, out, &epoch, err);
	if (r < 0 || !out->version)
		return r;
	const struct outcome outcome = {
		.mount = id,
		.workspace = name,
		.epoch = (uint32_t)epoch,
		.which = {.n = 1, .manifest = {out->version->digest}},
	};
	return tell(commit, control, &outcome, err);
}

/* --------------------------------------------------------------- resting */

static int commit_resting(struct shale_resting *rest,
			  struct shale_commit *commit,
			  struct shale_commit_result *out,
			  struct shale_err *err)
{
	cleanup_snapshot struct shale_snapshot *snapshot = NULL;
	uint32_t frozen;
	uint64_t pos;
	int r = shale_live_freeze(rest->live, &frozen, &pos, err);
	if (r == 0)
		r = shale_db_pause_at(rest->ws->db, pos, err);
	if (r < 0)
		return r;
	r = shale_db_snapshot(rest->ws->db, &snapshot, err);
	shale_db_resume(rest->ws->db);
	if (r < 0)
		return r;

	commit->snapshot = snapshot;
	commit->files = rest->ws->files;
	commit->workspace = rest->ws->info.name;
	r = shale_commit_run(commit, out, err);
	if (r < 0 || !out->version)
		return r;
	struct shale_rec_image which = {.n = 1,
					.manifest = {out->version->digest}};
	return shale_live_committed(rest->live, frozen, &which, err);
}

int shale_commit_resting(struct shale_commit *commit, const char *name,
			 struct shale_commit_result *out, struct shale_err *err)
{
	struct shale_resting rest = {0};
	cleanup_lease int lease = -1;
	int r = shale_store_lease(commit->store, &lease, err);
	if (r == 0)
		r = shale_resting_open(&rest, commit->store, name, err);
	if (r == 0)
		r = commit_resting(&rest, commit, out, err);
	return shale_resting_close(&rest, r, err);
}
