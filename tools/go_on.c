/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/go_on.h"

#include "fs/commit/changes.h"
#include "layers/base/cleanup.h"
#include "tools/output.h"

#include <stdio.h>
#include <sys/stat.h>

bool shale_holds_changes(const struct shale_target *t)
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

void shale_say_how_to_go_on(const struct shale_ctx *ctx, const char *dir,
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
