/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/commit/changes.h"
#include "layers/base/cleanup.h"
#include "tools/mounting.h"
#include "tools/output.h"
#include "tools/sweep.h"
#include "tools/target.h"
#include "tools/verbs.h"

#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

/* How long a mount may be in use before it is told: 300 ms. */
enum { TRIES = 15, PAUSE_MS = 20 };

/*
 * Have the daemon flush while the mount can still say that it failed.  A daemon
 * that has died has nothing to flush.
 */
static int flush(struct shale_ctx *ctx, const struct shale_target *t)
{
	if (t->info.pid == 0)
		return 0;
	int r = shale_target_ask(ctx, t, "sync", NULL);
	/* It may be dying just now. */
	return r == -ENOENT || r == -ECONNREFUSED || r == -EPIPE ||
			       r == -ECONNRESET
		       ? 0
		       : r;
}

/* Does its workspace hold what no version has? */
static bool holds_changes(const struct shale_target *t)
{
	bool any = false;
	if (t->info.pid && t->workspace && !t->info.ephemeral)
		(void)shale_changes_any(shale_store_dirfd(t->store),
					t->workspace, &any, NULL);
	return any;
}

/* Is it the store that a command without --store would take? */
static bool is_default(const struct shale_ctx *ctx, struct shale_store *store)
{
	struct stat a, b;
	return ctx->store_path && stat(ctx->store_path, &a) == 0 &&
	       fstat(shale_store_dirfd(store), &b) == 0 &&
	       a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* What can be pasted into a shell. */
static void say_how_to_go_on(const struct shale_ctx *ctx, const char *dir,
			     const struct shale_target *t)
{
	cleanup_buf struct shale_buf store = {0}, quoted = {0};

	if (ctx->json) {
		shale_json_print(json_pack("{s:s, s:b}", "workspace",
					   t->workspace, "changes", 1));
		return;
	}
	if (ctx->quiet)
		return;
	if (!is_default(ctx, t->store)) {
		shale_buf_printf(&store, " --store ");
		shale_quote(&store, shale_store_path(t->store));
	}
	shale_quote(&quoted, dir);
	const char *at = store.len ? shale_buf_str(&store) : "";
	const char *where = shale_buf_str(&quoted);
	fprintf(stderr,
		"workspace '%s' holds changes: go on with\n"
		"  shale%s mount -w %s %s\n"
		"or make a version of them with\n"
		"  shale%s commit %s -t REF\n",
		t->workspace, at, t->workspace, where ? where : "DIR", at,
		t->workspace);
}

/* A commit has a mount open for a moment, to have mappings written to it. */
static int undo(struct shale_ctx *ctx, const char *dir, bool lazy)
{
	const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000};

	for (int tries = TRIES;; tries--) {
		int r = shale_mounting_undo(dir, lazy, &ctx->err);
		if (r != -EBUSY || !tries || shale_interrupted())
			return r;
		ctx->err.msg[0] = '\0';
		nanosleep(&pause, NULL);
	}
}

static int unmount(struct shale_ctx *ctx, const char *dir)
{
	SHALE_CLEANUP(shale_target_release) struct shale_target t = {0};

	/* Without its store, or its state, it can still be unmounted. */
	int r = shale_target_at(ctx, dir, &t);
	if (r < 0 && !t.mounted)
		return r;
	r = flush(ctx, &t);
	if (r < 0)
		return r;
	bool changes = holds_changes(&t);
	/* Nobody inside a dead mount can finish anything. */
	bool dead = t.store && t.info.pid == 0;
	r = undo(ctx, dir, dead);
	if (r == -EINVAL) /* somebody else was faster */
		r = 0;
	if (r < 0 || !t.store)
		return r;
	int dirfd = shale_store_dirfd(t.store);
	r = shale_mount_wait(dirfd, t.info.id, &ctx->err);
	if (r == 0) /* what a daemon that died could not clear itself */
		shale_sweep(t.store, false);
	if (r == 0 && changes)
		say_how_to_go_on(ctx, dir, &t);
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
	.args = "MOUNTPOINT…",
	.summary = "unmount, when everything is on disk",
	.detail = "Says when a workspace holds changes, and how to go on with "
		  "them.",
	.run = run,
};
