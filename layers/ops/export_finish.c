/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/export_impl.h"

#include "layers/base/cleanup.h"
#include "layers/ops/beneath.h"

#include <fcntl.h>
#include <string.h>

static int split_open(int root, const char *path, const char **name)
{
	const char *slash = strrchr(path, '/');
	cleanup_free char *dir =
		strndup(path, slash ? (size_t)(slash - path) : 0);
	*name = slash ? slash + 1 : path;
	return dir ? shale_beneath_open(root, dir, O_PATH | O_DIRECTORY, 0)
		   : -ENOMEM;
}

static void make_link(struct shale_exporting *ex,
		      const struct shale_export_link *link)
{
	struct shale_err why = {0};
	enum shale_restored outcome = SHALE_RESTORED;
	const char *from = "";
	struct shale_attr attr;
	cleanup_fd int fd = shale_beneath_open(ex->root, link->dir,
					       O_PATH | O_DIRECTORY, 0);
	cleanup_fd int fromfd =
		link->first->placed
			? split_open(ex->root, link->first->path, &from)
			: -1;
	int r = fd < 0 ? shale_err_set(&why, -fd, "open its directory") : 0;
	if (r == 0)
		r = shale_index_attr(ex->image->index, link->ino, &attr, &why);
	if (r == 0 && fromfd >= 0)
		r = shale_restore_link(&ex->restore, fromfd, from, fd,
				       link->name, &outcome, &why);
	else if (r == 0)
		r = shale_restore_inode(&ex->restore, fd, link->name, &attr,
					&outcome, &why);
	shale_export_count(ex, link->dir, link->name, r, outcome, 0, &why);
	if (r >= 0 && !link->first->placed && outcome == SHALE_RESTORED) {
		char *path = shale_export_join(link->dir, link->name);
		if (!path)
			return;
		free(link->first->path);
		link->first->path = path;
		link->first->placed = true;
	}
}

static void finish_dir(struct shale_exporting *ex,
		       const struct shale_export_dir *dir)
{
	struct shale_err why = {0};
	struct shale_attr attr;
	cleanup_fd int fd = shale_beneath_open(ex->root, dir->path,
					       O_RDONLY | O_DIRECTORY, 0);
	int r = fd < 0 ? shale_err_set(&why, -fd, "open it") : 0;
	if (r == 0)
		r = shale_index_attr(ex->image->index, dir->ino, &attr, &why);
	if (r == 0)
		r = shale_restore_attributes(&ex->restore, fd, &attr, &why);
	if (r)
		shale_export_count(ex, dir->path, "", r, SHALE_RESTORED, 0,
				   &why);
}

void shale_export_finish(struct shale_exporting *ex)
{
	const struct shale_export_link *link = (void *)ex->links.data;
	for (size_t i = 0; i < ex->links.len / sizeof(*link); i++) {
		if (!shale_export_stopped(ex))
			make_link(ex, &link[i]);
	}
	/* The deepest first: what is made in a directory moves its time. */
	const struct shale_export_dir *dir = (void *)ex->dirs.data;
	for (size_t i = ex->dirs.len / sizeof(*dir); i-- > 0;) {
		if (dir[i].ours)
			finish_dir(ex, &dir[i]);
	}
}
