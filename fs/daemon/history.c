/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/daemon/history.h"

#include "fs/daemon/trees.h"
#include "layers/base/cleanup.h"
#include "layers/base/io.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { FILE_LIMIT = 1 << 30 };

struct shale_history {
	struct shale_store *store;
	char *repo;
	struct shale_trees *trees; /* under `lock` */
	int names_fd;              /* the numbers in `top`: fs/mount/synth.h */
	pthread_mutex_t lock;
	struct shale_synth *top;
	struct stat seen; /* index.json, as `top` was made from it */
};

void shale_history_free(struct shale_history *h)
{
	if (!h)
		return;
	shale_synth_unref(h->top);
	shale_trees_close(h->trees);
	if (h->names_fd >= 0)
		close(h->names_fd);
	pthread_mutex_destroy(&h->lock);
	free(h->repo);
	free(h);
}

int shale_history_tree(struct shale_history *h, uint32_t tree,
		       struct shale_digest *out)
{
	pthread_mutex_lock(&h->lock);
	int r = shale_trees_digest(h->trees, tree, out);
	pthread_mutex_unlock(&h->lock);
	return r;
}

/* One entry of index.json: its tree and the links to it. */
static int add_version(struct shale_history *h, struct shale_synth *top,
		       const struct shale_version_entry *v, const char *prefix,
		       const struct timespec *previous, struct shale_err *err)
{
	char id[13], target[32], when[64];
	uint32_t tree = 0;
	struct tm tm;

	int r = shale_trees_number(h->trees, &v->digest, &tree, err);
	if (r < 0)
		return r;
	shale_hex(id, v->digest.b, 6);
	cleanup_buf struct shale_buf path = {0};
	if (shale_buf_printf(&path, "%sby-id/%s", prefix, id) < 0 ||
	    !shale_buf_str(&path))
		return -ENOMEM;
	r = shale_synth_add(top, (char *)path.data, SHALE_SYNTH_TREE, NULL,
			    tree, &v->created);

	snprintf(target, sizeof(target), "../by-id/%s", id);
	if (r == 0 && v->tag) {
		path.len = 0;
		r = shale_buf_printf(&path, "%sby-tag/%s", prefix, v->tag);
		if (r == 0 && shale_buf_str(&path))
			r = shale_synth_add(top, (char *)path.data,
					    SHALE_SYNTH_LINK, target, 0,
					    &v->created);
	}
	if (r < 0 || !gmtime_r(&v->created.tv_sec, &tm))
		return r;
	/* The earliest version of a second has the plain name. */
	size_t n = strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
	if (previous && previous->tv_sec == v->created.tv_sec &&
	    previous->tv_nsec != v->created.tv_nsec)
		n += (size_t)snprintf(when + n, sizeof(when) - n, ".%09ld",
				      v->created.tv_nsec);
	path.len = 0;
	r = shale_buf_printf(&path, "%sby-time/%sZ", prefix, when);
	if (r == 0 && shale_buf_str(&path))
		r = shale_synth_add(top, (char *)path.data, SHALE_SYNTH_LINK,
				    target, 0, &v->created);
	return r;
}

/* `latest`: what the tag says, else the newest. */
static int add_latest(struct shale_synth *top,
		      const struct shale_version_entry *entries, size_t n,
		      const char *prefix)
{
	char id[13], target[32];
	const struct shale_version_entry *v = &entries[0];
	cleanup_buf struct shale_buf path = {0};

	for (size_t i = 0; i < n; i++)
		if (entries[i].tag && !strcmp(entries[i].tag, "latest"))
			v = &entries[i];
	shale_hex(id, v->digest.b, 6);
	snprintf(target, sizeof(target), "by-id/%s", id);
	if (shale_buf_printf(&path, "%slatest", prefix) < 0 ||
	    !shale_buf_str(&path))
		return -ENOMEM;
	return shale_synth_add(top, (char *)path.data, SHALE_SYNTH_LINK, target,
			       0, &v->created);
}

/* The run of one repository, newest first. */
static int add_repository(struct shale_history *h, struct shale_synth *top,
			  const struct shale_version_entry *entries, size_t n,
			  struct shale_err *err)
{
	cleanup_buf struct shale_buf buf = {0};
	if (!h->repo && shale_buf_printf(&buf, "%s/", entries[0].repo) < 0)
		return -ENOMEM;
	const char *prefix = shale_buf_str(&buf);
	if (!prefix)
		return -ENOMEM;

	for (size_t i = n; i-- > 0;) {
		const struct timespec *previous =
			i + 1 < n ? &entries[i + 1].created : NULL;
		int r = add_version(h, top, &entries[i], prefix, previous, err);
		if (r < 0)
			return r;
	}
	return add_latest(top, entries, n, prefix);
}

/* Before anybody sees them. */
static int note_numbers(struct shale_history *h, const struct shale_synth *top,
			struct shale_err *err)
{
	cleanup_buf struct shale_buf out = {0};

	int r = shale_synth_save(top, h->top, &out);
	if (r < 0)
		return shale_err_set(err, -r, "list versions");
	return out.len ? shale_file_append(h->names_fd, out.data, out.len,
					   "names", err)
		       : 0;
}

static int build(struct shale_history *h, const struct timespec *mtime,
		 struct shale_synth **out, struct shale_err *err)
{
	struct shale_version_list list = {0};
	struct shale_synth *top;

	int r = shale_store_versions(h->store, h->repo, &list, err);
	if (r < 0)
		return r;
	r = shale_synth_new(&top, h->top, mtime);
	if (r < 0) {
		shale_version_list_release(&list);
		return r;
	}
	for (size_t i = 0, n; r == 0 && i < list.n; i += n) {
		const struct shale_version_entry *e = &list.entries[i];
		for (n = 1; i + n < list.n && !strcmp(e[n].repo, e->repo); n++)
			;
		r = add_repository(h, top, e, n, err);
	}
	shale_version_list_release(&list);
	if (r == 0)
		r = shale_synth_seal(top);
	if (r == 0)
		r = note_numbers(h, top, err);
	if (r < 0)
		shale_synth_unref(top);
	else
		*out = top;
	return r;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

int shale_history_top(void *arg, struct shale_synth **out,
		      struct shale_err *err)
{
	struct shale_history *h = arg;
	struct stat now = {0};
	int r = 0;

	pthread_mutex_lock(&h->lock);
	/* Taken before it is read: a change in between is seen next time. */
	if (fstatat(shale_store_dirfd(h->store), "index.json", &now, 0) < 0)
		memset(&now, 0, sizeof(now));
	if (!h->top || !same_file(&now, &h->seen)) {
		struct shale_synth *top;
		r = build(h, &now.st_mtim, &top, err);
		if (r == 0) {
			shale_synth_unref(h->top);
			h->top = top;
			h->seen = now;
		}
	}
	if (r == 0)
		*out = shale_synth_ref(h->top);
	pthread_mutex_unlock(&h->lock);
	return r;
}

/* ------------------------------------------------------------- takeover */

static int load_names(struct shale_history *h, int state, struct shale_err *err)
{
	cleanup_buf struct shale_buf data = {0};
	size_t used;

	int r = shale_read_file(state, "names", FILE_LIMIT, &data, err);
	if (r == 0)
		r = shale_synth_load(&h->top, data.data, data.len, &used, err);
	if (r == 0 && ftruncate(h->names_fd, (off_t)used) < 0)
		r = shale_err_set(err, errno, "cut off 'names'");
	return r;
}

static int open_names(struct shale_history *h, int state, bool takeover,
		      struct shale_err *err)
{
	h->names_fd = openat(state, "names",
			     O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC |
				     (takeover ? 0 : O_TRUNC),
			     0600);
	if (h->names_fd < 0)
		return shale_err_set(err, errno, "list versions");
	return takeover ? load_names(h, state, err) : 0;
}

int shale_history_new(struct shale_history **out, struct shale_store *store,
		      const char *repo, int state, bool takeover,
		      struct shale_err *err)
{
	struct shale_synth *top;

	struct shale_history *h = calloc(1, sizeof(*h));
	if (!h)
		return shale_err_set(err, ENOMEM, "list versions");
	h->store = store;
	h->names_fd = -1;
	pthread_mutex_init(&h->lock, NULL);
	h->repo = repo ? strdup(repo) : NULL;
	int r = repo && !h->repo
			? shale_err_set(err, ENOMEM, "list versions")
			: shale_trees_open(&h->trees, state, takeover, err);
	if (r == 0)
		r = open_names(h, state, takeover, err);
	if (r == 0)
		r = shale_history_top(h, &top, err);
	if (r == 0) {
		/* What was mounted stays, with nothing in it. */
		if (repo && !takeover &&
		    !shale_synth_next(top, SHALE_SYNTH_ROOT, 0))
			r = shale_err_say(err, ENOKEY, "no repository '%s'",
					  repo);
		shale_synth_unref(top);
	}
	if (r < 0) {
		shale_history_free(h);
		return r;
	}
	*out = h;
	return 0;
}
