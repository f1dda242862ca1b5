/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/store/index_cache.h"

#include "layers/base/buf.h"
#include "layers/base/bytes.h"
#include "layers/base/cleanup.h"
#include "layers/base/clock.h"
#include "layers/base/dir.h"
#include "layers/index/patch.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>

enum { TRIES = 100, PATH_SIZE = 128 };

/* ------------------------------------------------------------------ names */

static int append_image(struct shale_buf *text,
			const struct shale_layer_desc *trees, size_t n)
{
	struct le32 count = le32_make((uint32_t)n);
	int r = shale_buf_append(text, &count, sizeof(count));
	for (size_t i = 0; i < n && r == 0; i++)
		r = shale_buf_append(text, trees[i].digest.b,
				     sizeof(trees[i].digest.b));
	return r;
}

static void hash_name(const struct shale_buf *text, char *name)
{
	struct shale_digest digest;
	shale_sha256(text->data, text->len, &digest);
	shale_hex(name, digest.b, sizeof(digest.b));
}

int shale_index_name(struct shale_version *const *stack, size_t n, char *name)
{
	cleanup_buf struct shale_buf text = {0};
	int r = 0;
	for (size_t i = 0; i < n && r == 0; i++)
		r = append_image(&text, stack[i]->trees, stack[i]->n_trees);
	if (r == 0)
		hash_name(&text, name);
	return r;
}

int shale_index_name_trees(const struct shale_layer_desc *trees, size_t n,
			   char *name)
{
	cleanup_buf struct shale_buf text = {0};
	int r = append_image(&text, trees, n);
	if (r == 0)
		hash_name(&text, name);
	return r;
}

/* Name of the index of the lowest `n` trees of a file's. */
static int name_of_base(const struct shale_buf *trees, uint32_t n, char *name)
{
	cleanup_buf struct shale_buf text = {0};
	struct le32 count = le32_make(n);
	int r = shale_buf_append(&text, &count, sizeof(count));
	if (r == 0)
		r = shale_buf_append(&text, trees->data,
				     n * sizeof(struct shale_digest));
	if (r == 0)
		hash_name(&text, name);
	return r;
}

static void path_of(const char *name, char path[PATH_SIZE])
{
	snprintf(path, PATH_SIZE, "indexes/%s", name);
}

/* ------------------------------------------------------------------ files */

int shale_index_cache_fd(struct shale_store *store, const char *name, int *fd,
			 struct shale_err *err)
{
	char path[PATH_SIZE];
	path_of(name, path);
	*fd = openat(shale_store_dirfd(store), path, O_RDONLY | O_CLOEXEC);
	return *fd < 0 ? shale_err_set(err, errno, "open index '%s'", name) : 0;
}

/* Its times say when it was used; a store that we may only read keeps them. */
static void mark_used(int fd)
{
	(void)!futimens(fd, NULL);
}

int shale_index_cache_open_file(struct shale_store *store, int fd,
				const char *name, struct shale_index **out,
				struct shale_err *err)
{
	cleanup_index struct shale_index *base = NULL;
	cleanup_buf struct shale_buf trees = {0};
	char base_name[SHALE_INDEX_NAME];
	cleanup_fd int base_fd = -1;
	uint32_t below;

	if (!shale_index_is_patch(fd))
		return shale_index_open(out, fd, name, err);
	int r = shale_index_list_trees(fd, name, &trees, &below, err);
	if (r == 0 && name_of_base(&trees, below, base_name) < 0)
		r = shale_err_set(err, ENOMEM, "open index '%s'", name);
	if (r < 0)
		return r;
	r = shale_index_cache_fd(store, base_name, &base_fd, err);
	if (r == 0)
		r = shale_index_open(&base, base_fd, base_name, err);
	if (r < 0)
		return shale_err_wrap(err, r, "what index '%s' changes", name);
	if (r == 0)
		r = shale_patch_open(out, fd, &base, name, err);
	if (r == 0)
		mark_used(base_fd);
	return r;
}

int shale_index_cache_open(struct shale_store *store, const char *name,
			   struct shale_index **out, struct shale_err *err)
{
	cleanup_fd int fd = -1;
	int r = shale_index_cache_fd(store, name, &fd, err);
	if (r < 0)
		return r;

	r = shale_index_cache_open_file(store, fd, name, out, err);
	if (r == -EUCLEAN || r == -EPROTONOSUPPORT || r == -ENOENT) {
		shale_store_drop_index(store, name);
		return -ENOENT;
	}
	if (r == 0)
		mark_used(fd);
	return r;
}

void shale_store_drop_index(struct shale_store *store, const char *name)
{
	char path[PATH_SIZE];
	path_of(name, path);
	unlinkat(shale_store_dirfd(store), path, 0);
}

int shale_index_cache_create(struct shale_store *store, int *out, char *tmp,
			     struct shale_err *err)
{
	for (int i = 0; i < TRIES; i++) {
		char path[PATH_SIZE];
		uint64_t random;
		struct stat st;
		if (getrandom(&random, sizeof(random), 0) != sizeof(random))
			return shale_err_set(err, errno, "make an index");
		snprintf(tmp, 64, ".%016llx", (unsigned long long)random);
		path_of(tmp, path);
		cleanup_fd int fd =
			openat(shale_store_dirfd(store), path,
			       O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd < 0)
			return shale_err_set(err, errno, "make an index");
		/* somebody who trims may have had it before our lock */
		if (flock(fd, LOCK_EX) == 0 && fstat(fd, &st) == 0 &&
		    st.st_nlink > 0) {
			*out = steal_fd(&fd);
			return 0;
		}
	}
	return shale_err_say(err, EBUSY, "cannot make an index in %s",
			     shale_store_path(store));
}

/* Put it in place, and make room.  The file goes if that fails. */
static int publish(struct shale_store *store, int fd, const char *tmp,
		   const char *name, struct shale_err *err)
{
	int dirfd = shale_store_dirfd(store);
	char from[PATH_SIZE], to[PATH_SIZE];
	path_of(tmp, from);
	path_of(name, to);

	/*
	 * Without the sync a power cut could leave a good header over blocks
	 * that are not there, and only a mount's reader would find out.
	 */
	if (fdatasync(fd) < 0 || renameat(dirfd, from, dirfd, to) < 0) {
		int r = shale_err_set(err, errno, "publish index '%s'", name);
		unlinkat(dirfd, from, 0);
		return r;
	}
	return shale_index_cache_trim(store, SHALE_INDEXES_MAX,
				      SHALE_INDEXES_MAX_BYTES, err);
}

int shale_index_cache_make(struct shale_store *store, const char *name,
			   int (*write)(void *arg, int fd,
					struct shale_err *err),
			   void *arg, int *out, struct shale_err *err)
{
	char tmp[64];
	cleanup_fd int fd = -1;
	int r = shale_index_cache_create(store, &fd, tmp, err);
	if (r < 0)
		return r;
	r = write(arg, fd, err);
	if (r == 0)
		r = publish(store, fd, tmp, name, err);
	else
		shale_store_drop_index(store, tmp);
	if (r == 0 && out)
		*out = steal_fd(&fd);
	return r;
}

/* --------------------------------------------------------------- trimming */

struct file {
	char name[SHALE_INDEX_NAME];
	struct timespec used;
	uint64_t bytes;
};

static int newest_first(const void *pa, const void *pb)
{
	const struct timespec *a = &((const struct file *)pa)->used,
			      *b = &((const struct file *)pb)->used;

	return shale_time_order(b, a);
}

/* Nobody holds it any more: its builder died. */
static void remove_abandoned(int dirfd, const char *name)
{
	cleanup_fd int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
		unlinkat(dirfd, name, 0);
}

static int list_files(DIR *dir, struct shale_buf *files)
{
	for (const struct dirent *d; (d = shale_dir_next(dir));) {
		struct stat st;
		if (d->d_name[0] == '.') {
			remove_abandoned(dirfd(dir), d->d_name);
			continue;
		}
		if (strlen(d->d_name) >= SHALE_INDEX_NAME ||
		    fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW) <
			    0)
			continue;
		struct file f = {.used = st.st_mtim,
				 .bytes = (uint64_t)st.st_size};
		snprintf(f.name, sizeof(f.name), "%s", d->d_name);
		if (shale_buf_append(files, &f, sizeof(f)) < 0)
			return -ENOMEM;
	}
	return 0;
}

int shale_index_cache_trim(struct shale_store *store, size_t max,
			   uint64_t max_bytes, struct shale_err *err)
{
	cleanup_buf struct shale_buf files = {0};
	cleanup_dir DIR *dir =
		shale_dir_open(shale_store_dirfd(store), "indexes");
	if (!dir)
		return shale_err_set(err, errno, "read 'indexes'");
	int r = list_files(dir, &files);
	if (r == 0 && files.len) {
		struct file *f = (struct file *)files.data;
		size_t n = files.len / sizeof(*f);
		uint64_t bytes = 0;
		qsort(f, n, sizeof(*f), newest_first);
		for (size_t i = 0; i < n; i++) {
			bytes += f[i].bytes;
			/* the one just used stays, however large it is */
			if (i > 0 && (i >= max || bytes > max_bytes))
				unlinkat(dirfd(dir), f[i].name, 0);
		}
	}
	return r < 0 ? shale_err_set(err, -r, "read 'indexes'") : 0;
}
