/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/base/cleanup.h"
#include "tools/mounting.h"
#include "tools/verbs.h"

#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

static int browse(struct shale_ctx *ctx, struct shale_store *store,
		  const char *repo, const char *dir, struct shale_mounting *how)
{
	struct shale_mount_info info = {.kind = "browse", .repo = (char *)repo};

	cleanup_free char *path = NULL;
	int r = repo ? shale_store_has_repo(store, repo, &ctx->err) : 0;
	if (r == 0)
		r = shale_mounting_point(ctx, dir, &path);
	if (r < 0)
		return r;
	info.mountpoint = path;
	how->flags |= MS_RDONLY;
	r = shale_mounting_start(ctx, store, &info, how);
	if (r == 0 && ctx->json) {
		json_t *doc = json_object();
		shale_json_path(doc, path, strlen(path));
		json_object_set_new(doc, "id", json_string(info.id));
		shale_json_print(doc);
	}
	return r;
}

static int run(struct shale_ctx *ctx, int argc, char **argv)
{
	struct shale_strings options = {0};
	struct shale_mounting how;
	struct shale_store *store;
	bool foreground = false;
	int n;
	const struct shale_opt opts[] = {
		{"options", 'o', "OPTIONS",
		 "suid, dev, noexec, allow_other, debug, …", SHALE_OPT_LIST,
		 &options},
		{"foreground", 'f', NULL, "stay until unmounted",
		 SHALE_OPT_FLAG, &foreground},
		{0},
	};
	int r = shale_opt_parse(ctx, &shale_cmd_browse, opts, argc, argv, &n);
	if (r != 0)
		return r > 0 ? SHALE_EXIT_OK : SHALE_EXIT_USAGE;
	if (n < 1 || n > 2)
		return shale_usage(ctx, "a directory is needed, and before it "
					"perhaps a repository");
	shale_mounting_default(&how);
	how.foreground = foreground;
	r = shale_mounting_options(&how, &options, &ctx->err);
	if (r < 0)
		return shale_usage(ctx, "%s", ctx->err.msg);

	r = shale_ctx_store(ctx, false, &store);
	if (r < 0)
		return shale_fail(ctx, r);
	r = browse(ctx, store, n == 2 ? argv[0] : NULL, argv[n - 1], &how);
	shale_store_close(store);
	return r < 0 ? shale_fail(ctx, r) : SHALE_EXIT_OK;
}

const struct shale_cmd shale_cmd_browse = {
	.name = "browse",
	.args = "[REPO] DIR",
	.summary = "mount every version, read-only",
	.detail = "DIR holds REPO/by-tag/TAG, REPO/by-time/TIME, "
		  "REPO/by-id/ID and REPO/latest (without\n"
		  "REPO/ when it is given).  Versions made later appear.",
	.run = run,
};
