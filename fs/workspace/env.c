/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/workspace/env_impl.h"

#include "layers/base/cleanup.h"
#include "layers/base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { READERS = 512 };

int shale_env_fail(struct shale_err *err, int code, const char *what)
{
	switch (code) {
	case MDB_CORRUPTED:
	case MDB_PAGE_NOTFOUND:
	case MDB_INVALID:
	case MDB_VERSION_MISMATCH:
	case MDB_BAD_VALSIZE:
	case MDB_INCOMPATIBLE:
		return shale_err_say(err, EUCLEAN, "database: %s: %s", what,
				     mdb_strerror(code));
	case MDB_MAP_FULL:
		return shale_err_set(err, ENOSPC, "database: %s", what);
	case MDB_NOTFOUND:
		return -ENOENT;
	default:
		if (code > 0)
			return shale_err_set(err, code, "database: %s", what);
		return shale_err_say(err, EIO, "database: %s: %s", what,
				     mdb_strerror(code));
	}
}

int shale_env_left(struct shale_err *err, int error)
{
	if (error == -EUCLEAN)
		return shale_err_say(err, EUCLEAN,
				     "database: a page is damaged");
	return shale_err_say(err, -error, "database: a page could not be read");
}

/* LMDB found what cannot be, and would end the process. */
static void on_assert(MDB_env *env, const char *text)
{
	(void)env;
	(void)text;
	shale_map_leave(-EUCLEAN);
}

static void look_at_metas(void *arg)
{
	const struct shale_env *env = arg;
	const volatile uint8_t *pages = env->map.data;

	(void)pages[0];
	(void)pages[env->page];
}

int shale_env_check(struct shale_env *env, struct shale_err *err)
{
	int r = env->map.data ? shale_map_try(&env->map, look_at_metas, env)
			      : 0;
	/* Where an access failed outside of shale_map_try(), zeros stand. */
	if (r == 0 && env->map.data && shale_map_poisoned(&env->map))
		r = -EIO;
	return r < 0 ? shale_env_left(err, r) : 0;
}

/* --------------------------------------------------------- environment */

static int try_open(MDB_env **out, const char *path, bool write, size_t size)
{
	MDB_env *env;
	int r = mdb_env_create(&env);
	if (r)
		return r;
	r = mdb_env_set_maxreaders(env, READERS);
	if (r == 0)
		r = mdb_env_set_mapsize(env, size);
	if (r == 0)
		r = mdb_env_set_assert(env, on_assert);
	if (r == 0)
		r = mdb_env_open(env, path,
				 MDB_NOTLS | (write ? 0 : MDB_RDONLY), 0600);
	if (r)
		mdb_env_close(env);
	else
		*out = env;
	return r;
}

/*
 * The map is address space only, so it is large from the start and for good.
 * Where there is less (a limit, ThreadSanitizer), it is smaller; never smaller
 * than the database, LMDB sees to that.  What grows meanwhile is no matter of
 * who only reads one snapshot.
 */
static int open_mapped(MDB_env **out, const char *path, bool write)
{
	int r = ENOMEM;
	for (size_t size = (size_t)1 << (sizeof(size_t) > 4 ? 40 : 30);
	     r == ENOMEM && size >= (size_t)1 << 28; size >>= 2)
		r = try_open(out, path, write, size);
	return r;
}

/*
 * Where LMDB put its map: it does not tell, the kernel does.  The device is not
 * compared, some file systems show another one here; `*out` is NULL where they
 * show another inode.
 */
static int find_map(MDB_env *env, const void **out, size_t *size)
{
	struct stat st;
	mdb_filehandle_t fd;
	if (mdb_env_get_fd(env, &fd) || fstat(fd, &st) < 0)
		return -EBADF;
	FILE *maps = fopen("/proc/self/maps", "re");
	if (!maps)
		return -errno;

	const void *found = NULL;
	char line[512];
	while (!found && fgets(line, sizeof(line), maps)) {
		unsigned long start, end;
		unsigned long long ino;
		if (sscanf(line, "%lx-%lx %*s %*s %*s %llu", &start, &end,
			   &ino) == 3 &&
		    ino == st.st_ino && strstr(line, "data.mdb")) {
			found = (const void *)start;
			*size = end - start;
		}
	}
	fclose(maps);
	*out = found;
	return 0;
}

static int watch_map(struct shale_env *env, struct shale_err *err)
{
	const void *data = NULL;
	size_t size;
	MDB_stat stat;

	int r = find_map(env->env, &data, &size);
	if (r < 0)
		return shale_err_set(err, -r, "map the database");
	mdb_env_stat(env->env, &stat);
	env->page = stat.ms_psize;
	return data ? shale_map_watch(&env->map, data, size, "database", err)
		    : 0;
}

static int open_main(struct shale_env *env, bool write)
{
	MDB_txn *txn;
	int r = mdb_txn_begin(env->env, NULL, write ? 0 : MDB_RDONLY, &txn);
	if (r)
		return r;
	r = mdb_dbi_open(txn, NULL, 0, &env->dbi);
	if (r) {
		mdb_txn_abort(txn);
		return r;
	}
	return mdb_txn_commit(txn);
}

/*
 * An error of what an earlier process wrote, and was not told of, is told to
 * each descriptor that was there before the first one was told.  LMDB has two,
 * and would take it for an error of its own first commit.
 */
static bool has_lost(int dirfd)
{
	cleanup_fd int fd = openat(dirfd, "db/data.mdb", O_RDONLY | O_CLOEXEC);
	return fd >= 0 && fdatasync(fd) < 0;
}

SHALE_DEFINE_CLEANUP(env, struct shale_env *, shale_env_close);

int shale_env_open(struct shale_env **out, int dirfd, bool write,
		   struct shale_err *err)
{
	int r = write ? shale_mkdir(dirfd, "db", 0700, err) : 0;
	if (r < 0)
		return r;

	SHALE_CLEANUP(shale_cleanup_env)
	struct shale_env *env = calloc(1, sizeof(*env));
	if (!env)
		return shale_err_set(err, ENOMEM, "database");
	pthread_mutex_init(&env->lock, NULL);
	pthread_mutex_init(&env->last_lock, NULL);
	env->lost = write && has_lost(dirfd);

	/* LMDB wants a path; this one is right wherever the directory is. */
	char path[64];
	snprintf(path, sizeof(path), "/proc/self/fd/%d/db", dirfd);
	r = open_mapped(&env->env, path, write);
	if (r == 0) {
		shale_env_clear_readers(env);
		r = open_main(env, write);
	}
	if (r == ENOENT || r == MDB_NOTFOUND)
		return shale_err_set(err, ENOENT, "database: open");
	if (r)
		return shale_env_fail(err, r, "open");
	r = watch_map(env, err);
	if (r < 0)
		return r;
	*out = steal_ptr(&env);
	return 0;
}

void shale_env_close(struct shale_env *env)
{
	if (!env)
		return;
	shale_views_free(env);
	shale_map_close(&env->map);
	if (env->env)
		mdb_env_close(env->env);
	pthread_mutex_destroy(&env->lock);
	pthread_mutex_destroy(&env->last_lock);
	free(env);
}

int shale_env_mend(struct shale_env *env, struct shale_err *err)
{
	size_t len = 2 * env->page;
	mdb_filehandle_t fd;

	if (!env->lost)
		return 0;
	if (mdb_env_get_fd(env->env, &fd))
		return shale_err_set(err, EBADF, "database: open");
	cleanup_free uint8_t *pages = malloc(len);
	if (!pages)
		return shale_err_set(err, ENOMEM, "database: open");
	int r = shale_pread_full(fd, pages, len, 0, "database", err);
	if (r == 0)
		r = shale_pwrite_full(fd, pages, len, 0, "database", err);
	if (r == 0 && fdatasync(fd) < 0)
		r = shale_err_set(err, errno, "database: flush");
	env->lost = r < 0;
	return r;
}

void shale_env_clear_readers(struct shale_env *env)
{
	int dead;
	mdb_reader_check(env->env, &dead);
}

uint64_t shale_env_bytes(struct shale_env *env)
{
	MDB_envinfo info;

	if (shale_env_check(env, NULL) < 0)
		return 0;
	mdb_env_info(env->env, &info);
	return (info.me_last_pgno + 1) * (uint64_t)env->page;
}
