/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/export.h"

#include "layers/base/cleanup.h"
#include "layers/ops/beneath.h"
#include "layers/ops/export_impl.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum { JOBS_WAITING = 32 };

static int push_dir(struct shale_buf *list, uint64_t ino, char *path, bool ours,
		    struct shale_err *err)
{
	struct shale_export_dir dir = {.ino = ino, .path = path, .ours = ours};
	if (!path || shale_buf_append(list, &dir, sizeof(dir)) < 0) {
		free(path);
		return shale_err_set(err, ENOMEM, "export");
	}
	return 0;
}

/* A subdirectory: made now, filled later. */
static int take_dir(struct shale_exporting *ex, int dirfd, const char *dir,
		    const char *name, uint64_t ino, struct shale_err *err)
{
	struct shale_err why = {0};
	enum shale_restored outcome = SHALE_RESTORED;
	int r = shale_restore_dir(&ex->restore, dirfd, name, &outcome, &why);
	bool ours = outcome == SHALE_RESTORED ||
		    ex->opts->overwrite != SHALE_OVERWRITE_NEVER;
	shale_export_count(ex, dir, name, r, outcome, 0, &why);
	if (r < 0 || outcome == SHALE_EXISTS)
		return shale_export_ends(r) ? shale_err_set(err, -r, "%s", name)
					    : 0;
	return push_dir(&ex->todo, ino, shale_export_join(dir, name), ours,
			err);
}

/* 1: `name` is to be linked later; 0: make it, with `*first` if it is the
 * first of several names. */
static int take_link(struct shale_exporting *ex, const char *dir,
		     const char *name, const struct shale_attr *attr,
		     struct shale_export_first **first, struct shale_err *err)
{
	struct shale_inodemap_slot *slot;
	int r = shale_inodemap_find(&ex->seen, 0, attr->ino, &slot, err);
	if (r < 0)
		return r;
	if (slot->inode) {
		struct shale_export_first **firsts = (void *)ex->firsts.data;
		struct shale_export_link link = {
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
	struct shale_export_first *made = calloc(1, sizeof(*made));
	if (!made || !(made->path = shale_export_join(dir, name)) ||
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

static int take_entry(struct shale_exporting *ex, int dirfd, const char *dir,
		      const struct shale_entry *entry,
		      struct shale_export_job **job, struct shale_err *err)
{
	char name[SHALE_NAME_MAX + 1];
	struct shale_attr attr;
	struct shale_export_first *first = NULL;

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
		r = shale_export_job_new(ex, dirfd, dir, job, err);
	if (r == 0)
		r = shale_export_job_add(*job, name, &attr, first, err);
	if (r == 0 && shale_export_job_full(*job)) {
		shale_pool_add(ex->pool, shale_export_job_run, *job);
		*job = NULL;
	}
	return r;
}

/* What was pushed comes off in walk order. */
static void reverse(struct shale_buf *todo, size_t from)
{
	struct shale_export_dir *v = (void *)(todo->data + from);
	size_t n = (todo->len - from) / sizeof(*v);
	for (size_t i = 0; i < n / 2; i++) {
		struct shale_export_dir t = v[i];
		v[i] = v[n - 1 - i];
		v[n - 1 - i] = t;
	}
}

static int fill_dir(struct shale_exporting *ex,
		    const struct shale_export_dir *dir, struct shale_err *err)
{
	struct shale_index_dir d;
	struct shale_export_job *job = NULL;
	size_t from = ex->todo.len;
	cleanup_fd int fd = shale_beneath_open(ex->root, dir->path,
					       O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0) {
		struct shale_err why;
		shale_err_set(&why, -fd, "open it");
		shale_export_count(ex, dir->path, "", fd, SHALE_RESTORED, 0,
				   &why);
		return 0;
	}
	int r = shale_index_dir(ex->image->index, dir->ino, &d, err);
	for (uint64_t i = 0; r == 0 && i < d.count && !shale_export_stopped(ex);
	     i++) {
		struct shale_entry entry;
		r = shale_index_entry(ex->image->index, d.first + i, &entry,
				      err);
		if (r == 0)
			r = take_entry(ex, fd, dir->path, &entry, &job, err);
	}
	if (job)
		shale_pool_add(ex->pool, shale_export_job_run, job);
	if (ex->todo.len > from)
		reverse(&ex->todo, from);
	return r;
}

static int fill_all(struct shale_exporting *ex, struct shale_err *err)
{
	int r = 0;
	while (r == 0 && ex->todo.len && !shale_export_stopped(ex)) {
		struct shale_export_dir dir;
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

static void release(struct shale_exporting *ex)
{
	struct shale_buf *lists[] = {&ex->todo, &ex->dirs};
	for (int k = 0; k < 2; k++) {
		struct shale_export_dir *dir = (void *)lists[k]->data;
		for (size_t i = 0; i < lists[k]->len / sizeof(*dir); i++)
			free(dir[i].path);
		shale_buf_release(lists[k]);
	}
	struct shale_export_link *link = (void *)ex->links.data;
	for (size_t i = 0; i < ex->links.len / sizeof(*link); i++) {
		free(link[i].dir);
		free(link[i].name);
	}
	struct shale_export_first **first = (void *)ex->firsts.data;
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

static int export_one(struct shale_exporting *ex, const struct shale_attr *attr,
		      const char *name)
{
	enum shale_restored outcome = SHALE_RESTORED;
	struct shale_err why = {0};
	int r = shale_restore_inode(&ex->restore, ex->root, name, attr,
				    &outcome, &why);
	shale_export_count(ex, "", name, r, outcome, attr->size, &why);
	return 0;
}

int shale_export(const struct shale_image *image, uint64_t ino, int dirfd,
		 const char *name, const struct shale_export_opts *opts,
		 struct shale_export_result *result, struct shale_err *err)
{
	struct shale_exporting ex = {
		.image = image,
		.opts = opts,
		.restore = {.image = image,
			    .overwrite = opts->overwrite,
			    .same_owner = opts->same_owner,
			    .privileged = geteuid() == 0,
			    .no_xattrs = opts->no_xattrs,
			    .contents = opts->contents,
			    .staged = opts->staged,
			    .staging = opts->staging},
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
			shale_export_finish(&ex);
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
