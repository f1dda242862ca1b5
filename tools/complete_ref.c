/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/complete.h"

#include "layers/base/text.h"
#include "layers/index/image.h"
#include "layers/store/index_cache.h"
#include "tools/describe.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum {
	/* An image with more inodes is not looked into before somebody else has
	 * built its index: that takes longer than a key may. */
	INODES_AT_ONCE = 50000,
};

/* ------------------------------------------------------------- references */

static bool first_of_repo(const struct shale_version_list *list, size_t i)
{
	return i == 0 ||
	       strcmp(list->entries[i - 1].repo, list->entries[i].repo) != 0;
}

void shale_complete_repositories(struct shale_completing *c)
{
	cleanup_store struct shale_store *store = NULL;
	struct shale_version_list list = {0};

	if (shale_ctx_store(c->ctx, false, &store) == 0 &&
	    shale_store_versions(store, NULL, &list, NULL) == 0)
		for (size_t i = 0; i < list.n; i++)
			if (first_of_repo(&list, i))
				shale_complete_value(c, list.entries[i].repo,
						     "repository");
	shale_version_list_release(&list);
}

/* "REPO", "REPO:TAG"; with ":/" behind it where a path must follow. */
static void offer(struct shale_completing *c,
		  const struct shale_version_entry *e, bool tag, bool path)
{
	char text[400], when[32];
	snprintf(text, sizeof(text), "%s%s%s%s", e->repo, tag ? ":" : "",
		 tag ? e->tag : "", path ? ":/" : "");
	shale_complete_value(c, text,
			     tag ? shale_human_time(&e->created, when)
				 : "repository, its latest version");
}

static void references(struct shale_completing *c, bool path)
{
	cleanup_store struct shale_store *store = NULL;
	struct shale_version_list list = {0};

	if (shale_ctx_store(c->ctx, false, &store) < 0 ||
	    shale_store_versions(store, NULL, &list, NULL) < 0)
		return;
	for (size_t i = 0; i < list.n; i++) {
		if (first_of_repo(&list, i))
			offer(c, &list.entries[i], false, path);
		if (list.entries[i].tag)
			offer(c, &list.entries[i], true, path);
	}
	shale_version_list_release(&list);
}

/* ------------------------------------------------------------------ paths */

static struct shale_image *
open_image(struct shale_ctx *ctx, struct shale_store *store, const char *ref)
{
	cleanup_version struct shale_version *version = NULL;
	struct shale_image *image = NULL;
	char name[SHALE_INDEX_NAME];
	cleanup_fd int fd = -1;

	if (shale_ctx_resolve(ctx, store, ref, NULL, &version) < 0 ||
	    shale_index_name(&version, 1, name) < 0)
		return NULL;
	if (version->description.inodes > INODES_AT_ONCE &&
	    shale_index_cache_fd(store, name, &fd, NULL) < 0)
		return NULL;
	return shale_store_open_image(store, &version, 1, &image, NULL) < 0
		       ? NULL
		       : image;
}

/* A name that a line of text, and a shell, can hold. */
static bool is_plain(const char *name, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)name[i] < ' ' || name[i] == 0x7f)
			return false;
	return shale_is_utf8(name, len);
}

/* What is in directory `ino`; `text` is the reference and path up to it. */
static void entries(struct shale_completing *c, const struct shale_index *ix,
		    uint64_t ino, const char *text, size_t text_len)
{
	struct shale_index_dir dir;
	struct shale_entry e;

	if (shale_index_dir(ix, ino, &dir, NULL) < 0)
		return;
	for (uint64_t i = 0; i < dir.count && c->left; i++) {
		cleanup_free char *value = NULL;
		if (shale_index_entry(ix, dir.first + i, &e, NULL) < 0 ||
		    !is_plain(e.name, e.name_len))
			continue;
		bool is_dir = e.type == S_IFDIR >> 12;
		if (asprintf(&value, "%.*s%.*s%s", (int)text_len, text,
			     (int)e.name_len, e.name, is_dir ? "/" : "") < 0) {
			value = NULL;
			return;
		}
		shale_complete_value(c, value, is_dir ? "directory" : NULL);
	}
}

static void paths(struct shale_completing *c, const char *path)
{
	const char *text = c->current;
	size_t len = (size_t)(strrchr(path, '/') + 1 - text);
	cleanup_free char *ref = strndup(text, (size_t)(path - text) - 1);
	cleanup_free char *dir = strndup(path, (size_t)(text + len - path));
	cleanup_store struct shale_store *store = NULL;
	uint64_t ino;

	if (!ref || !dir || shale_ctx_store(c->ctx, false, &store) < 0)
		return;
	cleanup_image struct shale_image *image =
		open_image(c->ctx, store, ref);
	if (image &&
	    shale_index_resolve(image->index, dir, true, &ino, NULL) == 0)
		entries(c, image->index, ino, text, len);
}

void shale_complete_refs(struct shale_completing *c,
			 enum shale_complete_path path)
{
	const char *colon = strstr(c->current, ":/");

	if (!colon)
		references(c, path == SHALE_PATH_MUST);
	else if (path != SHALE_PATH_NO)
		paths(c, colon + 1);
}
