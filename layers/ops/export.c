/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/export.h"

#include "layers/base/cleanup.h"
#include "layers/base/buf.h"
#include "layers/base/pool.h"
#include "layers/ops/beneath.h"
#include "layers/ops/inodemap.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>

/* A job is so many files, or so many bytes, of one directory. */
enum { JOB_FILES = 64, JOB_BYTES = 1 << 20, JOBS_WAITING = 32 };

/* The first name of a file with several; the others are linked to it. */
struct first {
	bool placed;
	char *path;
};

struct export
{
	const struct shale_image *image;
	const struct shale_export_opts *opts;
	struct shale_restore restore;
	int root;
	struct shale_pool *pool;

	pthread_mutex_t lock; /* what follows, up to the line */
	struct shale_export_result sum;
	int failed; /* -errno that ends it */
	struct shale_err why;

	struct shale_buf todo;   /* struct dir, next on top */
	struct shale_buf dirs;   /* struct dir, to be finished */
	struct shale_buf links;  /* struct link */
	struct shale_buf firsts; /* struct first * */
	struct shale_inodemap seen;
	uint64_t total;
};

struct dir {
	uint64_t ino;
	char *path; /* owned */
	bool ours;  /* gets its attributes in the end */
};

struct link {
	uint64_t ino;
	struct first *first;
	char *dir, *name;
};

/* ------------------------------------------------------------------ outcomes
 */

static bool ends_all(int r)
{
	return r == -ENOSPC || r == -EDQUOT || r == -EROFS || r == -ENOMEM ||
	       r == -EINTR;
}

static bool stopped(struct export *ex)
{
	pthread_mutex_lock(&ex->lock);
	if (!ex->failed && ex->opts->cancelled &&
	    ex->opts->cancelled(ex->opts->arg))
		ex->failed = shale_err_say(&ex->why, EINTR, "interrupted");
	bool failed = ex->failed != 0;
	pthread_mutex_unlock(&ex->lock);
	return failed;
}

static void say(struct export *ex, const char *dir, const char *name,
		const char *what)
{
	cleanup_buf struct shale_buf path = {0};
	if (!ex->opts->problem ||
	    shale_buf_printf(&path, "/%s%s%s", dir, *dir && *name ? "/" : "",
			     name) < 0)
		return;
	ex->opts->problem(ex->opts->arg, shale_buf_str(&path), what);
}

/* What came of one name; any thread. */
static void count(struct export *ex, const char *dir, const char *name, int r,
		  enum shale_restored outcome, uint64_t bytes,
		  const struct shale_err *why)
{
	struct shale_export_result *sum = &ex->sum;
	pthread_mutex_lock(&ex->lock);
	if (r < 0) {
		sum->left_out++;
		sum->damaged += r == -EIO || r == -EUCLEAN;
		say(ex, dir, name, why->msg);
		if (ends_all(r) && !ex->failed) {
			ex->failed = r;
			ex->why = *why;
			shale_err_wrap(&ex->why, r, "%s/%s", dir, name);
		}
	} else if (outcome == SHALE_EXISTS) {
		sum->exists++;
		say(ex, dir, name, "is there already and was left");
	} else if (outcome == SHALE_REFUSED) {
		sum->left_out++;
		say(ex, dir, name, "left out: only root can make devices");
	} else if (outcome == SHALE_UNCHANGED) {
		sum->unchanged++;
	} else {
		sum->made++;
		sum->bytes += bytes;
		sum->xattrs += r == 1;
		if (r == 1)
			say(ex, dir, name, why->msg);
	}
	if (ex->opts->progress && (sum->made & 127) == 0)
		ex->opts->progress(ex->opts->arg, sum->bytes, ex->total,
				   sum->made, name);
	pthread_mutex_unlock(&ex->lock);
}

/* ------------------------------------------------------------------- workers
 */

struct file {
	struct shale_attr attr;
	struct first *first; /* has several names: NULL if not */
	size_t name;         /* offset in the job's names */
};

struct job {
	struct export *ex;
	int dirfd;
	char *dir; /* its path */
	struct shale_buf files, names;
	uint64_t bytes;
};

static void free_job(struct job *job)
{
	if (job->dirfd >= 0)
		close(job->dirfd);
	free(job->dir);
	shale_buf_release(&job->files);
	shale_buf_release(&job->names);
	free(job);
}

static void run_job(void *arg)
{
	struct job *job = arg;
	const struct file *file = (void *)job->files.data;
	size_t n = job->files.len / sizeof(*file);
	for (size_t i = 0; i < n && !stopped(job->ex); i++) {
		const char *name = (char *)job->names.data + file[i].name;
		enum shale_restored outcome = SHALE_RESTORED;
		struct shale_err why = {0};
		int r = shale_restore_inode(&job->ex->restore, job->dirfd, name,
					    &file[i].attr, &outcome, &why);
		if (file[i].first && r >= 0)
			file[i].first->placed = outcome == SHALE_RESTORED ||
						outcome == SHALE_UNCHANGED;
		uint64_t bytes =
			S_ISREG(file[i].attr.mode) ? file[i].attr.size : 0;
		count(job->ex, job->dir, name, r, outcome, bytes, &why);
	}
	free_job(job);
}

static int new_job(struct export *ex, int dirfd, const char *dir,
		   struct job **out, struct shale_err *err)
{
	struct job *job = calloc(1, sizeof(*job));
	if (!job)
		return shale_err_set(err, ENOMEM, "export");
	job->ex = ex;
	job->dirfd = fcntl(dirfd, F_DUPFD_CLOEXEC, 0);
	job->dir = strdup(dir);
	if (job->dirfd < 0 || !job->dir) {
		int r = shale_err_set(err, job->dir ? errno : ENOMEM, "export");
		free_job(job);
		return r;
	}
	*out = job;
	return 0;
}

static int add_file(struct job *job, const char *name,
		    const struct shale_attr *attr, struct first *first,
		    struct shale_err *err)
{
	struct file file = {
		.attr = *attr,
		.first = first,
		.name = job->names.len,
	};
	if (shale_buf_append(&job->names, name, strlen(name) + 1) < 0 ||
	    shale_buf_append(&job->files, &file, sizeof(file)) < 0)
		return shale_err_set(err, ENOMEM, "export");
	job->bytes += attr->size;
	return 0;
}

static bool is_full(const struct job *job)
{
	return job->bytes >= JOB_BYTES ||
	       job->files.len >= JOB_FILES * sizeof(struct file);
}

/* ---------------------------------------------------------------------- walk
 */

static char *join(const char *dir, const char *name)
{
	struct shale_buf path = {0};
	if (shale_buf_printf(&path, "%s%s%s", dir, *dir ? "/" : "", name) < 0) {
		shale_buf_release(&path);
		return NULL;
	}
	return shale_buf_str(&path);
}

static int push_dir(struct shale_buf *list, uint64_t ino, char *path, bool ours,
		    struct shale_err *err)
{
	struct dir dir = {.ino = ino, .path = path, .ours = ours};
	if (!path || shale_buf_append(list, &dir, sizeof(dir)) < 0) {
		free(path);
		return shale_err_set(err, ENOMEM, "export");
	}
	return 0;
}

/* A subdirectory: made now, filled later. */
static int take_dir(struct export *ex, int dirfd, const char *dir,
		    const char *name, uint64_t ino, struct shale_err *err)
{
	struct shale_err why = {0};
	enum shale_restored outcome = SHALE_RESTORED;
	int r = shale_restore_dir(&ex->restore, dirfd, name, &outcome, &why);
	bool ours = outcome == SHALE_RESTORED ||
		    ex->opts->overwrite != SHALE_OVERWRITE_NEVER;
	count(ex, dir, name, r, outcome, 0, &why);
	if (r < 0 || outcome == SHALE_EXISTS)
		return ends_all(r) ? shale_err_set(err, -r, "%s", name) : 0;
	return push_dir(&ex->todo, ino, join(dir, name), ours, err);
}

/* 1: `name` is to be linked later; 0: make it, with `*first` if it is the
 * first of several names. */
static int take_link(struct export *ex, const char *dir, const char *name,
		     const struct shale_attr *attr, struct first **first,
		     struct shale_err *err)
{
	struct shale_inodemap_slot *slot;
	int r = shale_inodemap_find(&ex->seen, 0, attr->ino, &slot, err);
	if (r < 0)
		return r;
	if (slot->inode) {
		struct first **firsts = (void *)ex->firsts.data;
		struct link link = {
			.ino = attr->ino,
			.first = firsts[slot->inode - 1],
			.dir = strdup(dir),
			.name = strdup(name),
		};
		if (link.dir && link.name &&
		    shale_buf_append(&ex->links, &link, sizeof(link)) == 0)
			return 1;
		free(link.dir);
		free(link.name);
		return shale_err_set(err, ENOMEM, "export");
	}
	struct first *made = calloc(1, sizeof(*made));
	if (!made || !(made->path = join(dir, name)) ||
	    shale_buf_append(&ex->firsts, &made, sizeof(made)) < 0) {
		if (made)
			free(made->path);
		free(made);
		return shale_err_set(err, ENOMEM, "export");
	}
	slot->inode = (uint32_t)(ex->firsts.len / sizeof(made));
	*first = made;
	return 0;
}

static int take_entry(struct export *ex, int dirfd, const char *dir,
		      const struct shale_entry *entry, struct job **job,
		      struct shale_err *err)
{
	char name[SHALE_NAME_MAX + 1];
	struct shale_attr attr;
	struct first *first = NULL;

	memcpy(name, entry->name, entry->name_len);
	name[entry->name_len] = '\0';
	int r = shale_index_attr(ex->image->index, entry->ino, &attr, err);
	if (r < 0)
		return r;
	if (S_ISDIR(attr.mode))
		return take_dir(ex, dirfd, dir, name, attr.ino, err);
	if (attr.nlink > 1)
		r = take_link(ex, dir, name, &attr, &first, err);
	if (r)
		return r < 0 ? r : 0;
	if (!*job)
		r = new_job(ex, dirfd, dir, job, err);
	if (r == 0)
		r = add_file(*job, name, &attr, first, err);
	if (r == 0 && is_full(*job)) {
		shale_pool_add(ex->pool, run_job, *job);
		*job = NULL;
	}
	return r;
}

/* What was pushed comes off in walk order. */
static void reverse(struct shale_buf *todo, size_t from)
{
	struct dir *v = (void *)(todo->data + from);
	size_t n = (todo->len - from) / sizeof(*v);
	for (size_t i = 0; i < n / 2; i++) {
		struct dir t = v[i];
		v[i] = v[n - 1 - i];
		v[n - 1 - i] = t;
	}
}

static int fill_dir(struct export *ex, const struct dir *dir,
		    struct shale_err *err)
{
	struct shale_index_dir d;
	struct job *job = NULL;
	size_t from = ex->todo.len;
	cleanup_fd int fd = shale_beneath_open(ex->root, dir->path,
					       O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0) {
		struct shale_err why;
		shale_err_set(&why, -fd, "open it");
		count(ex, dir->path, "", fd, SHALE_RESTORED, 0, &why);
		return 0;
	}
	int r = shale_index_dir(ex->image->index, dir->ino, &d, err);
	for (uint64_t i = 0; r == 0 && i < d.count && !stopped(ex); i++) {
		struct shale_entry entry;
		r = shale_index_entry(ex->image->index, d.first + i, &entry,
				      err);
		if (r == 0)
			r = take_entry(ex, fd, dir->path, &entry, &job, err);
	}
	if (job)
		shale_pool_add(ex->pool, run_job, job);
	if (ex->todo.len > from)
		reverse(&ex->todo, from);
	return r;
}

static int fill_all(struct export *ex, struct shale_err *err)
{
	int r = 0;
	while (r == 0 && ex->todo.len && !stopped(ex)) {
		struct dir dir;
		ex->todo.len -= sizeof(dir);
		memcpy(&dir, ex->todo.data + ex->todo.len, sizeof(dir));
		/* It is the list's before it is used, and freed with it. */
		r = push_dir(&ex->dirs, dir.ino, dir.path, dir.ours, err);
		if (r == 0)
			r = fill_dir(ex, &dir, err);
	}
	shale_pool_wait(ex->pool);
	return r;
}

/* ---------------------------------------------------------------- afterwards
 */

static int split_open(int root, const char *path, const char **name)
{
	const char *slash = strrchr(path, '/');
	cleanup_free char *dir =
		strndup(path, slash ? (size_t)(slash - path) : 0);
	*name = slash ? slash + 1 : path;
	return dir ? shale_beneath_open(root, dir, O_PATH | O_DIRECTORY, 0)
		   : -ENOMEM;
}

static void make_link(struct export *ex, const struct link *link)
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
	count(ex, link->dir, link->name, r, outcome, 0, &why);
	if (r >= 0 && !link->first->placed && outcome == SHALE_RESTORED) {
		char *path = join(link->dir, link->name);
		if (!path)
			return;
		free(link->first->path);
		link->first->path = path;
		link->first->placed = true;
	}
}

static void finish_dir(struct export *ex, const struct dir *dir)
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
		count(ex, dir->path, "", r, SHALE_RESTORED, 0, &why);
}

static void finish(struct export *ex)
{
	const struct link *link = (void *)ex->links.data;
	for (size_t i = 0; i < ex->links.len / sizeof(*link); i++) {
		if (!stopped(ex))
			make_link(ex, &link[i]);
	}
	/* The deepest first: what is made in a directory moves its time. */
	const struct dir *dir = (void *)ex->dirs.data;
	for (size_t i = ex->dirs.len / sizeof(*dir); i-- > 0;) {
		if (dir[i].ours)
			finish_dir(ex, &dir[i]);
	}
}

static void release(struct export *ex)
{
	struct shale_buf *lists[] = {&ex->todo, &ex->dirs};
	for (int k = 0; k < 2; k++) {
		struct dir *dir = (void *)lists[k]->data;
		for (size_t i = 0; i < lists[k]->len / sizeof(*dir); i++)
			free(dir[i].path);
		shale_buf_release(lists[k]);
	}
	struct link *link = (void *)ex->links.data;
	for (size_t i = 0; i < ex->links.len / sizeof(*link); i++) {
		free(link[i].dir);
		free(link[i].name);
	}
	struct first **first = (void *)ex->firsts.data;
	for (size_t i = 0; i < ex->firsts.len / sizeof(*first); i++) {
		free(first[i]->path);
		free(first[i]);
	}
	shale_buf_release(&ex->links);
	shale_buf_release(&ex->firsts);
	shale_inodemap_release(&ex->seen);
	shale_pool_free(ex->pool);
	pthread_mutex_destroy(&ex->lock);
}

static int export_one(struct export *ex, const struct shale_attr *attr,
		      const char *name)
{
	enum shale_restored outcome = SHALE_RESTORED;
	struct shale_err why = {0};
	int r = shale_restore_inode(&ex->restore, ex->root, name, attr,
				    &outcome, &why);
	count(ex, "", name, r, outcome, attr->size, &why);
	return 0;
}

int shale_export(const struct shale_image *image, uint64_t ino, int dirfd,
		 const char *name, const struct shale_export_opts *opts,
		 struct shale_export_result *result, struct shale_err *err)
{
	struct export ex = {
		.image = image,
		.opts = opts,
		.restore = {.image = image,
			    .overwrite = opts->overwrite,
			    .same_owner = opts->same_owner,
			    .privileged = geteuid() == 0,
			    .no_xattrs = opts->no_xattrs},
		.root = dirfd,
		.total = shale_index_bytes(image->index),
	};
	struct shale_attr attr;
	pthread_mutex_init(&ex.lock, NULL);
	int r = shale_index_attr(image->index, ino, &attr, err);
	if (r == 0 && !S_ISDIR(attr.mode)) {
		r = export_one(&ex, &attr, name);
	} else if (r == 0) {
		r = shale_pool_new(&ex.pool, opts->threads, JOBS_WAITING, err);
		if (r == 0)
			r = push_dir(&ex.todo, ino, strdup(""), opts->own_root,
				     err);
		if (r == 0)
			r = fill_all(&ex, err);
		if (r == 0)
			finish(&ex);
	}
	release(&ex);
	if (r == 0 && ex.failed) {
		r = ex.failed;
		if (err)
			*err = ex.why;
	}
	*result = ex.sum;
	return r;
}
