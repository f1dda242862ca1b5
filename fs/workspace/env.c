/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/workspace/env.h"

#include "layers/base/bytes.h"
#include "layers/base/cleanup.h"
#include "layers/base/hash.h"
#include "layers/base/io.h"
#include "layers/base/map.h"

#include <fcntl.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { VIEWS = 64, READERS = 512, SUM = sizeof(struct le64) };

struct shale_view {
	MDB_txn *txn;
	MDB_dbi dbi;
	const struct shale_map *map;
};

struct shale_env {
	MDB_env *env;
	MDB_dbi dbi;
	struct shale_map map; /* what LMDB mapped: it may fail under us */
	pthread_mutex_t lock; /* of the views that wait to be used again */
	struct shale_view *idle[VIEWS];
	size_t n_idle;
	int ended; /* by this error of a commit: it takes no change any more */
};

struct shale_txn {
	struct shale_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;
	const struct shale_map *map;
	struct shale_buf scratch;
};

static int fail(struct shale_err *err, int code, const char *what)
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

/*
 * Once a page of the map could not be read, zeros stand there: nothing that is
 * found from then on is believed, nor written.
 */
static int check_map(const struct shale_map *map, struct shale_err *err)
{
	if (map->data && shale_map_poisoned(map))
		return shale_err_say(err, EIO,
				     "database: a page could not be read");
	return 0;
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
 * compared, some file systems show another one here.
 */
static const void *find_map(MDB_env *env, size_t *size)
{
	struct stat st;
	mdb_filehandle_t fd;
	if (mdb_env_get_fd(env, &fd) || fstat(fd, &st) < 0)
		return NULL;
	FILE *maps = fopen("/proc/self/maps", "re");
	if (!maps)
		return NULL;

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
	return found;
}

static int watch_map(struct shale_env *env, struct shale_err *err)
{
	size_t size;
	const void *data = find_map(env->env, &size);
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
		return fail(err, r, "open");
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
	for (size_t i = 0; i < env->n_idle; i++) {
		mdb_txn_abort(env->idle[i]->txn);
		free(env->idle[i]);
	}
	shale_map_close(&env->map);
	if (env->env)
		mdb_env_close(env->env);
	pthread_mutex_destroy(&env->lock);
	free(env);
}

void shale_env_clear_readers(struct shale_env *env)
{
	int dead;
	mdb_reader_check(env->env, &dead);
}

uint64_t shale_env_bytes(struct shale_env *env)
{
	MDB_envinfo info;
	MDB_stat stat;

	mdb_env_info(env->env, &info);
	mdb_env_stat(env->env, &stat);
	return (info.me_last_pgno + 1) * (uint64_t)stat.ms_psize;
}

/* -------------------------------------------------------------- reading */

int shale_view_take(struct shale_env *env, struct shale_view **out,
		    struct shale_err *err)
{
	struct shale_view *view = NULL;

	pthread_mutex_lock(&env->lock);
	if (env->n_idle)
		view = env->idle[--env->n_idle];
	pthread_mutex_unlock(&env->lock);
	if (view) {
		int r = mdb_txn_renew(view->txn);
		if (r == 0) {
			*out = view;
			return 0;
		}
		mdb_txn_abort(view->txn);
		free(view);
		return fail(err, r, "read");
	}

	view = malloc(sizeof(*view));
	if (!view)
		return shale_err_set(err, ENOMEM, "database: read");
	view->dbi = env->dbi;
	view->map = &env->map;
	int r = mdb_txn_begin(env->env, NULL, MDB_RDONLY, &view->txn);
	if (r) {
		free(view);
		return fail(err, r, "read");
	}
	*out = view;
	return 0;
}

void shale_view_give(struct shale_env *env, struct shale_view *view)
{
	mdb_txn_reset(view->txn);

	pthread_mutex_lock(&env->lock);
	bool keep = env->n_idle < VIEWS;
	if (keep)
		env->idle[env->n_idle++] = view;
	pthread_mutex_unlock(&env->lock);
	if (!keep) {
		mdb_txn_abort(view->txn);
		free(view);
	}
}

/*
 * Hand out a value without its checksum.  The checksum is of value and key in
 * one piece, which the caller's buffer is for a moment.
 */
static int checked_value(const MDB_val *key, const MDB_val *stored,
			 struct shale_buf *value, struct shale_err *err)
{
	cleanup_buf struct shale_buf own = {0};
	struct le64 sum;

	if (!value)
		value = &own;
	if (stored->mv_size < SUM)
		return shale_err_say(err, EUCLEAN,
				     "database: a value is cut short");
	size_t len = stored->mv_size - SUM;
	memcpy(&sum, (const uint8_t *)stored->mv_data + len, SUM);

	value->len = 0;
	if (shale_buf_reserve(value, len + key->mv_size) < 0)
		return shale_err_set(err, ENOMEM, "database: read");
	shale_buf_append(value, stored->mv_data, len);
	shale_buf_append(value, key->mv_data, key->mv_size);
	bool good = shale_xxh64(value->data, value->len) == le64_get(sum);
	value->len = len;
	if (!good)
		return shale_err_say(err, EUCLEAN,
				     "database: the checksum of a value does "
				     "not hold");
	return 0;
}

int shale_view_get(struct shale_view *view, const void *key, size_t key_len,
		   struct shale_buf *value, struct shale_err *err)
{
	MDB_val k = {key_len, (void *)(uintptr_t)key}, v;

	int r = mdb_get(view->txn, view->dbi, &k, &v);
	r = r ? fail(err, r, "read") : checked_value(&k, &v, value, err);
	return check_map(view->map, err) < 0 ? -EIO : r;
}

int shale_view_next(struct shale_view *view, const void *from, size_t from_len,
		    struct shale_buf *key, struct shale_buf *value,
		    struct shale_err *err)
{
	MDB_val k = {from_len, (void *)(uintptr_t)from}, v;
	MDB_cursor *cursor;

	int r = mdb_cursor_open(view->txn, view->dbi, &cursor);
	if (r)
		return fail(err, r, "read");
	r = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
	mdb_cursor_close(cursor);
	key->len = 0;
	if (r)
		r = fail(err, r, "read");
	else if (shale_buf_append(key, k.mv_data, k.mv_size) < 0)
		r = shale_err_set(err, ENOMEM, "database: read");
	else
		r = checked_value(&k, &v, value, err);
	return check_map(view->map, err) < 0 ? -EIO : r;
}

/* ------------------------------------------------------------- changing */

int shale_txn_begin(struct shale_env *env, struct shale_txn **out,
		    struct shale_err *err)
{
	int r = check_map(&env->map, err);
	if (r < 0)
		return r;
	if (env->ended)
		return fail(err, env->ended, "change");
	struct shale_txn *txn = calloc(1, sizeof(*txn));
	if (!txn)
		return shale_err_set(err, ENOMEM, "database: change");
	txn->env = env;
	txn->dbi = env->dbi;
	txn->map = &env->map;
	r = mdb_txn_begin(env->env, NULL, 0, &txn->txn);
	if (r) {
		free(txn);
		return fail(err, r, "change");
	}
	*out = txn;
	return 0;
}

int shale_txn_put(struct shale_txn *txn, const void *key, size_t key_len,
		  const void *value, size_t value_len, struct shale_err *err)
{
	struct shale_buf *scratch = &txn->scratch;

	scratch->len = 0;
	if (shale_buf_reserve(scratch, value_len + key_len + SUM) < 0)
		return shale_err_set(err, ENOMEM, "database: change");
	shale_buf_append(scratch, value, value_len);
	shale_buf_append(scratch, key, key_len);
	struct le64 sum = le64_make(shale_xxh64(scratch->data, scratch->len));
	scratch->len = value_len;
	shale_buf_append(scratch, &sum, SUM);

	MDB_val k = {key_len, (void *)(uintptr_t)key};
	MDB_val v = {scratch->len, scratch->data};
	int r = mdb_put(txn->txn, txn->dbi, &k, &v, 0);
	return r ? fail(err, r, "change") : 0;
}

int shale_txn_del(struct shale_txn *txn, const void *key, size_t key_len,
		  struct shale_err *err)
{
	MDB_val k = {key_len, (void *)(uintptr_t)key};
	int r = mdb_del(txn->txn, txn->dbi, &k, NULL);
	return r && r != MDB_NOTFOUND ? fail(err, r, "change") : 0;
}

static void txn_free(struct shale_txn *txn)
{
	shale_buf_release(&txn->scratch);
	free(txn);
}

static bool is_full(int code)
{
	return code == ENOSPC || code == EDQUOT || code == MDB_MAP_FULL;
}

/*
 * A commit that failed is not tried again in this process: a file system that
 * lost the pages, or their place in the file, may call them flushed the second
 * time, and the page that points to them is in place already.  Not so when
 * there was only no space.
 */
int shale_txn_commit(struct shale_txn *txn, struct shale_err *err)
{
	int r = check_map(txn->map, err);
	if (r < 0) {
		shale_txn_abort(txn);
		return r;
	}
	r = mdb_txn_commit(txn->txn);
	if (r && !is_full(r))
		txn->env->ended = r;
	txn_free(txn);
	return r ? fail(err, r, "commit") : 0;
}

void shale_txn_abort(struct shale_txn *txn)
{
	if (!txn)
		return;
	mdb_txn_abort(txn->txn);
	txn_free(txn);
}
