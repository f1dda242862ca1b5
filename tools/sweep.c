/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/sweep.h"

#include "fs/control/control.h"
#include "fs/workspace/workspace.h"

#include <stdlib.h>
#include <time.h>

/* One that young may be about to be mounted. */
enum { YOUNG_SECONDS = 60 };

static void gone(void *arg, const struct shale_mount_info *info)
{
	if (info->ephemeral && info->workspace)
		(void)shale_workspace_remove(*(int *)arg, info->workspace,
					     NULL);
}

/* Its lock tells whether somebody has it: then it stays. */
static void sweep_one(int dirfd, const char *name)
{
	struct shale_workspace_info info = {0};

	if (shale_workspace_read(dirfd, name, &info, NULL) == 0 &&
	    info.ephemeral && info.created.tv_sec + YOUNG_SECONDS < time(NULL))
		(void)shale_workspace_remove(dirfd, name, NULL);
	shale_workspace_info_release(&info);
}

void shale_sweep(struct shale_store *store, bool all)
{
	int dirfd = shale_store_dirfd(store);
	char **names = NULL;
	size_t n = 0;

	shale_mount_sweep(dirfd, gone, &dirfd);
	if (!all || shale_workspace_list(dirfd, &names, &n, NULL) < 0)
		return;
	for (size_t i = 0; i < n; i++) {
		sweep_one(dirfd, names[i]);
		free(names[i]);
	}
	free(names);
}
