/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/save.h"

#include <errno.h>
#include <string.h>

int shale_save_list_init(struct shale_save_list *list,
			 struct shale_store *store, struct shale_err *err)
{
	*list = (struct shale_save_list){0};
	int r = shale_store_versions(store, NULL, &list->all, err);
	if (r == 0 && list->all.n && !shale_buf_add(&list->chosen, list->all.n))
		r = shale_err_set(err, ENOMEM, "list versions");
	return r;
}

void shale_save_list_release(struct shale_save_list *list)
{
	shale_version_list_release(&list->all);
	shale_buf_release(&list->chosen);
}

static bool is(const struct shale_version_entry *e, const char *repo,
	       const struct shale_digest *digest)
{
	return !strcmp(e->repo, repo) && shale_digest_equal(&e->digest, digest);
}

void shale_save_list_add(struct shale_save_list *list, const char *repo,
			 const char *tag, const struct shale_digest *digest)
{
	uint8_t *chosen = list->chosen.data;
	bool any = false;
	for (size_t i = 0; i < list->all.n; i++) {
		const struct shale_version_entry *e = &list->all.entries[i];
		if (!is(e, repo, digest))
			continue;
		if (tag && e->tag && !strcmp(tag, e->tag))
			chosen[i] = SHALE_SAVE_TAGGED;
		any = any || chosen[i];
	}
	for (size_t i = 0; i < list->all.n && !any; i++) {
		if (is(&list->all.entries[i], repo, digest)) {
			chosen[i] = SHALE_SAVE_UNTAGGED;
			any = true;
		}
	}
}

void shale_save_list_add_history(struct shale_save_list *list, const char *repo,
				 const struct shale_digest *digest)
{
	struct shale_digest at = *digest;
	/* A line longer than the list is a circle, which only damage makes. */
	for (size_t left = list->all.n; left; left--) {
		const struct shale_version_entry *found = NULL;
		for (size_t i = 0; i < list->all.n; i++) {
			if (!is(&list->all.entries[i], repo, &at))
				continue;
			found = &list->all.entries[i];
			list->chosen.data[i] = SHALE_SAVE_TAGGED;
		}
		if (!found || !found->has_parent)
			return;
		at = found->parent;
	}
}

void shale_save_list_add_repo(struct shale_save_list *list, const char *repo)
{
	for (size_t i = 0; i < list->all.n; i++)
		if (!strcmp(list->all.entries[i].repo, repo))
			list->chosen.data[i] = SHALE_SAVE_TAGGED;
}
