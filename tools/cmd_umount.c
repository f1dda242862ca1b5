/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/control/left.h"
#include "fs/control/mountinfo.h"
#include "layers/base/cleanup.h"
#include "layers/base/clock.h"
#include "tools/go_on.h"
#include "tools/mounting.h"
#include "tools/sweep.h"
#include "tools/target.h"
#include "tools/verbs.h"

#include <stdio.h>
#include <string.h>

enum { ALIVE_SECONDS = 5, FLUSH_SECONDS = 60, LAZY_MS = 1000 };
/* How long a mount may be in use before it is told: 300 ms. */
enum { TRIES = 15, PAUSE_MS = 20 };

struct asked {
	bool all, force, lazy, shutdown;
};

/* One mount on its way out. */
struct leaving {
	const struct asked *how;
	struct shale_target t;
	bool hung;  /* the daemon does not answer */
	bool loose; /* detached, but in use or not flushed */
};

/* ------------------------------------------------------------------- flush */

/* Who is forced does not wait for ever. */
static int ask(struct shale_ctx *ctx, const struct leaving *l, const char *what,
	       unsigned seconds)
{
	return shale_control_ask(shale_store_dirfd(l->t.store), l->t.info.id,
				 what, l->how->force ? seconds : 0, NULL,
				 &ctx->err);
}

static int refuse(struct shale_ctx *ctx, const struct leaving *l, int r)
{
	struct shale_err why = ctx->err;

	return shale_err_say(&ctx->err, -r,
			     "'%s' stays mounted, since not all of it is on "
			     "disk: %s; save elsewhere what you can read and "
			     "remove these files, or 'shale umount --force %s'",
			     l->t.info.mountpoint, why.msg,
			     l->t.info.mountpoint);
}

static void warn_of_loss(struct shale_ctx *ctx, struct leaving *l)
{
	if (l->t.info.ephemeral)
		shale_warn(ctx, "'%s' was not flushed: %s",
			   l->t.info.mountpoint, ctx->err.msg);
	else
		shale_warn(ctx,
			   "'%s' is not all on disk: %s; the workspace has it "
			   "while the machine runs, not after a power cut",
			   l->t.info.mountpoint, ctx->err.msg);
	ctx->err.msg[0] = '\0';
	l->loose = true;
}

/*
 * Have the daemon flush while the mount can still say that it failed.  A daemon
 * that has died has nothing to flush.
 */
static int flush(struct shale_ctx *ctx, struct leaving *l)
{
	int r = 0;

	if (l->t.info.pid == 0)
		return 0;
	if (l->how->force)
		l->hung = ask(ctx, l, "alive", ALIVE_SECONDS) == -ETIMEDOUT;
	r = l->hung ? -ETIMEDOUT : ask(ctx, l, "sync", FLUSH_SECONDS);
	/* It may be dying just now. */
	if (r == 0 || shale_control_gone(r))
		return 0;
	if (!l->how->force)
		return refuse(ctx, l, r);
	warn_of_loss(ctx, l);
	return 0;
}

/* ----------------------------------------------------------------- unmount */

/* A commit has a mount open for a moment, to have mappings written to it. */
static int undo(struct shale_ctx *ctx, const char *dir, bool lazy)
{
	for (int tries = TRIES;; tries--) {
		int r = shale_mounting_undo(dir, lazy, &ctx->err);
		if (r != -EBUSY || !tries || shale_interrupted())
			return r;
		ctx->err.msg[0] = '\0';
		shale_clock_pause(PAUSE_MS);
	}
}

/* It was dying when it was looked for. */
static bool has_died(const struct leaving *l)
{
	return l->t.store && shale_mount_wait(shale_store_dirfd(l->t.store),
					      l->t.info.id, 1, NULL) == 0;
}

/* What is in use, or served by nobody who answers, is detached. */
static int detach(struct shale_ctx *ctx, struct leaving *l, const char *dir)
{
	/* Nobody inside a dead mount can finish anything. */
	bool dead = l->t.store && l->t.info.pid == 0;

	if (l->hung && shale_mounting_abort(dir))
		return 0;
	int r = undo(ctx, dir, dead || l->hung || l->how->lazy);
	if (r == -EBUSY && has_died(l)) {
		ctx->err.msg[0] = '\0';
		r = shale_mounting_undo(dir, true, &ctx->err);
	}
	if (r == -EBUSY && l->how->force) {
		shale_warn(ctx, "'%s' is in use: who is inside goes on there",
			   dir);
		l->loose = true;
		r = shale_mounting_undo(dir, true, &ctx->err);
	}
	return r == -EINVAL ? 0 : r; /* somebody else was faster */
}

/* Wait for the daemon's end, but not for those who may stay inside. */
static int wait_for_end(struct shale_ctx *ctx, const struct leaving *l)
{
	bool limited = l->how->lazy || l->how->force;
	int r;

	do /* a piece at a time, so that it can be interrupted */
		r = shale_mount_wait(shale_store_dirfd(l->t.store),
				     l->t.info.id, LAZY_MS, &ctx->err);
	while (r == -ETIMEDOUT && !limited && !shale_interrupted());
	if (r == -ETIMEDOUT && !limited)
		return shale_err_say(&ctx->err, EINTR,
				     "interrupted: '%s' is unmounted, but its "
				     "daemon has not ended yet",
				     l->t.info.mountpoint);
	if (r != -ETIMEDOUT)
		return r;
	ctx->err.msg[0] = '\0';
	if (!ctx->quiet && !ctx->json)
		fprintf(stderr,
			l->hung ? "%s: detached; its daemon, process %d, does "
				  "not answer\n"
				: "%s: detached; its daemon, process %d, ends "
				  "when those inside have\n",
			l->t.info.mountpoint, l->t.info.pid);
	return 0;
}

static int unmount_found(struct shale_ctx *ctx, struct leaving *l,
			 const char *dir)
{
	const struct shale_mount_info *info = &l->t.info;
	bool changes = l->t.store && shale_holds_changes(&l->t);
	int dirfd = l->t.store ? shale_store_dirfd(l->t.store) : -1;
	int r = 0;

	if (l->how->shutdown && l->t.store && !info->ephemeral)
		r = shale_left_mark(dirfd, info->id, &ctx->err);
	if (r == 0)
		r = detach(ctx, l, dir);
	if (r < 0 && l->how->shutdown && l->t.store)
		shale_left_unmark(dirfd, info->id);
	if (r < 0 || !l->t.store)
		return r;
	r = wait_for_end(ctx, l);
	if (r < 0)
		return r;
	if (!l->how->shutdown && info->mountpoint)
		shale_left_forget(dirfd, info->mountpoint);
	shale_sweep(l->t.store, false); /* what one that died could not clear */
	if (changes && !l->how->shutdown)
		shale_say_how_to_go_on(ctx, dir, &l->t);
	return 0;
}

/* Nothing is there; but perhaps it was, when the machine stopped. */
static int forget(struct shale_ctx *ctx, const char *dir)
{
	cleanup_free char *path = shale_mountinfo_path(dir);
	struct shale_err why = ctx->err;
	struct shale_store *store;

	if (shale_ctx_store(ctx, false, &store) < 0) {
		ctx->err = why;
		return -ENOENT;
	}
	shale_sweep(store, false);
	size_t n =
		shale_left_forget(shale_store_dirfd(store), path ? path : dir);
	shale_store_close(store);
	ctx->err = why;
	if (n == 0)
		return -ENOENT;
	ctx->err.msg[0] = '\0';
	if (!ctx->quiet && !ctx->json)
		fprintf(stderr,
			"%s: was not mounted any more; 'shale mount --recover' "
			"will not mount it again\n",
			dir);
	return 0;
}

static int unmount(struct shale_ctx *ctx, const struct asked *how,
		   const char *dir, int *code)
{
	struct leaving l = {.how = how};

	/* Without its store, or its state, it can still be unmounted. */
	int r = shale_target_at(ctx, dir, &l.t);
	if (r == -ENOENT && !l.t.mounted && !how->shutdown)
		r = forget(ctx, dir);
	else if (r == 0 || l.t.mounted) {
		r = flush(ctx, &l);
		if (r == 0)
			r = unmount_found(ctx, &l, dir);
	}
	shale_target_release(&l.t);
	if (r == 0 && l.loose)
		*code = SHALE_EXIT_PARTLY;
	return r;
}

/* --------------------------------------------------------------- all mounts */

struct points {
	char **v;
	size_t n;
};

static int add_point(void *arg, const struct shale_mount_info *info,
		     struct shale_err *err)
{
	struct points *p = arg;

	if (!shale_mount_stands(info))
		return 0;
	char **grown = realloc(p->v, (p->n + 1) * sizeof(*grown));
	char *copy = strdup(info->mountpoint);
	if (grown)
		p->v = grown;
	if (!grown || !copy) {
		free(copy);
		return shale_err_set(err, ENOMEM, "list mounts");
	}
	p->v[p->n++] = copy;
	return 0;
}

static int deepest_first(const void *a, const void *b)
{
	return strcmp(*(char *const *)b, *(char *const *)a);
}

static int unmount_all(struct shale_ctx *ctx, const struct asked *how)
{
	struct points p = {0};
	struct shale_store *store;
	int code = SHALE_EXIT_OK;

	int r = shale_ctx_store(ctx, false, &store);
	if (r < 0)
		return shale_fail(ctx, r);
	r = shale_mount_each(shale_store_dirfd(store), add_point, &p,
			     &ctx->err);
	shale_store_close(store);
	if (r < 0)
		code = shale_fail(ctx, r);
	if (p.n)
		qsort(p.v, p.n, sizeof(*p.v), deepest_first);
	for (size_t i = 0; i < p.n; i++) {
		r = unmount(ctx, how, p.v[i], &code);
		if (r < 0)
			code = shale_fail(ctx, r);
		free(p.v[i]);
	}
	free(p.v);
	return code;
}

static int run(struct shale_ctx *ctx, int argc, char **argv)
{
	struct asked how = {0};
	const struct shale_opt opts[] = {
		{"all", 'a', NULL, "every mount of the store", SHALE_OPT_FLAG,
		 &how.all},
		{"force", 'f', NULL,
		 "also what cannot be flushed, is in use, or does not answer",
		 SHALE_OPT_FLAG, &how.force},
		{"lazy", 'l', NULL,
		 "also what is in use: it is there no more "
		 "for those who are not inside",
		 SHALE_OPT_FLAG, &how.lazy},
		{"shutdown", 0, NULL,
		 "what is unmounted is to be recovered at the next boot",
		 SHALE_OPT_FLAG, &how.shutdown},
		{0},
	};
	int n, code = SHALE_EXIT_OK;

	int r = shale_opt_parse(ctx, &shale_cmd_umount, opts, argc, argv, &n);
	if (r != 0)
		return r > 0 ? SHALE_EXIT_OK : SHALE_EXIT_USAGE;
	if (how.all && n)
		return shale_usage(ctx, "--all, or which directories?");
	if (how.all)
		return unmount_all(ctx, &how);
	if (n < 1)
		return shale_usage(ctx, "which directory?");
	for (int i = 0; i < n; i++) {
		r = unmount(ctx, &how, argv[i], &code);
		if (r < 0)
			code = shale_fail(ctx, r);
	}
	return code;
}

const struct shale_cmd shale_cmd_umount = {
	.name = "umount",
	.args = "MOUNTPOINT… | --all",
	.summary = "unmount, when everything is on disk",
	.detail = "Says when a workspace holds changes, and how to go on with "
		  "them.\n"
		  "\n"
		  "What cannot be flushed stays mounted.  --force unmounts it, "
		  "says what is not on disk, and\n"
		  "exits with 3: the workspace keeps it, but may lose it in a "
		  "power cut.  A mount whose daemon\n"
		  "has died is always unmounted.\n"
		  "\n"
		  "--shutdown is for what stops the machine: at the next boot "
		  "'shale mount', told to recover,\n"
		  "mounts again what was there.  Without it, a mount that is "
		  "unmounted is over.",
	.run = run,
};
