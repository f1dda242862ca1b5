/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/commit/changes.h"
#include "fs/control/control.h"
#include "fs/control/mountinfo.h"
#include "fs/workspace/workspace.h"
#include "layers/base/cleanup.h"
#include "tools/output.h"
#include "tools/verbs.h"

#include <stdio.h>
#include <string.h>

/* What an argument names: a mount, or a workspace. */
struct subject {
	struct shale_store *store;
	struct shale_mount_info info; /* if mounted */
	char *workspace;
	bool mounted;
};

static void release_subject(struct subject *s)
{
	shale_mount_info_release(&s->info);
	free(s->workspace);
	shale_store_close(s->store);
}

/* The mount at `dir` and its store. */
static int find_mount(struct shale_ctx *ctx, const char *dir, struct subject *s)
{
	cleanup_free char *store = NULL, *id = NULL;

	int r = shale_mount_find(dir, &store, &id, &ctx->err);
	if (r == 0)
		r = shale_store_open(&s->store, store, false, &ctx->err);
	if (r == 0)
		r = shale_mount_read(shale_store_dirfd(s->store), id, &s->info,
				     &ctx->err);
	if (r < 0)
		return r;
	s->mounted = true;
	s->workspace = s->info.workspace ? strdup(s->info.workspace) : NULL;
	return 0;
}

/* A workspace by name, which may be mounted somewhere. */
static int find_workspace(struct shale_ctx *ctx, const char *name,
			  struct subject *s)
{
	char id[17];

	int r = shale_ctx_store(ctx, false, &s->store);
	if (r < 0)
		return r;
	s->workspace = strdup(name);
	if (!s->workspace)
		return shale_err_set(&ctx->err, ENOMEM, "status");
	int dirfd = shale_store_dirfd(s->store);
	if (shale_mount_of_workspace(dirfd, name, id, NULL) < 0)
		return 0;
	r = shale_mount_read(dirfd, id, &s->info, &ctx->err);
	s->mounted = r == 0;
	return r;
}

static bool is_mountpoint(const char *text)
{
	struct shale_mountinfo m;
	cleanup_free char *path = shale_mountinfo_path(text);

	if (!path || shale_mountinfo_here(path, &m, NULL) < 0)
		return false;
	shale_mountinfo_release(&m);
	return true;
}

static int find_subject(struct shale_ctx *ctx, const char *arg,
			struct subject *s)
{
	if (!strchr(arg, '/') && !is_mountpoint(arg))
		return find_workspace(ctx, arg, s);
	int r = find_mount(ctx, arg, s);
	if (r != -ENOENT)
		return r;
	/* Not mounted: the workspace that is named after it. */
	cleanup_free char *path = shale_mountinfo_path(arg);
	cleanup_free char *name = path ? shale_workspace_name_of(path) : NULL;
	struct shale_err why = ctx->err;
	if (!name || find_workspace(ctx, name, s) < 0) {
		ctx->err = why;
		return r;
	}
	return 0;
}

/* Ask the daemon, which may have died. */
static int ask(struct shale_ctx *ctx, const struct subject *s, const char *what,
	       json_t **reply)
{
	struct shale_control *c;

	int r = shale_control_connect(&c, shale_store_dirfd(s->store),
				      s->info.id, &ctx->err);
	if (r < 0)
		return r;
	r = shale_control_call(c, json_pack("{s:s}", "do", what), reply,
			       &ctx->err);
	shale_control_close(c);
	return r;
}

static int print_change(void *arg, const struct shale_change *change)
{
	const struct shale_ctx *ctx = arg;
	char letter[2] = {change->letter, '\0'};

	if (ctx->json) {
		json_t *doc = json_pack("{s:s}", "change", letter);
		shale_json_path(doc, change->path, change->len);
		shale_json_print(doc);
	} else {
		cleanup_buf struct shale_buf text = {0};
		if (shale_escape(&text, change->path, change->len) < 0)
			return -ENOMEM;
		printf("%s %s\n", letter, shale_buf_str(&text));
	}
	return shale_interrupted() ? -EINTR : 0;
}

static int print_changes(struct shale_ctx *ctx, const struct subject *s)
{
	int r = 0;

	if (!s->workspace) {
		if (!ctx->quiet)
			fprintf(stderr, "a read-only mount changes nothing\n");
		return 0;
	}
	if (s->mounted)
		r = ask(ctx, s, "sync", NULL);
	return r < 0 ? r
		     : shale_changes_list(s->store, s->workspace, s->mounted,
					  print_change, ctx, &ctx->err);
}

static void print_mount(const struct shale_ctx *ctx, const struct subject *s,
			json_t *reply)
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

static int status(struct shale_ctx *ctx, const char *arg, bool mount)
{
	SHALE_CLEANUP(release_subject) struct subject s = {0};
	json_t *reply;

	int r = mount ? find_mount(ctx, arg, &s) : find_subject(ctx, arg, &s);
	if (r < 0)
		return r;
	if (s.mounted && s.info.pid == 0)
		return shale_err_say(&ctx->err, ENOTCONN,
				     "the daemon of '%s' has died; shale "
				     "umount %s, then mount again: what was "
				     "written is kept",
				     s.info.mountpoint, s.info.mountpoint);
	if (!mount)
		return print_changes(ctx, &s);
	r = ask(ctx, &s, "status", &reply);
	if (r == 0) {
		print_mount(ctx, &s, reply);
		json_decref(reply);
	}
	return r;
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
	.args = "DIR|NAME",
	.summary = "what a workspace changes",
	.detail = "One line a path: A added, D deleted, M content, T type, "
		  "m attributes only.\n"
		  "--mount tells instead how a mount's daemon is doing.\n",
	.run = run,
};
