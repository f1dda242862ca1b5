/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/commit/undo.h"
#include "layers/base/cleanup.h"
#include "tools/target.h"
#include "tools/verbs.h"

#include <stdio.h>
#include <string.h>

/* A path of the workspace, also when it was given by way of the mountpoint. */
static const char *inside(const struct shale_target *t, const char *path)
{
	const char *point = t->mounted ? t->info.mountpoint : NULL;
	size_t len = point ? strlen(point) : 0;

	if (len > 1 && !strncmp(path, point, len) &&
	    (path[len] == '/' || !path[len]))
		return path + len;
	while (!strncmp(path, "./", 2))
		path += 2;
	return path;
}

static void report(const struct shale_ctx *ctx, uint64_t inodes)
{
	if (ctx->json)
		shale_json_print(
			json_pack("{s:I}", "inodes", (json_int_t)inodes));
	else if (ctx->quiet)
		return;
	else if (inodes)
		printf("%llu %s back to the image\n",
		       (unsigned long long)inodes,
		       inodes == 1 ? "file or directory is"
				   : "files and directories are");
	else
		printf("nothing had changed\n");
}

static int discard(struct shale_ctx *ctx, const char *arg, char **paths,
		   size_t n)
{
	SHALE_CLEANUP(shale_target_release) struct shale_target t = {0};
	uint64_t inodes = 0;

	int r = shale_target_find(ctx, arg, &t);
	if (r < 0)
		return r;
	if (!t.workspace)
		return shale_err_say(&ctx->err, EPERM,
				     "'%s' is mounted read-only: nothing to "
				     "discard",
				     t.info.mountpoint);
	if (t.mounted && !t.info.pid)
		return shale_target_dead(ctx, &t);
	for (size_t i = 0; i < n; i++)
		paths[i] = (char *)inside(&t, paths[i]);
	r = shale_undo(t.store, t.workspace, t.mounted ? t.info.id : NULL,
		       t.info.mountpoint, (const char *const *)paths, n,
		       &inodes, &ctx->err);
	ctx->wrong_usage = r == -EINVAL;
	ctx->done = r == 0;
	if (r == 0)
		report(ctx, inodes);
	return r;
}

static int run(struct shale_ctx *ctx, int argc, char **argv)
{
	static const struct shale_opt opts[] = {{0}};
	int n;

	int r = shale_opt_parse(ctx, &shale_cmd_discard, opts, argc, argv, &n);
	if (r != 0)
		return r > 0 ? SHALE_EXIT_OK : SHALE_EXIT_USAGE;
	if (n < 1)
		return shale_usage(ctx, "name a mount or a workspace");
	r = discard(ctx, argv[0], argv + 1, (size_t)n - 1);
	return r < 0 ? shale_fail(ctx, r) : SHALE_EXIT_OK;
}

const struct shale_cmd shale_cmd_discard = {
	.name = "discard",
	.args = "DIR|NAME [PATH…]",
	.summary = "take a workspace back to its image, also while mounted",
	.detail =
		"Without PATHs all that changed since the last commit goes.  "
		"With PATHs, which start at\n"
		"the workspace's root, what is at and below each is as in the "
		"image again; what is new\n"
		"there goes, what is elsewhere stays.  A file that was moved "
		"out of a PATH is back, and\n"
		"keeps the name elsewhere as a hard link; one that was moved "
		"in goes.  A directory that\n"
		"was moved in or out is refused until both places are named.\n"
		"\n"
		"A file that is open stays open: it shows the image's content, "
		"or, if the image has no\n"
		"such file, its own until it is closed.  Stores through a "
		"mapping that no msync() has\n"
		"written may come after the discard.  While a commit runs, "
		"discard says so (exit 11).",
	.run = run,
};
