/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/space.h"

#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>

void shale_space_explain(struct shale_ctx *ctx, struct shale_store *store,
			 uint64_t need)
{
	struct statvfs fs;
	char most[32], free[32], why[sizeof(ctx->err.msg)];

	if (fstatvfs(shale_store_dirfd(store), &fs) < 0)
		return;
	shale_human_size((uint64_t)fs.f_bavail * fs.f_frsize, false, free);
	memcpy(why, ctx->err.msg, sizeof(why));
	if (!need) {
		shale_err_say(&ctx->err, ENOSPC,
			      "%.700s; nothing was published; %s is free in %s",
			      why, free, shale_store_path(store));
		return;
	}
	shale_human_size(need, false, most);
	shale_err_say(&ctx->err, ENOSPC,
		      "%.700s; the new version needs up to %s and %s is free in "
		      "%s; the changes are kept: make space, then commit again",
		      why, most, free, shale_store_path(store));
}
