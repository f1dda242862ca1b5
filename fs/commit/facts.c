/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/commit/changes.h"

#include "fs/commit/records.h"
#include "layers/base/cleanup.h"

#include <string.h>

/* ------------------------------------------------------------------- any */

struct any {
	uint32_t committed;
	bool found;
};

static int any_name(void *arg, const struct shale_buf *key,
		    const struct shale_buf *value, struct shale_err *err)
{
	struct any *any = arg;
	struct shale_rec_name rec;

	(void)key;
	int r = shale_rec_name_decode(value, &rec, err);
	any->found = r == 0 && rec.epoch > any->committed;
	return r < 0 ? r : any->found;
}

static int any_attr(void *arg, const struct shale_buf *key,
		    const struct shale_buf *value, struct shale_err *err)
{
	struct any *any = arg;
	struct shale_rec_attr rec;

	(void)key;
	int r = shale_rec_attr_decode(value, &rec, err);
	any->found = r == 0 && rec.epoch > any->committed;
	return r < 0 ? r : any->found;
}

int shale_changes_any(int store_dirfd, const char *workspace, bool *any,
		      struct shale_err *err)
{
	SHALE_CLEANUP(shale_records_close) struct shale_records delta = {0};

	int r = shale_records_open(&delta, store_dirfd, workspace, true, err);
	if (r < 0)
		return r;
	struct any look = {.committed = delta.state.committed};
	if (!delta.untouched)
		r = shale_records_each(&delta, 'N', any_name, &look, err);
	/* A change of content changes times, so attributes tell of it. */
	if (r == 0 && !delta.untouched)
		r = shale_records_each(&delta, 'I', any_attr, &look, err);
	if (r < 0)
		return r;
	*any = look.found;
	return 0;
}

/* ----------------------------------------------------------------- facts */

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
