/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/commit/changes.h"
#include "layers/base/cleanup.h"
#include "tools/change_line.h"
#include "tools/mount_status.h"
#include "tools/target.h"
#include "tools/verbs.h"

#include <stdio.h>
#include <string.h>

static int print_change(void *arg, const struct shale_change *change)
{
	const struct shale_change_line line = {
		.letter = change->letter,
		.path = change->path,
		.len = change->len,
	};

	int r = shale_change_line(arg, &line);
	if (r < 0)
		return r;
	return shale_interrupted() ? -EINTR : 0;
}

static int print_changes(struct shale_ctx *ctx, const struct shale_target *s)
{
	if (!s->workspace) {
		if (!ctx->quiet)
			fprintf(stderr, "a read-only mount changes nothing\n");
		return 0;
	}
	return shale_changes_list(s->store, s->workspace, s->mounted,
				  print_change, ctx, &ctx->err);
}

/* Nothing is printed before the daemon, if there is one, has answered. */
static int find_and_ask(struct shale_ctx *ctx, const char *arg, bool mount,
			struct shale_target *out, json_t **reply)
{
	unsigned tries = 0;
	int r;
	do {
		r = mount ? shale_target_at(ctx, arg, out)
			  : shale_target_find(ctx, arg, out);
		if (r < 0)
			continue;
		if (out->mounted && out->info.pid == 0)
			return shale_target_dead(ctx, out);
		if (mount)
			r = shale_target_ask(ctx, out, "status", reply);
		else if (out->mounted && out->workspace)
			r = shale_target_ask(ctx, out, "sync", NULL);
	} while (r < 0 && shale_target_again(ctx, out, r, &tries));
	return r;
}

static int trace(struct shale_ctx *ctx, const char *arg)
{
	SHALE_CLEANUP(shale_target_release) struct shale_target s = {0};

	int r = shale_target_at(ctx, arg, &s);
	if (r < 0)
		return r;
	return s.info.pid ? shale_mount_trace(ctx, &s)
			  : shale_target_dead(ctx, &s);
}

static int status(struct shale_ctx *ctx, const char *arg, bool mount)
{
	SHALE_CLEANUP(shale_target_release) struct shale_target s = {0};
	json_t *reply = NULL;

	int r = find_and_ask(ctx, arg, mount, &s, &reply);
	if (r < 0)
		return r;
	if (!mount)
		return print_changes(ctx, &s);
	shale_mount_status_print(ctx, &s, reply);
	json_decref(reply);
	return 0;
}

static int run(struct shale_ctx *ctx, int argc, char **argv)
{
	bool mount = false, traced = false;
	int n;
	const struct shale_opt opts[] = {
		{"mount", 0, NULL, "how the mount at DIR is doing",
		 SHALE_OPT_FLAG, &mount},
		{"trace", 0, NULL,
		 "a line for each operation on the mount at DIR",
		 SHALE_OPT_FLAG, &traced},
		{0},
	};
	int r = shale_opt_parse(ctx, &shale_cmd_status, opts, argc, argv, &n);
	if (r != 0)
		return r > 0 ? SHALE_EXIT_OK : SHALE_EXIT_USAGE;
	if (n != 1)
		return shale_usage(ctx, "a directory or a workspace is needed");
	r = traced ? trace(ctx, argv[0]) : status(ctx, argv[0], mount);
	return r < 0 ? shale_fail(ctx, r) : SHALE_EXIT_OK;
}

const struct shale_cmd shale_cmd_status = {
	.name = "status",
	.args = "DIR|NAME | --mount DIR | --trace DIR",
	.summary = "what a workspace changes",
	.detail = SHALE_CHANGE_LETTERS
	"\n"
	"Here M is a file that was written, also if what it holds is what it "
	"held;\n'shale diff' compares contents.\n"
	"\n"
	"--mount tells instead how a mount is doing: what is mounted, "
	"which processes\n"
	"serve it, since when this one does, and what it did since: "
	"requests and\n"
	"bytes, damage met (errors), reads of chunks that its cache had or "
	"had not,\n"
	"and for each kind of operation how many there were, how many "
	"failed, and how\n"
	"long they took: the mean, and within what 50, 90 and 99 of 100 "
	"were answered.\n"
	"Of a writable mount also what changed since the last commit "
	"(dirty_inodes),\n"
	"and what its journal and database hold.  A daemon that takes over "
	"counts anew.\n"
	"--trace prints a line for each operation as it is answered, until "
	"interrupted:\n"
	"  12:34:56.789012 4711 read /d/file 4096@8192 = 4096 (35.2 us)\n"
	"when it came, which process asked (0: nobody in particular), what "
	"of which\n"
	"path, the outcome, and how long it took.  What got its name in "
	"the workspace\n"
	"is shown by its number, unless it is a directory.  'shale mount "
	"-o debug'\n"
	"writes the same lines to the daemon's log.",
	.run = run,
};
