/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/mount_workspace.h"

#include "fs/control/control.h"
#include "fs/workspace/workspace.h"
#include "layers/base/cleanup.h"
#include "layers/base/clock.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

enum { STACK_MAX = 32, ENDING_MS = 5000, RETRY_MS = 20 };

int shale_mount_workspace_name(struct shale_ctx *ctx, const char *given,
			       const char *dir, bool ephemeral, char **out)
{
	uint8_t random[4];
	char hex[9];

	cleanup_free char *name =
		given ? strdup(given) : shale_workspace_name_of(dir);
	if (name && ephemeral && !given) {
		cleanup_free char *plain = steal_ptr(&name);
		if (getrandom(random, sizeof(random), 0) != sizeof(random))
			return shale_err_set(&ctx->err, errno, "random number");
		shale_hex(hex, random, sizeof(random));
		if (asprintf(&name, "%s.%s", plain, hex) < 0)
			name = NULL;
	}
	if (!name)
		return shale_err_set(&ctx->err, ENOMEM, "mount");
	int r = shale_workspace_name_check(name, &ctx->err);
	if (r < 0)
		ctx->wrong_usage = true;
	else
		*out = steal_ptr(&name);
	return r;
}

/* ----------------------------------------------------------------- holders */

int shale_mount_workspace_free(struct shale_ctx *ctx, struct shale_store *store,
			       const char *name)
{
	int dirfd = shale_store_dirfd(store), r = 0;
	char id[17];

	for (int tries = 0; r == 0 && tries < ENDING_MS / RETRY_MS; tries++) {
		struct shale_mount_info info = {0};
		if (shale_mount_of_workspace(dirfd, name, id, NULL) < 0 ||
		    shale_mount_read(dirfd, id, &info, NULL) < 0)
			return 0;
		if (shale_mount_stands(&info))
			r = shale_err_say(&ctx->err, EBUSY,
					  "workspace '%s' is mounted on '%s' "
					  "(process %d); shale umount %s, or "
					  "take another",
					  name, info.mountpoint, info.pid,
					  info.mountpoint);
		else
			shale_clock_pause(RETRY_MS);
		shale_mount_info_release(&info);
	}
	return r; /* whoever has it all the same is named by its lock */
}

/* ------------------------------------------------------------------ making */

/* Without images it must be there; what there is is listed. */
static int must_be(struct shale_ctx *ctx, struct shale_store *store,
		   const char *name)
{
	struct shale_workspace_info have = {0};

	int r = shale_workspace_read(shale_store_dirfd(store), name, &have,
				     &ctx->err);
	shale_workspace_info_release(&have);
	if (r != -ENOKEY)
		return r;
	struct shale_err why = ctx->err;
	return shale_err_say(&ctx->err, ENOKEY,
			     "%s (to make one, name the image that it starts "
			     "from)",
			     why.msg);
}

int shale_mount_workspace_need(struct shale_ctx *ctx, struct shale_store *store,
			       const char *name, struct shale_version *const *v,
			       size_t n, char **refs, bool ephemeral,
			       bool *made)
{
	struct shale_digest base[STACK_MAX];
	struct shale_workspace_info info = {
		.name = (char *)name,
		.refs = refs,
		.base = base,
		.n_base = n,
		.ephemeral = ephemeral,
	};

	*made = false;
	if (n == 0)
		return must_be(ctx, store, name);
	for (size_t i = 0; i < n; i++)
		base[i] = v[i]->digest;
	while (info.generation == 0)
		if (getrandom(&info.generation, sizeof(info.generation), 0) !=
		    sizeof(info.generation))
			return shale_err_set(&ctx->err, errno, "random number");
	clock_gettime(CLOCK_REALTIME, &info.created);
	int r = shale_workspace_make(shale_store_dirfd(store), &info,
				     &ctx->err);
	if (r == -EEXIST && ephemeral)
		return shale_err_say(&ctx->err, EEXIST,
				     "workspace '%s' is there already: it "
				     "cannot become an ephemeral one",
				     name);
	*made = r == 0;
	return r == -EEXIST ? 0 : r;
}
