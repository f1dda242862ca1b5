/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/target.h"

#include "fs/control/mountinfo.h"
#include "fs/workspace/workspace.h"
#include "layers/base/cleanup.h"
#include "layers/base/clock.h"

#include <stdio.h>
#include <string.h>

/* Two seconds; half a minute while a holder is there, to start a daemon. */
enum { TRIES = 100, PATIENT_TRIES = 1500, PAUSE_MS = 20 };

void shale_target_release(struct shale_target *target)
{
	shale_store_close(target->store);
	free(target->workspace);
	shale_mount_info_release(&target->info);
	*target = (struct shale_target){0};
}

static int set_workspace(struct shale_ctx *ctx, struct shale_target *out,
			 const char *name)
{
	out->workspace = strdup(name);
	return out->workspace ? 0
			      : shale_err_set(&ctx->err, ENOMEM, "%s", name);
}

/* Fill in what the state of mount `id` says. */
static int from_mount(struct shale_ctx *ctx, struct shale_target *out,
		      const char *id)
{
	struct shale_mount_info info;

	out->mounted = true;
	snprintf(out->info.id, sizeof(out->info.id), "%s", id);
	int r = shale_mount_read(shale_store_dirfd(out->store), id, &info,
				 &ctx->err);
	if (r < 0)
		return r;
	out->info = info;
	return info.workspace ? set_workspace(ctx, out, info.workspace) : 0;
}

int shale_target_at(struct shale_ctx *ctx, const char *dir,
		    struct shale_target *out)
{
	cleanup_free char *path = NULL, *id = NULL;

	*out = (struct shale_target){0};
	int r = shale_mount_find(dir, &path, &id, &ctx->err);
	if (r < 0)
		return r;
	out->mounted = true;
	r = shale_store_open(&out->store, path, false, &ctx->err);
	return r < 0 ? r : from_mount(ctx, out, id);
}

static int from_name(struct shale_ctx *ctx, struct shale_target *out,
		     const char *name)
{
	struct shale_workspace_info info;
	int r = shale_ctx_store(ctx, false, &out->store);
	if (r < 0)
		return r;
	int dirfd = shale_store_dirfd(out->store);
	r = shale_workspace_read(dirfd, name, &info, &ctx->err);
	if (r < 0)
		return r;
	shale_workspace_info_release(&info);

	char id[17];
	r = shale_mount_of_workspace(dirfd, name, id, NULL);
	if (r == 0)
		return from_mount(ctx, out, id);
	return r == -ENOENT
		       ? set_workspace(ctx, out, name)
		       : shale_err_set(&ctx->err, -r, "workspace '%s'", name);
}

int shale_target_find(struct shale_ctx *ctx, const char *arg,
		      struct shale_target *out)
{
	int r = shale_target_at(ctx, arg, out);
	if (r != -ENOENT || out->mounted)
		return r;
	if (!strchr(arg, '/'))
		return from_name(ctx, out, arg);

	/* Not mounted: the workspace that is named after it. */
	cleanup_free char *path = shale_mountinfo_path(arg);
	cleanup_free char *name = path ? shale_workspace_name_of(path) : NULL;
	r = name ? from_name(ctx, out, name) : -ENOKEY;
	return r == -ENOKEY || r == -ENODATA
		       ? shale_err_say(&ctx->err, -r,
				       "no Shale mount at '%s', and no "
				       "workspace of one",
				       arg)
		       : r;
}

bool shale_target_again(struct shale_ctx *ctx, struct shale_target *target,
			int r, unsigned *tries)
{
	bool gone = r == -ESTALE || shale_control_gone(r);
	unsigned limit = target->info.pid ? PATIENT_TRIES : TRIES;

	if (!gone || !target->mounted || *tries >= limit || shale_interrupted())
		return false;
	++*tries;
	ctx->err.msg[0] = '\0';
	shale_target_release(target);
	shale_clock_pause(PAUSE_MS);
	return true;
}

int shale_target_dead(struct shale_ctx *ctx, const struct shale_target *target)
{
	const char *dir = target->info.mountpoint;

	if (target->info.ephemeral)
		return shale_err_say(&ctx->err, ENOTCONN,
				     "the daemon of '%s' has died; 'shale "
				     "umount %s' clears it away",
				     dir, dir);
	return shale_err_say(&ctx->err, ENOTCONN,
			     "the daemon of '%s' has died; 'shale mount "
			     "--recover %s' mounts it again: what was written "
			     "is kept",
			     dir, dir);
}

int shale_target_ask(struct shale_ctx *ctx, const struct shale_target *target,
		     const char *what, json_t **reply)
{
	return shale_control_ask(shale_store_dirfd(target->store),
				 target->info.id, what, 0, reply, &ctx->err);
}
