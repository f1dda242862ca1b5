/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/target.h"

#include "fs/control/control.h"
#include "fs/workspace/workspace.h"
#include "layers/base/cleanup.h"

#include <stdio.h>
#include <string.h>

void shale_target_release(struct shale_target *target)
{
	shale_store_close(target->store);
	free(target->workspace);
	free(target->mountpoint);
	*target = (struct shale_target){0};
}

/* Fill in what the state of mount `id` says. */
static int from_mount(struct shale_ctx *ctx, struct shale_target *out,
		      const char *id)
{
	struct shale_mount_info info;
	int r = shale_mount_read(shale_store_dirfd(out->store), id, &info,
				 &ctx->err);
	if (r < 0)
		return r;
	snprintf(out->id, sizeof(out->id), "%s", id);
	out->workspace = steal_ptr(&info.workspace);
	out->mountpoint = steal_ptr(&info.mountpoint);
	shale_mount_info_release(&info);
	return 0;
}

static int from_name(struct shale_ctx *ctx, struct shale_target *out,
		     const char *name)
{
	struct shale_workspace_info info;
	int r = shale_ctx_store(ctx, false, &out->store);
	if (r == 0)
		r = shale_workspace_read(shale_store_dirfd(out->store), name,
					 &info, &ctx->err);
	if (r < 0)
		return r;
	shale_workspace_info_release(&info);

	char id[17];
	r = shale_mount_of_workspace(shale_store_dirfd(out->store), name, id,
				     NULL);
	if (r == 0)
		return from_mount(ctx, out, id);
	if (r != -ENOENT)
		return shale_err_set(&ctx->err, -r, "workspace '%s'", name);
	out->workspace = strdup(name);
	return out->workspace ? 0
			      : shale_err_set(&ctx->err, ENOMEM, "%s", name);
}

int shale_target_find(struct shale_ctx *ctx, const char *arg,
		      struct shale_target *out)
{
	cleanup_free char *path = NULL;
	cleanup_free char *id = NULL;
	*out = (struct shale_target){0};

	int r = shale_mount_find(arg, &path, &id, &ctx->err);
	if (r == 0) {
		r = shale_store_open(&out->store, path, false, &ctx->err);
		return r < 0 ? r : from_mount(ctx, out, id);
	}
	if (r != -ENOENT)
		return r;
	if (strchr(arg, '/'))
		return shale_err_say(&ctx->err, ENOKEY,
				     "no Shale mount at '%s'", arg);
	return from_name(ctx, out, arg);
}
