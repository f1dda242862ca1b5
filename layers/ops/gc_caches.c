/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/gc_impl.h"

#include "layers/base/buf.h"
#include "layers/base/cleanup.h"
#include "layers/base/clock.h"
#include "layers/base/dir.h"
#include "layers/blob/blobs_sweep.h"
#include "layers/index/patch.h"
#include "layers/store/compact_file.h"
#include "layers/store/index_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static int open_list(struct shale_gc *gc, const char *name, DIR **out,
		     struct shale_err *err)
{
	*out = shale_dir_open(shale_store_dirfd(gc->store), name);
	return *out ? 0 : shale_err_set(err, errno, "read '%s'", name);
}

/* ---------------------------------------------------------------- merges */

struct merges {
	struct shale_gc *gc;
	bool more;   /* something was marked in this round */
	bool remove; /* the last round */
};

static int mark(struct merges *m, const struct shale_digest *blob)
{
	uint64_t key;

	memcpy(&key, blob->b, sizeof(key));
	int r = shale_keyset_add(&m->gc->marks.blobs, key);
	m->more = m->more || r > 0;
	return r < 0 ? r : 0;
}

static int look_at_merge(void *arg, const char *name,
			 const struct shale_compact_file *f)
{
	struct merges *m = arg;
	struct shale_gc_marks *marks = &m->gc->marks;
	bool needed = true;

	for (size_t i = 0; i < f->n_trees && needed; i++)
		needed = shale_gc_marked(marks, &f->trees[i]);
	if (needed) {
		int r = mark(m, &f->merged.digest);
		if (r == 0 && f->has_data)
			r = mark(m, &f->data.digest);
		return r;
	}
	if (!m->remove)
		return 0;
	if (!m->gc->opts->dry_run)
		shale_compact_file_remove(m->gc->store, name);
	shale_gc_freed(m->gc, SHALE_GC_MERGE, name, 0);
	return 0;
}

/* A merge may be of merges: round after round, until no more is needed. */
int shale_gc_merges(struct shale_gc *gc, struct shale_err *err)
{
	struct merges m = {.gc = gc};
	int r;

	do {
		m.more = false;
		r = shale_compact_each(gc->store, look_at_merge, &m, err);
	} while (r == 0 && m.more);
	m.remove = true;
	return r < 0 ? r
		     : shale_compact_each(gc->store, look_at_merge, &m, err);
}

/* ---------------------------------------------------------------- indexes */

/* Are all of the trees that it merges needed?  Damaged: it is not. */
static bool index_is_of_use(struct shale_gc *gc, const char *name)
{
	cleanup_buf struct shale_buf trees = {0};
	cleanup_fd int fd = -1;
	uint32_t below;
	bool needed = true;

	if (shale_index_cache_fd(gc->store, name, &fd, NULL) < 0)
		return true; /* gone, or nothing that we could judge */
	if (shale_index_list_trees(fd, name, &trees, &below, NULL) < 0)
		return false;
	const struct shale_digest *digest = (const void *)trees.data;
	for (size_t i = 0; i < trees.len / sizeof(*digest) && needed; i++)
		needed = shale_gc_marked(&gc->marks, &digest[i]);
	return needed;
}

int shale_gc_indexes(struct shale_gc *gc, struct shale_err *err)
{
	cleanup_dir DIR *dir = NULL;
	struct stat st;
	int r = open_list(gc, "indexes", &dir, err);
	if (r < 0)
		return r;
	const struct dirent *d;
	while ((d = shale_dir_next(dir))) {
		if (d->d_name[0] == '.' ||
		    fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW) <
			    0 ||
		    index_is_of_use(gc, d->d_name))
			continue;
		if (!gc->opts->dry_run)
			shale_store_drop_index(gc->store, d->d_name);
		shale_gc_freed(gc, SHALE_GC_INDEX, d->d_name,
			       (uint64_t)st.st_size);
	}
	return gc->opts->dry_run
		       ? 0
		       : shale_index_cache_trim(gc->store, SHALE_INDEXES_MAX,
						SHALE_INDEXES_MAX_BYTES, err);
}

/* -------------------------------------------------------- temporary files */

static bool is_like(const char *name, const char *prefix, const char *suffix)
{
	size_t len = strlen(name), tail = strlen(suffix);
	return !strncmp(name, prefix, strlen(prefix)) && len >= tail &&
	       !strcmp(name + len - tail, suffix);
}

/*
 * What a process that died has left.  All that make such files have leases, so
 * what is older than any living lease, and than this run, is nobody's.
 */
static void sweep_directory(struct shale_gc *gc, DIR *dir, const char *name,
			    const char *prefix, const char *suffix)
{
	const struct dirent *d;
	while ((d = shale_dir_next(dir))) {
		char path[300];
		struct stat st;
		if (!is_like(d->d_name, prefix, suffix) ||
		    fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW) <
			    0 ||
		    !S_ISREG(st.st_mode))
			continue;
		struct timespec time = shale_blob_time(&st);
		if (shale_gc_is_young(&gc->marks, &time) ||
		    shale_time_order(&time, &gc->started) >= 0)
			continue;
		if (!gc->opts->dry_run)
			unlinkat(dirfd(dir), d->d_name, 0);
		snprintf(path, sizeof(path), "%s%s%s", name, *name ? "/" : "",
			 d->d_name);
		shale_gc_freed(gc, SHALE_GC_TMP, path, (uint64_t)st.st_size);
	}
}

int shale_gc_tmp(struct shale_gc *gc, struct shale_err *err)
{
	/* The last two: what shale_file_replace() has left there. */
	static const struct {
		const char *dir, *name, *prefix, *suffix;
	} places[] = {
		{"tmp", "tmp", "", ""},
		{"compact", "compact", ".", ".tmp"},
		{".", "", ".index.json.", ".tmp"},
	};
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		cleanup_dir DIR *dir = NULL;
		int r = open_list(gc, places[i].dir, &dir, err);
		if (r < 0)
			return r;
		sweep_directory(gc, dir, places[i].name, places[i].prefix,
				places[i].suffix);
	}
	return 0;
}
