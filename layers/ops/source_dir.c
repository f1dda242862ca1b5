/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/import.h"

#include "layers/base/cleanup.h"
#include "layers/ops/beneath.h"
#include "layers/ops/import_layer.h"
#include "layers/ops/survey.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/*
 * Walks the directory and takes names and attributes; contents are read when
 * all sources are known (import_read.c).  Goes into what is mounted below it,
 * follows no symlink, and leaves the store that it writes to alone.
 *
 * This thread lists directories and plans; what each name is, others ask
 * (survey.h), as many names ahead as those take at a time.
 */
struct walk {
	struct shale_import *imp;
	int root;
	struct stat store;
	struct shale_survey *survey;
	struct listing *listing; /* whose names come next; NULL: none is open */
	struct shale_buf todo;   /* names of directories */
	struct shale_buf path, full, kept;
};

/* A directory that is being listed, or of whose names some are under way. */
struct listing {
	DIR *dir;
	char *path; /* in the source */
	size_t users;
};

static void let_go(struct listing *l)
{
	if (!l || --l->users)
		return;
	closedir(l->dir);
	free(l->path);
	free(l);
}

static void release_walk(struct walk *w)
{
	struct shale_survey_batch *b;
	while (w->survey && (b = shale_survey_take(w->survey))) {
		let_go(b->user);
		shale_survey_return(w->survey);
	}
	let_go(w->listing);
	shale_survey_free(w->survey);
	shale_buf_release(&w->todo);
	shale_buf_release(&w->path);
	shale_buf_release(&w->full);
	shale_buf_release(&w->kept);
}

/* Put it into the plan, as a link if the inode is known. */
static int arrive(struct walk *w, struct shale_arrival *a,
		  const struct stat *st, struct shale_err *err)
{
	struct shale_import *imp = w->imp;
	struct shale_inodemap_slot *link = NULL;
	uint32_t linked = SHALE_PLAN_NONE, name;
	struct shale_whiteout mark;
	const bool root = a->path_len == 0; /* a prefix will be its path */

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
		if (a->attr.size >= SHALE_ALIKE_FROM)
			r = shale_import_large(imp, inode, err);
		if (r < 0)
			return r;
	}
	if (S_ISDIR(a->attr.mode) && !root &&
	    shale_buf_append(&w->todo, &name, sizeof(name)) < 0)
		return shale_err_set(err, ENOMEM, "directories to walk");
	return 0;
}

/* What the survey says of xattrs and a symlink's target.  1: it went away. */
static int complete(struct walk *w, const struct shale_survey_batch *b,
		    const struct shale_found *f, struct shale_arrival *a)
{
	const char *heap = (const char *)b->heap.data;
	if (f->target_error) {
		shale_import_problem(
			w->imp, a->path, "%s",
			f->target_error == ENAMETOOLONG
				? "its target is too long"
				: strerrordesc_np(f->target_error));
		return 1;
	}
	if (S_ISLNK(a->attr.mode)) {
		a->target = heap + f->target;
		a->attr.size = f->target_len;
	}
	if (f->xattr_error)
		shale_import_problem(w->imp, a->path, "%s",
				     heap + f->xattr_why);
	a->xattrs = heap + f->xattrs;
	a->xattr_len = f->xattr_len;
	return f->xattr_error == -ENOENT;
}

/* A name, at the path that w->path holds. */
static int take_name(struct walk *w, const struct shale_survey_batch *b,
		     const struct shale_found *f, struct shale_err *err)
{
	struct shale_import *imp = w->imp;
	struct shale_arrival a = {
		.path = (const char *)w->path.data,
		.path_len = w->path.len,
		.attr = shale_attr_of_stat(&f->st),
	};
	if (f->error) {
		shale_import_problem(imp, a.path, "%s",
				     strerrordesc_np(f->error));
		return 0;
	}
	if (f->st.st_dev == w->store.st_dev && f->st.st_ino == w->store.st_ino)
		return 0;
	if (a.path_len && shale_exclude_match(&imp->opts.exclude, a.path,
					      S_ISDIR(f->st.st_mode)))
		return 0;
	return complete(w, b, f, &a) ? 0 : arrive(w, &a, &f->st, err);
}

static int take_names(struct walk *w, const struct shale_survey_batch *b,
		      struct shale_err *err)
{
	const struct shale_found *all = (void *)b->items.data;
	const struct listing *l = b->user;
	int r = b->failed < 0
			? shale_err_set(err, -b->failed, "walk a directory")
			: 0;
	for (size_t i = 0; i < shale_survey_count(b) && r == 0; i++) {
		const char *name = (const char *)b->heap.data + all[i].name;
		w->path.len = 0;
		if (shale_buf_append(&w->path, l->path, strlen(l->path)) < 0 ||
		    (w->path.len && shale_buf_append(&w->path, "/", 1) < 0) ||
		    shale_buf_append(&w->path, name, strlen(name)) < 0 ||
		    !shale_buf_str(&w->path))
			return shale_err_set(err, ENOMEM, "a path");
		r = take_name(w, b, &all[i], err);
	}
	return r;
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

/* Open the directory at `path` ("": the source itself). */
static int open_listing(struct walk *w, const char *path, struct shale_err *err)
{
	struct listing *l = calloc(1, sizeof(*l));
	if (l)
		*l = (struct listing){.path = strdup(path), .users = 1};
	if (!l || !l->path) {
		free(l);
		return shale_err_set(err, ENOMEM, "walk a directory");
	}
	cleanup_fd int fd =
		shale_beneath_open(w->root, path, O_RDONLY | O_DIRECTORY, 0);
	int error = fd < 0 ? -fd : 0;
	if (!error && !(l->dir = fdopendir(fd)))
		error = errno;
	if (error) {
		free(l->path);
		free(l);
		return cannot_list(w, path, error, err);
	}
	steal_fd(&fd);
	w->listing = l;
	return 0;
}

/* Open the directory whose names come next. */
static int list_next(struct walk *w, struct shale_err *err)
{
	cleanup_buf struct shale_buf path = {0};
	size_t skip = w->imp->prefix_len + (w->imp->prefix_len != 0);
	uint32_t name;
	w->todo.len -= sizeof(name);
	memcpy(&name, w->todo.data + w->todo.len, sizeof(name));
	int r = shale_import_check(w->imp, err);
	if (r == 0)
		r = shale_plan_path(&w->imp->plan, name, &path, err);
	return r < 0 ? r : open_listing(w, (const char *)path.data + skip, err);
}

/* Give the next names of the open directory. */
static int give_names(struct walk *w, struct shale_survey_batch *b,
		      struct shale_err *err)
{
	struct listing *l = w->listing;
	const struct dirent *e = NULL;
	int r = 0;
	while (r == 0 && shale_survey_count(b) < SHALE_SURVEY_NAMES) {
		errno = 0;
		e = readdir(l->dir);
		if (!e)
			break;
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			r = shale_survey_add(b, e->d_name, err);
	}
	if (r == 0 && !e && errno)
		r = cannot_list(w, l->path, errno, err);
	if (r == 0 && shale_survey_count(b)) {
		b->dirfd = dirfd(l->dir);
		b->user = l;
		l->users++;
		shale_survey_give(w->survey);
	}
	if (!e) {
		w->listing = NULL;
		let_go(l);
	}
	return r;
}

/* The source itself, whose name is nobody's. */
static int take_root(struct walk *w, struct shale_err *err)
{
	struct shale_survey_batch *b = shale_survey_room(w->survey);
	int r = shale_survey_add(b, ".", err);
	if (r < 0)
		return r;
	b->dirfd = w->root;
	b->user = NULL;
	shale_survey_give(w->survey);
	b = shale_survey_take(w->survey);
	if (b->failed < 0)
		r = shale_err_set(err, -b->failed, "walk a directory");
	else if (!shale_buf_str(&w->path))
		r = shale_err_set(err, ENOMEM, "a path");
	else
		r = take_name(w, b, (void *)b->items.data, err);
	shale_survey_return(w->survey);
	return r < 0 ? r : open_listing(w, "", err);
}

static int walk(struct walk *w, struct shale_err *err)
{
	struct shale_survey_batch *b;
	int r = take_root(w, err);
	while (r == 0) {
		b = w->listing || w->todo.len ? shale_survey_room(w->survey)
					      : NULL;
		if (b && !w->listing) {
			r = list_next(w, err);
		} else if (b) {
			r = give_names(w, b, err);
		} else if ((b = shale_survey_take(w->survey))) {
			r = take_names(w, b, err);
			let_go(b->user);
			shale_survey_return(w->survey);
			shale_import_compare_early(w->imp);
		} else {
			break;
		}
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
	if (r == 0 && import->opts.layer)
		r = shale_import_parent(import, err);
	if (r == 0)
		r = check_outside(&w.store, fd, err);
	if (r == 0)
		r = check_marks(import, &st, err);
	if (r == 0)
		r = shale_survey_new(
			&w.survey, import->opts.threads, import->opts.xattrs,
			import->opts.layer == SHALE_LAYER_OVERLAY, err);
	if (r == 0)
		r = walk(&w, err);
	release_walk(&w);
	return r < 0 ? shale_err_wrap(err, r, "import '%s'", path) : 0;
}
