/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/commit/changes.h"
#include "fs/control/left.h"
#include "layers/store/ref.h"
#include "tools/describe.h"
#include "tools/sweep.h"
#include "tools/verbs.h"

#include <stdio.h>
#include <string.h>

/* One workspace, and where it is mounted. */
struct item {
	const char *name;
	struct shale_workspace_facts facts;
	struct shale_mount_info mount; /* id empty: it is not */
};

static void release_item(struct item *it)
{
	shale_workspace_facts_release(&it->facts);
	shale_mount_info_release(&it->mount);
}

/* Have what changed in the database: what is mounted is read from there. */
static void sync_mount(int dirfd, const char *id)
{
	struct shale_control *control;
	json_t *reply;

	if (shale_control_connect(&control, dirfd, id, NULL) < 0)
		return;
	if (shale_control_call(control, json_pack("{s:s}", "do", "sync"),
			       &reply, NULL) == 0)
		json_decref(reply);
	shale_control_close(control);
}

static int read_item(struct shale_ctx *ctx, struct shale_store *store,
		     const char *name, struct item *it)
{
	int dirfd = shale_store_dirfd(store);
	char id[17];

	*it = (struct item){.name = name};
	if (shale_mount_of_workspace(dirfd, name, id, NULL) == 0)
		(void)shale_mount_read(dirfd, id, &it->mount, NULL);
	if (it->mount.id[0])
		sync_mount(dirfd, id);
	int r = shale_workspace_facts(store, name, it->mount.id[0], &it->facts,
				      &ctx->err);
	/* A commit has it open, or a mount takes it just now. */
	return r == -EBUSY ? shale_workspace_facts(store, name, true,
						   &it->facts, &ctx->err)
			   : r;
}

/* "sales:v2" for a manifest, or the beginning of its digest. */
static const char *name_of(struct shale_store *store,
			   const struct shale_digest *digest,
			   struct shale_buf *out)
{
	cleanup_version struct shale_version *v = NULL;
	char text[13];

	if (shale_store_version(store, digest, &v, NULL) == 0 && v->repo)
		(void)shale_buf_printf(out, "%s:%s", v->repo,
				       v->n_tags ? v->tags[0] : "");
	if (!v || !v->repo || !v->n_tags)
		(void)shale_buf_printf(out, "%s",
				       shale_short_digest(digest, text));
	return shale_buf_str(out);
}

static void add_row(struct shale_store *store, const struct item *it,
		    bool exact, struct shale_columns *table)
{
	cleanup_buf struct shale_buf images = {0}, last = {0};
	const struct shale_workspace_info *info = &it->facts.info;
	const struct timespec since = {.tv_sec = it->mount.since};
	char size[32], when[32];

	for (size_t i = 0; i < info->n_base; i++)
		(void)shale_buf_printf(&images, "%s%s", i ? " + " : "",
				       info->refs[i]);
	shale_columns_add(table, it->name);
	shale_columns_add(table, shale_buf_str(&images));
	shale_columns_add(table,
			  it->facts.committed
				  ? name_of(store, &it->facts.last, &last)
				  : "-");
	shale_columns_add(table,
			  shale_human_size(it->facts.bytes, exact, size));
	shale_columns_add(table, it->facts.changed ? "yes" : "no");
	shale_columns_add(
		table, it->mount.id[0] ? shale_human_time(&since, when) : "-");
	shale_columns_add(table, it->mount.id[0] ? it->mount.mountpoint : "-");
}

static void set_time(json_t *doc, const char *key, const struct timespec *t)
{
	char text[40];
	shale_time_format(t, text);
	json_object_set_new(doc, key, json_string(text));
}

static json_t *images_json(const struct shale_workspace_info *info)
{
	char digest[SHALE_DIGEST_STR];
	json_t *images = json_array();

	for (size_t i = 0; i < info->n_base; i++)
		json_array_append_new(
			images,
			json_pack("{s:s, s:s}", "ref", info->refs[i],
				  "manifest",
				  shale_digest_str(&info->base[i], digest)));
	return images;
}

static void print_json(const struct item *it)
{
	const struct shale_workspace_info *info = &it->facts.info;
	const struct timespec since = {.tv_sec = it->mount.since};
	char digest[SHALE_DIGEST_STR];
	json_t *doc = json_pack(
		"{s:s, s:o, s:b, s:I, s:b}", "name", it->name, "images",
		images_json(info), "changed", it->facts.changed, "size",
		(json_int_t)it->facts.bytes, "ephemeral", info->ephemeral);

	set_time(doc, "created", &info->created);
	if (it->facts.committed)
		json_object_set_new(
			doc, "committed",
			json_string(shale_digest_str(&it->facts.last, digest)));
	if (info->quota_bytes)
		json_object_set_new(
			doc, "quota_bytes",
			json_integer((json_int_t)info->quota_bytes));
	if (info->quota_inodes)
		json_object_set_new(
			doc, "quota_inodes",
			json_integer((json_int_t)info->quota_inodes));
	if (it->mount.id[0]) {
		json_t *mount = json_pack("{s:s, s:i}", "id", it->mount.id,
					  "pid", it->mount.pid);
		shale_json_path(mount, it->mount.mountpoint,
				strlen(it->mount.mountpoint));
		set_time(mount, "since", &since);
		json_object_set_new(doc, "mounted", mount);
	}
	shale_json_print(doc);
}

static int print_one(struct shale_ctx *ctx, struct shale_store *store,
		     const char *name, bool exact, struct shale_columns *table)
{
	struct item it;

	int r = read_item(ctx, store, name, &it);
	if (r < 0)
		shale_warn(ctx, "workspace '%s': %s", name, ctx->err.msg);
	else if (ctx->json)
		print_json(&it);
	else
		add_row(store, &it, exact, table);
	release_item(&it);
	return r == -ENOKEY ? 0 : r; /* removed meanwhile */
}

static int list(struct shale_ctx *ctx, bool exact)
{
	static const char *const heading[] = {
		"NAME",    "IMAGE", "COMMITTED", ">SIZE",
		"CHANGED", "SINCE", "MOUNTED ON"};
	cleanup_store struct shale_store *store = NULL;
	char **names = NULL;
	size_t n = 0;

	int r = shale_ctx_store(ctx, false, &store);
	if (r < 0)
		return r;
	shale_sweep(store, true);
	r = shale_workspace_list(shale_store_dirfd(store), &names, &n,
				 &ctx->err);
	if (r < 0)
		return r;
	struct shale_columns *table = shale_columns_new(7);
	for (int i = 0; i < 7; i++)
		shale_columns_add(table, heading[i]);
	for (size_t i = 0; i < n; i++) {
		int one = print_one(ctx, store, names[i], exact, table);
		r = r < 0 ? r : one;
		free(names[i]);
	}
	free(names);
	shale_columns_print(table, !ctx->json);
	return r < 0 ? shale_err_say(&ctx->err, -r,
				     "not all workspaces can be read")
		     : 0;
}

static int workspaces_run(struct shale_ctx *ctx, int argc, char **argv)
{
	bool exact = false;
	const struct shale_opt opts[] = {
		{"bytes", 0, NULL, "sizes in bytes", SHALE_OPT_FLAG, &exact},
		{0},
	};
	int n;

	int r = shale_opt_parse(ctx, &shale_cmd_workspaces, opts, argc, argv,
				&n);
	if (r != 0)
		return r > 0 ? SHALE_EXIT_OK : SHALE_EXIT_USAGE;
	if (n)
		return shale_usage(ctx, "no arguments are needed");
	r = list(ctx, exact);
	return r < 0 ? shale_fail(ctx, r) : SHALE_EXIT_OK;
}

/* --------------------------------------------------------------- workspace */

static int may_go(struct shale_ctx *ctx, const struct item *it, bool force)
{
	if (it->mount.id[0])
		return shale_err_say(&ctx->err, EBUSY,
				     "workspace '%s' is mounted on '%s' "
				     "(process %d); first: shale umount %s",
				     it->name, it->mount.mountpoint,
				     it->mount.pid, it->mount.mountpoint);
	if (it->facts.changed && !force)
		return shale_err_say(&ctx->err, EPERM,
				     "workspace '%s' holds changes that no "
				     "version has ('shale status %s' lists "
				     "them): commit it, or --force",
				     it->name, it->name);
	return 0;
}

static int remove_one(struct shale_ctx *ctx, struct shale_store *store,
		      const char *name, bool force)
{
	struct item it;

	int r = read_item(ctx, store, name, &it);
	/* What cannot be read can still be removed, by who insists. */
	if (r == 0 || (force && r != -ENOKEY && r != -EINVAL))
		r = may_go(ctx, &it, force);
	if (r == 0)
		r = shale_workspace_remove(shale_store_dirfd(store), name,
					   &ctx->err);
	if (r == 0) /* a mount of it that the machine ended */
		shale_left_forget_workspace(shale_store_dirfd(store), name);
	if (r == 0 && ctx->json)
		shale_json_print(json_pack("{s:s}", "removed", name));
	else if (r == 0 && !ctx->quiet)
		printf("removed workspace '%s'\n", name);
	release_item(&it);
	return r;
}

static int workspace_run(struct shale_ctx *ctx, int argc, char **argv)
{
	cleanup_store struct shale_store *store = NULL;
	bool force = false;
	const struct shale_opt opts[] = {
		{"force", 'f', NULL, "even if it holds uncommitted changes",
		 SHALE_OPT_FLAG, &force},
		{0},
	};
	int n, code = SHALE_EXIT_OK;

	int r = shale_opt_parse(ctx, &shale_cmd_workspace, opts, argc, argv,
				&n);
	if (r != 0)
		return r > 0 ? SHALE_EXIT_OK : SHALE_EXIT_USAGE;
	if (n < 1 || strcmp(argv[0], "rm") != 0)
		return shale_usage(ctx, "what to do: rm NAME…");
	if (n < 2)
		return shale_usage(ctx, "which workspace?");
	r = shale_ctx_store(ctx, false, &store);
	if (r < 0)
		return shale_fail(ctx, r);
	shale_sweep(store, false);
	for (int i = 1; i < n; i++) {
		r = remove_one(ctx, store, argv[i], force);
		if (r < 0)
			code = shale_fail(ctx, r);
	}
	return code;
}

const struct shale_cmd shale_cmd_workspaces = {
	.name = "workspaces",
	.args = "",
	.summary = "list workspaces and where they are mounted",
	.detail =
		"IMAGE is what it was made from, COMMITTED the version that it "
		"last became, SIZE what it\n"
		"takes on disk.  CHANGED tells whether it holds what no "
		"version "
		"has.  Ephemeral workspaces\n"
		"whose daemon has died are removed on the way.",
	.run = workspaces_run,
};

const struct shale_cmd shale_cmd_workspace = {
	.name = "workspace",
	.args = "rm NAME…",
	.summary = "remove workspaces",
	.detail = "One that is mounted stays (exit 11), and so does one that "
		  "holds changes that no\nversion has, unless --force is "
		  "given.",
	.run = workspace_run,
};
