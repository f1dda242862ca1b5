/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/mount_recover.h"

#include "fs/control/left.h"
#include "fs/control/mountinfo.h"
#include "layers/base/cleanup.h"
#include "layers/base/clock.h"
#include "layers/base/text.h"
#include "layers/store/hold.h"
#include "tools/mount_workspace.h"
#include "tools/mounting.h"
#include "tools/sweep.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/vfs.h>

enum { WAIT_MS = 30000, LOOK_MS = 20 };

struct recovery {
	struct shale_ctx *ctx;
	struct shale_store *store;
	bool dry_run;
	struct shale_left *left;
	size_t n, done, failed;
	int code; /* of the first that failed */
};

/* ------------------------------------------------------------------- words */

/* "sales:v1", "workspace 'w'", "all versions": what was mounted. */
static void add_what(struct shale_buf *out, const struct shale_mount_info *info)
{
	if (info->workspace)
		(void)shale_buf_printf(out, "workspace '%s'", info->workspace);
	else if (!strcmp(info->kind, "browse"))
		(void)shale_buf_printf(out, "all versions%s%s",
				       info->repo ? " of " : "",
				       info->repo ? info->repo : "");
	for (size_t i = 0; !info->workspace && i < info->n; i++)
		(void)shale_buf_printf(out, "%s%s", i ? " " : "",
				       info->refs ? info->refs[i]
						  : info->manifests[i]);
}

/* One line a mount: that it is mounted, would be, or was already. */
static void report(const struct recovery *rec,
		   const struct shale_mount_info *info, const char *did,
		   const char *id)
{
	cleanup_buf struct shale_buf what = {0};

	add_what(&what, info);
	const char *text = shale_buf_str(&what);
	if (rec->ctx->json) {
		json_t *doc = json_object();
		shale_json_path(doc, info->mountpoint,
				strlen(info->mountpoint));
		json_object_set_new(doc, "did", json_string(did));
		json_object_set_new(doc, "kind", json_string(info->kind));
		if (info->workspace)
			json_object_set_new(doc, "workspace",
					    json_string(info->workspace));
		if (id)
			json_object_set_new(doc, "id", json_string(id));
		shale_json_print(doc);
	} else if (!rec->ctx->quiet) {
		cleanup_buf struct shale_buf path = {0};
		shale_escape(&path, info->mountpoint, strlen(info->mountpoint));
		const char *where = shale_buf_str(&path);
		printf("%s: %s%s%s\n", where ? where : "?", did,
		       text && *text ? ", " : "", text ? text : "");
	}
}

static void count_failure(struct recovery *rec, int r)
{
	int code = shale_fail(rec->ctx, r);
	if (!rec->failed++)
		rec->code = code;
}

static void fail(struct recovery *rec, const char *mountpoint, int r)
{
	struct shale_err why = rec->ctx->err;

	if (r != -EINTR)
		shale_err_say(&rec->ctx->err, -r, "'%s' is not mounted: %s",
			      mountpoint, why.msg);
	count_failure(rec, r);
}

/* --------------------------------------------------------------- one mount */

/* Nobody is behind a mount that died, or that a --recover began which was
 * killed. */
enum behind { OTHER, DEAD, STARTING, SERVED };

static enum behind who_is_behind(const struct recovery *rec, const char *source)
{
	cleanup_free char *store = NULL, *id = NULL;
	struct shale_mount_info info = {0};

	if (shale_mountinfo_source(source, &store, &id) < 0 ||
	    strcmp(store, shale_store_path(rec->store)) != 0)
		return OTHER;
	int r = shale_mount_read(shale_store_dirfd(rec->store), id, &info,
				 NULL);
	int pid = info.pid;
	shale_mount_info_release(&info);
	if (r < 0 && r != -ENOENT)
		return OTHER;
	return r < 0 || pid == 0 ? DEAD : pid == 1 ? STARTING : SERVED;
}

/*
 * Detach what is dead; what else is mounted there is not to be hidden.  1: a
 * mount is served there by now.
 */
static int clear_place(struct recovery *rec, const char *path)
{
	struct shale_err *err = &rec->ctx->err;
	struct shale_mountinfo m;
	int r = 0, tries = 0;

	while (r == 0 && shale_mountinfo_here(path, &m, NULL) == 0) {
		enum behind who = who_is_behind(rec, m.source);
		if (who == STARTING && tries++ < WAIT_MS / LOOK_MS &&
		    !shale_interrupted())
			shale_clock_pause(LOOK_MS);
		else if (who == DEAD)
			r = shale_mounting_undo(path, true, err);
		else if (who == SERVED)
			r = 1;
		else
			r = shale_err_say(err, EEXIST,
					  "something else is mounted there "
					  "now (%s, '%s')",
					  m.type, m.source);
		shale_mountinfo_release(&m);
	}
	return r;
}

/*
 * The place must be as it was: who owns a directory above it could otherwise
 * choose, by a symlink, what is hidden under the mount.  1: as clear_place().
 */
static int check_place(struct recovery *rec, const char *mountpoint)
{
	cleanup_free char *path = shale_mountinfo_path(mountpoint);
	cleanup_free char *point = NULL;

	if (path && strcmp(path, mountpoint) != 0)
		return shale_err_say(&rec->ctx->err, ELOOP,
				     "its path leads to '%s' now", path);
	int r = path ? clear_place(rec, path) : 0;
	return r != 0 ? r : shale_mounting_point(rec->ctx, mountpoint, &point);
}

/* What shale_mounting_start() needs: a workspace alone, or images. */
static int fill(struct recovery *rec, const struct shale_mount_info *was,
		struct shale_mount_info *info, int *lease)
{
	struct shale_digest *images = NULL;
	bool made;
	int r = 0;

	*info = (struct shale_mount_info){
		.mountpoint = was->mountpoint,
		.workspace = was->workspace,
		.repo = was->repo,
	};
	snprintf(info->kind, sizeof(info->kind), "%s", was->kind);
	if (was->workspace) {
		r = shale_mount_workspace_free(rec->ctx, rec->store,
					       was->workspace);
		return r < 0 ? r
			     : shale_mount_workspace_need(
				       rec->ctx, rec->store, was->workspace,
				       NULL, 0, NULL, false, &made);
	}
	info->refs = was->refs;
	info->manifests = was->manifests;
	info->n = was->n;
	images = calloc(was->n + 1, sizeof(*images));
	if (!images)
		return shale_err_set(&rec->ctx->err, ENOMEM, "mount");
	for (size_t i = 0; i < was->n; i++)
		(void)shale_digest_parse(was->manifests[i], &images[i]);
	/* From one state to the next gc must not miss them. */
	r = shale_store_hold(rec->store, images, was->n, lease, &rec->ctx->err);
	free(images);
	return r;
}

/* 1: it is mounted already, by somebody else. */
static int mount_again(struct recovery *rec, const struct shale_left *left,
		       char *id)
{
	const char *options[] = {left->info.options ? left->info.options : ""};
	const struct shale_strings list = {options, 1};
	struct shale_mounting how = {0};
	struct shale_mount_info info;
	struct shale_err *err = &rec->ctx->err;
	cleanup_lease int lease = -1;

	int r = shale_mounting_options(&how, &list, err);
	if (r == 0)
		r = check_place(rec, left->info.mountpoint);
	if (r == 0)
		r = fill(rec, &left->info, &info, &lease);
	if (r == 0)
		r = shale_mounting_start(rec->ctx, rec->store, &info, &how);
	if (r == 0)
		snprintf(id, 17, "%s", info.id);
	return r;
}

static void recover_one(struct recovery *rec, const struct shale_left *left)
{
	char id[17];

	if (rec->dry_run) {
		report(rec, &left->info, "would be mounted again", NULL);
		return;
	}
	int r = shale_interrupted() ? -EINTR : mount_again(rec, left, id);
	if (r < 0) {
		fail(rec, left->info.mountpoint, r);
		return;
	}
	/* The next one has its place: this one is over. */
	shale_mount_remove(shale_store_dirfd(rec->store), left->info.id);
	rec->done++;
	report(rec, &left->info, r ? "is mounted" : "mounted again",
	       r ? NULL : id);
}

/* ------------------------------------------------------------------- which */

/* Is it served already? */
static bool is_served(struct recovery *rec, const char *path)
{
	cleanup_free char *store = NULL, *id = NULL;
	struct shale_mount_info info = {0};

	bool served = shale_mount_find(path, &store, &id, NULL) == 0 &&
		      shale_mount_read(shale_store_dirfd(rec->store), id, &info,
				       NULL) == 0 &&
		      info.pid > 0;
	if (served)
		report(rec, &info, "is mounted", id);
	shale_mount_info_release(&info);
	return served;
}

static void recover_at(struct recovery *rec, const char *dir)
{
	cleanup_free char *path = shale_mountinfo_path(dir);
	bool found = false;

	for (size_t i = 0; i < rec->n; i++)
		if (!strcmp(rec->left[i].info.mountpoint, path ? path : dir)) {
			recover_one(rec, &rec->left[i]);
			found = true;
		}
	if (found || is_served(rec, path ? path : dir))
		return;
	shale_err_say(&rec->ctx->err, ENOKEY,
		      "no mount at '%s' is left to be mounted again", dir);
	count_failure(rec, -ENOKEY);
}

/* One process at a time; the second finds nothing to do. */
static int wait_for_turn(struct recovery *rec, int *turn)
{
	cleanup_fd int fd = openat(shale_store_dirfd(rec->store), "mounts",
				   O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return 0; /* nothing was ever mounted */
	while (fd >= 0 && flock(fd, LOCK_EX) < 0)
		if (errno != EINTR || shale_interrupted())
			return shale_err_set(&rec->ctx->err, errno,
					     "wait for another --recover");
	if (fd < 0)
		return shale_err_set(&rec->ctx->err, errno, "open 'mounts'");
	*turn = steal_fd(&fd);
	return 0;
}

/*
 * Processes that were killed keep their locks for a moment when the connection
 * has ended already: nobody is behind such a mount, though it looks served.
 */
static int wait_for_end(void *arg, const struct shale_mount_info *info,
			struct shale_err *err)
{
	const struct recovery *rec = arg;
	struct statfs st;

	if (info->pid <= 1 || statfs(info->mountpoint, &st) == 0 ||
	    (errno != ENOTCONN && errno != ECONNABORTED))
		return 0;
	return shale_mount_wait(shale_store_dirfd(rec->store), info->id,
				WAIT_MS, err);
}

static int run(struct recovery *rec, char **dirs, int n)
{
	cleanup_fd int turn = -1;
	int dirfd = shale_store_dirfd(rec->store);

	int r = wait_for_turn(rec, &turn);
	if (r < 0)
		return r;
	r = shale_mount_each(dirfd, wait_for_end, rec, &rec->ctx->err);
	if (r < 0)
		return r;
	shale_sweep(rec->store, false);
	r = shale_left_list(dirfd, !rec->dry_run, &rec->left, &rec->n,
			    &rec->ctx->err);
	if (r < 0)
		return r;
	for (int i = 0; i < n; i++)
		recover_at(rec, dirs[i]);
	for (size_t i = 0; n == 0 && i < rec->n; i++)
		recover_one(rec, &rec->left[i]);
	if (n == 0 && rec->n == 0 && !rec->ctx->quiet && !rec->ctx->json)
		fprintf(stderr, "every mount that was there is there\n");
	shale_left_free(rec->left, rec->n);
	return 0;
}

int shale_mount_recover(struct shale_ctx *ctx, char **dirs, int n, bool dry_run)
{
	struct recovery rec = {.ctx = ctx, .dry_run = dry_run};

	int r = shale_ctx_store(ctx, false, &rec.store);
	if (r < 0)
		return shale_fail(ctx, r);
	r = run(&rec, dirs, n);
	shale_store_close(rec.store);
	if (r < 0)
		return shale_fail(ctx, r);
	return rec.failed == 0 ? SHALE_EXIT_OK
	       : rec.done      ? SHALE_EXIT_PARTLY
			       : rec.code;
}
