/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/import.h"

#include "layers/base/cleanup.h"
#include "layers/ops/beneath.h"
#include "layers/ops/import_layer.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/*
 * Walks the directory and takes names and attributes; contents are read when
 * all sources are known (import_read.c).  Goes into what is mounted below it,
 * follows no symlink, and leaves the store that it writes to alone.
 */
struct walk {
	struct shale_import *imp;
	int root;
	struct stat store;
	struct shale_buf todo; /* names of directories */
	struct shale_buf path, full, xattrs, kept;
	char target[SHALE_TARGET_MAX + 2];
};

static void release_walk(struct walk *w)
{
	shale_buf_release(&w->todo);
	shale_buf_release(&w->path);
	shale_buf_release(&w->full);
	shale_buf_release(&w->xattrs);
	shale_buf_release(&w->kept);
}

/* `dir`/`name` of the source into w->path. */
static int set_path(struct walk *w, const char *dir, const char *name,
		    struct shale_err *err)
{
	w->path.len = 0;
	if (shale_buf_printf(&w->path, "%s%s%s", dir, *dir ? "/" : "", name) <
		    0 ||
	    !shale_buf_str(&w->path))
		return shale_err_set(err, ENOMEM, "a path");
	return 0;
}

/* What fstatat did not say: target and xattrs.  1: it went away. */
static int complete(struct walk *w, int fd, const char *name,
		    struct shale_arrival *a, struct shale_err *err)
{
	struct shale_import *imp = w->imp;
	if (S_ISLNK(a->attr.mode)) {
		ssize_t n = readlinkat(fd, name, w->target, sizeof(w->target));
		if (n < 0 || n > SHALE_TARGET_MAX) {
			shale_import_problem(imp, a->path, "%s",
					     n < 0 ? strerrordesc_np(errno)
						   : "its target is too long");
			return 1;
		}
		a->target = w->target;
		a->attr.size = (uint64_t)n;
	}
	struct shale_err why = {0};
	int r = shale_xattrs_read(fd, name, imp->opts.xattrs,
				  imp->opts.layer == SHALE_LAYER_OVERLAY,
				  &w->xattrs, &why);
	if (r == -ENOMEM)
		return shale_err_set(err, ENOMEM, "xattrs");
	if (r < 0)
		shale_import_problem(imp, a->path, "%s", why.msg);
	a->xattrs = w->xattrs.data;
	a->xattr_len = (uint32_t)w->xattrs.len;
	return r == -ENOENT;
}

/* Put it into the plan, as a link if the inode is known. */
static int arrive(struct walk *w, struct shale_arrival *a,
		  const struct stat *st, struct shale_err *err)
{
	struct shale_import *imp = w->imp;
	struct shale_inodemap_slot *link = NULL;
	uint32_t linked = SHALE_PLAN_NONE, name;
	struct shale_whiteout mark;

	int r = shale_import_mark(imp, a, &w->full, &w->kept, &mark, err);
	if (r < 0 || mark.what != SHALE_WHITEOUT_ENTRY)
		return r;
	if (!S_ISDIR(st->st_mode) && st->st_nlink > 1)
		r = shale_inodemap_find(&imp->links, st->st_dev, st->st_ino,
					&link, err);
	/* The inode may have lost all its names to a later source. */
	if (link && link->inode &&
	    shale_plan_inode(&imp->plan, link->inode - 1)->names)
		linked = link->inode - 1;
	if (r == 0)
		r = shale_import_arrive(imp, a, &w->full, linked, &name, err);
	if (r == 0)
		r = shale_import_marked(imp, &mark, name, err);
	if (r < 0)
		return r;

	uint32_t inode = shale_plan_name(&imp->plan, name)->inode;
	struct shale_plan_inode *in = shale_plan_inode(&imp->plan, inode);
	if (link)
		link->inode = inode + 1;
	if (linked == SHALE_PLAN_NONE && S_ISREG(a->attr.mode)) {
		in->content = SHALE_PLAN_UNREAD;
		imp->total += a->attr.size;
	}
	if (S_ISDIR(a->attr.mode) && a->path_len &&
	    shale_buf_append(&w->todo, &name, sizeof(name)) < 0)
		return shale_err_set(err, ENOMEM, "directories to walk");
	return 0;
}

static int take_name(struct walk *w, int fd, const char *dir, const char *name,
		     struct shale_err *err)
{
	struct shale_import *imp = w->imp;
	struct stat st;
	int r = set_path(w, dir, name, err);
	if (r < 0)
		return r;
	const char *path = (const char *)w->path.data;
	if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		shale_import_problem(imp, path, "%s", strerrordesc_np(errno));
		return 0;
	}
	if (st.st_dev == w->store.st_dev && st.st_ino == w->store.st_ino)
		return 0;
	if (shale_exclude_match(&imp->opts.exclude, path, S_ISDIR(st.st_mode)))
		return 0;

	struct shale_arrival a = {
		.path = path,
		.path_len = w->path.len,
		.attr = shale_attr_of_stat(&st),
	};
	r = complete(w, fd, name, &a, err);
	if (r == 0)
		r = arrive(w, &a, &st, err);
	return r < 0 ? r : 0;
}

/* The source itself, or a directory in it, cannot be listed. */
static int cannot_list(struct walk *w, const char *path, int error,
		       struct shale_err *err)
{
	if (error == EMFILE || error == ENOMEM)
		return shale_err_set(err, error, "open directory '%s'", path);
	if (!*path) /* (the store is not what is damaged) */
		return shale_err_say(err, EBADMSG, "list it: %s",
				     strerrordesc_np(error));
	shale_import_problem(w->imp, path, "%s", strerrordesc_np(error));
	return 0;
}

static int take_names(struct walk *w, DIR *dir, const char *path,
		      struct shale_err *err)
{
	for (;;) {
		errno = 0;
		const struct dirent *e = readdir(dir);
		if (!e)
			return errno ? cannot_list(w, path, errno, err) : 0;
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		int r = take_name(w, dirfd(dir), path, e->d_name, err);
		if (r < 0)
			return r;
	}
}

/* Everything in the directory at `path` ("": the source itself). */
static int take_dir(struct walk *w, const char *path, struct shale_err *err)
{
	int r = shale_import_check(w->imp, err);
	if (r < 0)
		return r;
	int fd = shale_beneath_open(w->root, path, O_RDONLY | O_DIRECTORY, 0);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		int error = fd < 0 ? -fd : errno;
		if (fd >= 0)
			close(fd);
		return cannot_list(w, path, error, err);
	}
	r = take_names(w, dir, path, err);
	closedir(dir);
	return r;
}

static int walk(struct walk *w, const struct stat *st, struct shale_err *err)
{
	struct shale_import *imp = w->imp;
	cleanup_buf struct shale_buf path = {0};
	struct shale_arrival root = {
		.path = "",
		.attr = shale_attr_of_stat(st),
	};
	int r = complete(w, w->root, ".", &root, err);
	if (r >= 0)
		r = arrive(w, &root, st, err);
	if (r == 0)
		r = take_dir(w, "", err);
	while (r == 0 && w->todo.len) {
		uint32_t name;
		w->todo.len -= sizeof(name);
		memcpy(&name, w->todo.data + w->todo.len, sizeof(name));
		r = shale_plan_path(&imp->plan, name, &path, err);
		size_t skip = imp->prefix_len + (imp->prefix_len != 0);
		if (r == 0)
			r = take_dir(w, (const char *)path.data + skip, err);
	}
	return r;
}

/* What is written while it is read would never end. */
static int check_outside(const struct stat *store, int fd,
			 struct shale_err *err)
{
	cleanup_fd int dir =
		openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat here, above;
	if (dir < 0 || fstat(dir, &here) < 0)
		return shale_err_set(err, errno, "look at it");
	for (;;) {
		if (here.st_dev == store->st_dev &&
		    here.st_ino == store->st_ino)
			return shale_err_say(err, EINVAL,
					     "it lies in the store that it "
					     "would be packed into");
		int up = openat(dir, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (up < 0 || fstat(up, &above) < 0) {
			if (up >= 0)
				close(up);
			return 0; /* not ours to look at: not our store */
		}
		close(dir);
		dir = up;
		if (above.st_dev == here.st_dev && above.st_ino == here.st_ino)
			return 0;
		here = above;
	}
}

/* The marks of an upper directory that root's overlayfs made are for root. */
static int check_marks(const struct shale_import *imp, const struct stat *st,
		       struct shale_err *err)
{
	if (imp->opts.layer != SHALE_LAYER_OVERLAY || geteuid() == 0 ||
	    st->st_uid == geteuid())
		return 0;
	return shale_err_say(err, EPERM,
			     "only root can see what this upper directory "
			     "hides: trusted.overlay.* xattrs");
}

int shale_import_dir(struct shale_import *import, const char *path,
		     struct shale_err *err)
{
	struct walk w = {.imp = import};
	struct stat st;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return shale_err_set(err, errno, "open '%s'", path);
	if (fstat(fd, &st) < 0 ||
	    fstat(shale_store_dirfd(import->store), &w.store) < 0) {
		int r = shale_err_set(err, errno, "look at '%s'", path);
		close(fd);
		return r;
	}
	w.root = fd;
	int r = shale_import_source(import, path, "directory", &st, fd, err);
	if (r == 0)
		r = check_outside(&w.store, fd, err);
	if (r == 0)
		r = check_marks(import, &st, err);
	if (r == 0)
		r = walk(&w, &st, err);
	release_walk(&w);
	return r < 0 ? shale_err_wrap(err, r, "import '%s'", path) : 0;
}
