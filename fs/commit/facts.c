/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/commit/changes.h"

#include "fs/commit/records.h"
#include "layers/base/cleanup.h"

#include <string.h>

static int stop(void *arg, const struct shale_change *change)
{
	(void)change;
	*(bool *)arg = true;
	return 1;
}

/* The image of its last commit, if it has made any. */
static int find_last(struct shale_records *records,
		     struct shale_workspace_facts *out, struct shale_err *err)
{
	struct shale_rec_image image;

	if (records->untouched || !records->state.committed)
		return 0;
	int r = shale_records_image(records, records->state.last, &image, err);
	if (r < 0)
		return r;
	out->committed = true;
	out->last = image.manifest[0];
	return 0;
}

int shale_workspace_facts(struct shale_store *store, const char *workspace,
			  bool mounted, struct shale_workspace_facts *out,
			  struct shale_err *err)
{
	struct shale_records records;
	int dirfd = shale_store_dirfd(store);

	*out = (struct shale_workspace_facts){0};
	int r = shale_records_open(&records, dirfd, workspace, mounted, err);
	if (r < 0)
		return r;
	r = find_last(&records, out, err);
	out->info = records.info;
	records.info = (struct shale_workspace_info){0};
	shale_records_close(&records);
	if (r == 0)
		r = shale_changes_list(store, workspace, mounted, stop,
				       &out->changed, err);
	out->bytes = shale_workspace_bytes(dirfd, workspace);
	if (r < 0)
		shale_workspace_facts_release(out);
	return r < 0 ? r : 0;
}

void shale_workspace_facts_release(struct shale_workspace_facts *facts)
{
	shale_workspace_info_release(&facts->info);
}
