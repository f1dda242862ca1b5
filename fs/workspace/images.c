/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/workspace/workspace.h"
#include "layers/base/cleanup.h"
#include "layers/base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/*
 * The file `images`: one "sha256:…" a line.  It is replaced, never changed, so
 * that it can be read without the workspace's lock.
 */

enum { IMAGES_LIMIT = 16 << 20 };

static int add(struct shale_buf *list, const struct shale_digest *digest)
{
	const struct shale_digest *have = (const void *)list->data;
	for (size_t i = 0; i < list->len / sizeof(*have); i++)
		if (shale_digest_equal(&have[i], digest))
			return 0;
	return shale_buf_append(list, digest, sizeof(*digest));
}

static int parse(char *text, struct shale_buf *list, struct shale_err *err)
{
	char *rest = text, *line;
	while ((line = strsep(&rest, "\n"))) {
		struct shale_digest digest;
		if (!*line)
			continue;
		if (shale_digest_parse(line, &digest) < 0)
			return shale_err_say(err, EUCLEAN,
					     "'images' is damaged: '%.80s' is "
					     "no digest",
					     line);
		if (add(list, &digest) < 0)
			return shale_err_set(err, ENOMEM, "read 'images'");
	}
	return 0;
}

static int read_list(int dirfd, struct shale_buf *list, struct shale_err *err)
{
	cleanup_buf struct shale_buf text = {0};
	int r = shale_read_file(dirfd, "images", IMAGES_LIMIT, &text, err);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	char *s = shale_buf_str(&text);
	return s ? parse(s, list, err)
		 : shale_err_set(err, ENOMEM, "read 'images'");
}

int shale_workspace_images(int store_dirfd, const char *name,
			   struct shale_digest **out, size_t *n,
			   struct shale_err *err)
{
	struct shale_buf list = {0};
	char path[128];

	int r = shale_workspace_name_check(name, err);
	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "workspaces/%s", name);
	cleanup_fd int dirfd =
		openat(store_dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0 && errno != ENOENT)
		return shale_err_set(err, errno, "open workspace '%s'", name);
	if (dirfd >= 0)
		r = read_list(dirfd, &list, err);
	if (r < 0) {
		shale_buf_release(&list);
		return shale_err_wrap(err, r, "workspace '%s'", name);
	}
	*out = (struct shale_digest *)list.data;
	*n = list.len / sizeof(**out);
	return 0;
}

static int write_list(struct shale_workspace *ws, const struct shale_buf *list,
		      struct shale_err *err)
{
	cleanup_buf struct shale_buf text = {0};
	const struct shale_digest *digests = (const void *)list->data;

	for (size_t i = 0; i < list->len / sizeof(*digests); i++) {
		char digest[SHALE_DIGEST_STR];
		if (shale_buf_printf(&text, "%s\n",
				     shale_digest_str(&digests[i], digest)) < 0)
			return shale_err_set(err, ENOMEM, "write 'images'");
	}
	return shale_file_replace(ws->dirfd, "images", text.data, text.len,
				  err);
}

int shale_workspace_need_images(struct shale_workspace *ws,
				const struct shale_digest *digests, size_t n,
				struct shale_err *err)
{
	cleanup_buf struct shale_buf list = {0};
	int r = read_list(ws->dirfd, &list, err);
	if (r < 0)
		return r;
	size_t before = list.len;
	for (size_t i = 0; i < n; i++)
		if (add(&list, &digests[i]) < 0)
			return shale_err_set(err, ENOMEM, "write 'images'");
	return list.len == before ? 0 : write_list(ws, &list, err);
}

int shale_workspace_keep_images(struct shale_workspace *ws,
				const struct shale_digest *digests, size_t n,
				struct shale_err *err)
{
	cleanup_buf struct shale_buf have = {0}, list = {0};
	int r = read_list(ws->dirfd, &have, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++)
		if (add(&list, &digests[i]) < 0)
			return shale_err_set(err, ENOMEM, "write 'images'");
	return list.len >= have.len ? 0 : write_list(ws, &list, err);
}
