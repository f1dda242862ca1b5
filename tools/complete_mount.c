/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/complete.h"

#include "fs/control/control.h"
#include "fs/workspace/workspace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void shale_complete_workspaces(struct shale_completing *c)
{
	struct shale_store *store = NULL;
	char **names = NULL;
	size_t n = 0;

	if (shale_ctx_store(c->ctx, false, &store) < 0)
		return;
	if (shale_workspace_list(shale_store_dirfd(store), &names, &n, NULL) <
	    0)
		n = 0;
	for (size_t i = 0; i < n; i++) {
		shale_complete_value(c, names[i], "workspace");
		free(names[i]);
	}
	free(names);
	shale_store_close(store);
}

static int offer(void *arg, const struct shale_mount_info *info,
		 struct shale_err *err)
{
	char what[160];
	const char *shown = info->workspace ? info->workspace
			    : info->n > 0   ? info->refs[0]
					    : info->kind;
	(void)err;
	snprintf(what, sizeof(what), "mount of %s", shown);
	if (!strpbrk(info->mountpoint, "\n\t"))
		shale_complete_value(arg, info->mountpoint, what);
	return 0;
}

void shale_complete_mountpoints(struct shale_completing *c)
{
	struct shale_store *store = NULL;

	if (shale_ctx_store(c->ctx, false, &store) < 0)
		return;
	shale_mount_each(shale_store_dirfd(store), offer, c, NULL);
	shale_store_close(store);
}
