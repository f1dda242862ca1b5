/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/commit/changes.h"
#include "layers/base/cleanup.h"
#include "tools/change_line.h"
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

static void print_mount(const struct shale_ctx *ctx,
			const struct shale_target *s, json_t *reply)
{
	const char *key;
	json_t *value;

	if (ctx->json) {
		json_object_del(reply, "ok");
		shale_json_path(reply, s->info.mountpoint,
				strlen(s->info.mountpoint));
		json_object_set_new(reply, "id", json_string(s->info.id));
		shale_json_print(json_incref(reply));
		return;
	}
	printf("%-18s %s\n", "mountpoint", s->info.mountpoint);
	for (size_t i = 0; i < s->info.n; i++)
		printf("%-18s %s%s%s\n", "image", s->info.manifests[i],
		       s->info.refs ? "  " : "",
		       s->info.refs ? s->info.refs[i] : "");
	json_object_foreach(reply, key, value)
	{
		if (json_is_integer(value))
			printf("%-18s %lld\n", key,
			       (long long)json_integer_value(value));
		else if (json_is_string(value))
			printf("%-18s %s\n", key, json_string_value(value));
	}
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

static int status(struct shale_ctx *ctx, const char *arg, bool mount)
{
	SHALE_CLEANUP(shale_target_release) struct shale_target s = {0};
	json_t *reply = NULL;

	int r = find_and_ask(ctx, arg, mount, &s, &reply);
	if (r < 0)
		return r;
	if (!mount)
		return print_changes(ctx, &s);
	print_mount(ctx, &s, reply);
	json_decref(reply);
	return 0;
}

static int run(struct shale_ctx *ctx, int argc, char **argv)
{
	bool mount = false;
	int n;
	const struct shale_opt opts[] = {
		{"mount", 0, NULL, "how the mount at DIR is doing",
		 SHALE_OPT_FLAG, &mount},
		{0},
	};
	int r = shale_opt_parse(ctx, &shale_cmd_status, opts, argc, argv, &n);
	if (r != 0)
		return r > 0 ? SHALE_EXIT_OK : SHALE_EXIT_USAGE;
	if (n != 1)
		return shale_usage(ctx, "a directory or a workspace is needed");
	r = status(ctx, argv[0], mount);
	return r < 0 ? shale_fail(ctx, r) : SHALE_EXIT_OK;
}

const struct shale_cmd shale_cmd_status = {
	.name = "status",
	.args = "DIR|NAME | --mount DIR",
	.summary = "what a workspace changes",
	.detail = SHALE_CHANGE_LETTERS
	"\n"
	"Here M is a file that was written, also if what it holds is what it "
	"held;\n'shale diff' compares contents.\n"
	"--mount tells instead how a mount's daemon is doing.",
	.run = run,
};
