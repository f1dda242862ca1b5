/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/commit/changes.h"
#include "layers/base/cleanup.h"
#include "tools/mounting.h"
#include "tools/verbs.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* The mount that is to go. */
struct target {
	int dirfd; /* of its store; -1: not ours to open */
	char *store, *id;
	struct shale_mount_info info;
};

static void release_target(struct target *t)
{
	if (t->dirfd >= 0)
		close(t->dirfd);
	free(t->store);
	free(t->id);
	shale_mount_info_release(&t->info);
}

static int find_target(const char *dir, struct target *t, struct shale_err *err)
{
	int r = shale_mount_find(dir, &t->store, &t->id, err);
	if (r < 0)
		return r;
	t->dirfd = open(t->store, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (t->dirfd < 0 ||
	    shale_mount_read(t->dirfd, t->id, &t->info, NULL) < 0)
		memset(&t->info, 0, sizeof(t->info)); /* its daemon has gone */
	return 0;
}

/*
 * Have the daemon flush while the mount can still say that it failed.  A daemon
 * that has died has nothing to flush.
 */
static int flush(const struct target *t, struct shale_err *err)
{
	struct shale_control *c;

	if (t->info.pid == 0)
		return 0;
	int r = shale_control_connect(&c, t->dirfd, t->id, err);
	if (r == -ENOENT || r == -ECONNREFUSED)
		return 0;
	if (r < 0)
		return r;
	r = shale_control_call(c, json_pack("{s:s}", "do", "sync"), NULL, err);
	shale_control_close(c);
	return r == -EPIPE ? 0 : r;
}

/* Does its workspace hold what no version has? */
static bool holds_changes(const struct target *t)
{
	bool any = false;
	if (t->info.pid && t->info.workspace && !t->info.ephemeral)
		(void)shale_changes_any(t->dirfd, t->info.workspace, &any,
					NULL);
	return any;
}

static void say_how_to_go_on(const struct shale_ctx *ctx, const char *dir,
			     const char *workspace)
{
	if (ctx->json) {
		shale_json_print(json_pack("{s:s, s:b}", "workspace", workspace,
					   "changes", 1));
		return;
	}
	if (!ctx->quiet)
		fprintf(stderr,
			"workspace '%s' holds changes: go on with\n"
			"  shale mount -w '%s' %s\n"
			"or make a version of them with\n"
			"  shale commit '%s' -t REF\n",
			workspace, workspace, dir, workspace);
}

static int unmount(struct shale_ctx *ctx, const char *dir)
{
	SHALE_CLEANUP(release_target) struct target t = {.dirfd = -1};

	int r = find_target(dir, &t, &ctx->err);
	if (r == 0)
		r = flush(&t, &ctx->err);
	if (r < 0)
		return r;
	bool changes = holds_changes(&t);
	/* Nobody inside a dead mount can finish anything. */
	bool dead = t.dirfd >= 0 && t.info.pid == 0;
	r = shale_mounting_undo(dir, dead, &ctx->err);
	if (r < 0 || t.dirfd < 0)
		return r;
	r = shale_mount_wait(t.dirfd, t.id, &ctx->err);
	if (r == 0 && dead)
		shale_mount_remove(t.dirfd, t.id);
	if (r == 0 && changes)
		say_how_to_go_on(ctx, dir, t.info.workspace);
	return r;
}

static int run(struct shale_ctx *ctx, int argc, char **argv)
{
	static const struct shale_opt opts[] = {{0}};
	int n, code = SHALE_EXIT_OK;

	int r = shale_opt_parse(ctx, &shale_cmd_umount, opts, argc, argv, &n);
	if (r != 0)
		return r > 0 ? SHALE_EXIT_OK : SHALE_EXIT_USAGE;
	if (n < 1)
		return shale_usage(ctx, "which directory?");
	for (int i = 0; i < n; i++) {
		r = unmount(ctx, argv[i]);
		if (r < 0)
			code = shale_fail(ctx, r);
	}
	return code;
}

const struct shale_cmd shale_cmd_umount = {
	.name = "umount",
	.args = "DIR…",
	.summary = "unmount, when everything is on disk",
	.detail = "Says when a workspace holds changes, and how to go on with "
		  "them.\n",
	.run = run,
};
