/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/store/store.h"

#include "layers/base/cleanup.h"
#include "layers/base/dir.h"
#include "layers/base/io.h"
#include "layers/store/lock.h"
#include "layers/store/oci_adopt.h"
#include "layers/store/oci_scan.h"
#include "layers/store/store_impl.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define LAYOUT "{\"imageLayoutVersion\":\"1.0.0\"}\n"

static const char *const directories[] = {
	"blobs",      "blobs/sha256", "indexes", "compact",
	"workspaces", "mounts",       "leases",  "tmp",
};

/* ---------------------------------------------------------------- making */

/*
 * Make a directory with exactly this mode, whatever the umask says.  Returns 1
 * when it is new, 0 when it was there.
 */
static int make_directory(int dirfd, const char *name, mode_t mode)
{
	if (mkdirat(dirfd, name, mode) < 0)
		return errno == EEXIST ? 0 : -errno;
	return fchmodat(dirfd, name, mode, 0) < 0 ? -errno : 1;
}

/* Make the name of `path` durable, in the directory above it. */
static int sync_above(const char *path, struct shale_err *err)
{
	cleanup_free char *above = strdup(path);
	if (!above)
		return shale_err_set(err, ENOMEM, "make '%s'", path);
	char *slash = strrchr(above, '/');
	if (slash)
		slash[slash == above] = '\0';
	cleanup_fd int fd =
		open(slash ? above : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && errno == EACCES) /* one that may be entered, not read */
		return 0;
	if (fd < 0)
		return shale_err_set(err, errno, "open '%s'", above);
	return shale_dir_sync(fd, above, err);
}

/* The directories above `path`, as mkdir -p makes them, and `path` itself. */
static int make_path(const char *path, struct shale_err *err)
{
	cleanup_free char *copy = strdup(path);
	if (!copy)
		return shale_err_set(err, ENOMEM, "make '%s'", path);

	for (char *at = copy + 1; (at = strchr(at, '/')); at++) {
		*at = '\0';
		int made = mkdir(copy, 0755) == 0;
		if (!made && errno != EEXIST)
			return shale_err_set(err, errno, "make '%s'", copy);
		int r = made ? sync_above(copy, err) : 0;
		if (r < 0)
			return r;
		*at = '/';
	}
	int r = make_directory(AT_FDCWD, path, 0700);
	return r < 0 ? shale_err_set(err, -r, "make '%s'", path) : 0;
}

bool shale_store_read_only(int r)
{
	return r == -EROFS || r == -EACCES || r == -EPERM;
}

bool shale_store_unwritable(int r)
{
	return shale_store_read_only(r) || r == -ENOSPC || r == -EDQUOT;
}

/*
 * Directories may be missing where another tool made the layout.  A store that
 * cannot be written is good for reading as it is.
 */
static int make_directories(int dirfd, bool sync, struct shale_err *err)
{
	for (size_t i = 0; i < sizeof(directories) / sizeof(*directories);
	     i++) {
		int r = make_directory(dirfd, directories[i], 0700);
		if (r < 0 && !shale_store_read_only(r))
			return shale_err_set(err, -r, "make directory '%s'",
					     directories[i]);
		sync = sync || r > 0;
	}
	if (!sync)
		return 0;
	cleanup_fd int blobs =
		openat(dirfd, "blobs", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (blobs < 0)
		return shale_err_set(err, errno, "open 'blobs'");
	int r = shale_dir_sync(blobs, "blobs", err);
	return r < 0 ? r : shale_dir_sync(dirfd, "of the store", err);
}

static bool is_ours(const char *name)
{
	for (size_t i = 0; i < sizeof(directories) / sizeof(*directories); i++)
		if (!strcmp(name, directories[i]))
			return true;
	/* also what shale_file_replace() leaves when it is interrupted */
	return !strcmp(name, "lock") || !strcmp(name, "index.json") ||
	       !strcmp(name, "lost+found") ||
	       !strncmp(name, ".index.json.", 12) ||
	       !strncmp(name, ".oci-layout.", 12);
}

/* Nothing of anybody's in it: empty, or a store that was not finished. */
static int check_vacant(int dirfd, const char *path, struct shale_err *err)
{
	cleanup_dir DIR *dir = shale_dir_open(dirfd, ".");
	if (!dir)
		return shale_err_set(err, errno, "read '%s'", path);
	int r = 0;
	for (const struct dirent *d; r == 0 && (d = shale_dir_next(dir));)
		if (!is_ours(d->d_name))
			r = shale_err_say(err, ENODATA,
					  "'%s' is not a store, and not empty "
					  "either: it has '%s'",
					  path, d->d_name);
	return r;
}

static bool exists(int dirfd, const char *name)
{
	return faccessat(dirfd, name, F_OK, 0) == 0;
}

/*
 * oci-layout is written last: with it, the store is whole and durable.  `path`
 * is absolute.
 */
static int make_store(int dirfd, const char *path, struct shale_err *err)
{
	int r = check_vacant(dirfd, path, err);
	if (r < 0)
		return r;

	cleanup_lock int lock = -1;
	r = shale_lock_take(dirfd, SHALE_LOCK_WAIT_MS, &lock, err);
	if (r < 0 || exists(dirfd, "oci-layout"))
		return r;

	r = make_directories(dirfd, true, err);
	if (r == 0)
		r = sync_above(path, err);
	if (r == 0 && !exists(dirfd, "index.json")) {
		cleanup_oci_index struct shale_oci_index *ix =
			shale_oci_index_new();
		cleanup_buf struct shale_buf text = {0};
		if (!ix)
			return shale_err_set(err, ENOMEM, "index.json");
		r = shale_oci_index_encode(ix, &text, err);
		if (r == 0)
			r = shale_file_replace(dirfd, "index.json", text.data,
					       text.len, err);
	}
	if (r == 0)
		r = shale_file_replace(dirfd, "oci-layout", LAYOUT,
				       strlen(LAYOUT), err);
	return r;
}

/* --------------------------------------------------------------- opening */

static int check_layout(int dirfd, struct shale_err *err)
{
	cleanup_buf struct shale_buf text = {0};

	int r = shale_read_file(dirfd, "oci-layout", 4096, &text, err);
	if (r == -EFBIG)
		r = -EUCLEAN;
	return r < 0 ? r : shale_oci_layout_check(text.data, text.len, err);
}

static int open_directory(const char *path, bool create, struct shale_err *err)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT && create) {
		int r = make_path(path, err);
		if (r < 0)
			return r;
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return shale_err_say(err, ENODATA,
				     "there is no store at '%s'; 'shale "
				     "import' makes one, --store names "
				     "another",
				     path);
	return fd < 0 ? shale_err_set(err, errno, "open the store '%s'", path)
		      : fd;
}

static int open_parts(struct shale_store *store, const char *path, bool create,
		      struct shale_err *err)
{
	int r = 0;
	if (!exists(store->dirfd, "oci-layout")) {
		if (!create)
			return shale_err_say(err, ENODATA,
					     "'%s' is not a store", path);
		r = make_store(store->dirfd, store->path, err);
	}
	if (r == 0)
		r = check_layout(store->dirfd, err);
	if (r == 0)
		r = make_directories(store->dirfd, false, err);
	if (r == 0)
		r = shale_blobs_open(&store->blobs, store->dirfd, err);
	return r < 0 ? shale_err_wrap(err, r, "store '%s'", path) : 0;
}

int shale_store_open(struct shale_store **out, const char *path, bool create,
		     struct shale_err *err)
{
	cleanup_store struct shale_store *store = calloc(1, sizeof(*store));
	if (!store)
		return shale_err_set(err, ENOMEM, "open the store '%s'", path);
	pthread_mutex_init(&store->mutex, NULL);

	store->dirfd = open_directory(path, create, err);
	if (store->dirfd < 0)
		return store->dirfd;
	store->path = realpath(path, NULL);
	if (!store->path)
		return shale_err_set(err, errno, "open the store '%s'", path);
	int r = open_parts(store, path, create, err);
	if (r < 0)
		return r;
	*out = steal_ptr(&store);
	return 0;
}

void shale_store_close(struct shale_store *store)
{
	if (!store)
		return;
	shale_chunks_free(store->chunks);
	shale_blobs_close(store->blobs);
	if (store->dirfd >= 0)
		close(store->dirfd);
	pthread_mutex_destroy(&store->mutex);
	free(store->path);
	free(store);
}

const char *shale_store_path(const struct shale_store *store)
{
	return store->path;
}

int shale_store_dirfd(const struct shale_store *store)
{
	return store->dirfd;
}

struct shale_blobs *shale_store_blobs(struct shale_store *store)
{
	return store->blobs;
}

int shale_store_chunks(struct shale_store *store, size_t cache,
		       struct shale_chunks **out, struct shale_err *err)
{
	int r = 0;

	pthread_mutex_lock(&store->mutex);
	if (!store->chunks)
		r = shale_chunks_new(&store->chunks, store->blobs, cache, err);
	if (r == 0)
		*out = store->chunks;
	pthread_mutex_unlock(&store->mutex);
	return r;
}

/* ------------------------------------------------------------- index.json */

static int read_text(struct shale_store *store, struct shale_buf *text,
		     struct shale_err *err)
{
	int r = shale_read_file(store->dirfd, "index.json", SHALE_INDEX_LIMIT,
				text, err);
	return r == -ENOENT || r == -EFBIG ? -EUCLEAN : r;
}

static int read_blob(void *arg, const struct shale_digest *digest, size_t limit,
		     struct shale_buf *out, struct shale_err *err)
{
	struct shale_store *store = arg;
	return shale_blobs_read(store->blobs, digest, limit, out, err);
}

/* With what other tools have put beside our entries. */
static int decode_text(struct shale_store *store, const struct shale_buf *text,
		       struct shale_oci_index **out, struct shale_err *err)
{
	cleanup_oci_index struct shale_oci_index *ix = NULL;
	int r = shale_oci_index_decode(&ix, text->data, text->len, err);
	if (r == -EUCLEAN)
		shale_err_wrap(err, r, "store '%s' (nothing was changed)",
			       store->path);
	if (r == 0)
		r = shale_oci_adopt(ix, read_blob, store, err);
	if (r == 0)
		*out = steal_ptr(&ix);
	return r;
}

int shale_store_read_index(struct shale_store *store,
			   struct shale_oci_index **out, struct shale_err *err)
{
	cleanup_buf struct shale_buf text = {0};
	int r = read_text(store, &text, err);
	return r < 0 ? r : decode_text(store, &text, out, err);
}

int shale_store_read_index_for(struct shale_store *store,
			       const struct shale_ref *ref,
			       struct shale_oci_index **out,
			       struct shale_err *err)
{
	cleanup_buf struct shale_buf text = {0};
	int r = read_text(store, &text, err);
	if (r < 0)
		return r;
	if (ref->repo[0] && !ref->digest[0] &&
	    shale_oci_scan(&text, ref->repo, ref->tag[0] ? ref->tag : "latest",
			   ref->ancestor, out) == 0)
		return 0;
	return decode_text(store, &text, out, err);
}

int shale_store_write_index(struct shale_store *store,
			    const struct shale_oci_index *ix,
			    struct shale_err *err)
{
	cleanup_buf struct shale_buf text = {0};
	int r = shale_oci_index_encode(ix, &text, err);
	if (r == 0)
		r = shale_file_replace(store->dirfd, "index.json", text.data,
				       text.len, err);
	return r;
}
