/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/workspace/env_impl.h"

#include "layers/base/bytes.h"
#include "layers/base/hash.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

enum { NEARLY_FULL = 16 << 20 }; /* bytes left on the host */

struct shale_txn {
	struct shale_env *env;
	MDB_txn *txn;
	struct shale_buf scratch;
	bool left; /* in the middle of a call */
};

int shale_txn_begin(struct shale_env *env, struct shale_txn **out,
		    struct shale_err *err)
{
	if (env->ended)
		return shale_env_fail(err, env->ended, "change");
	int r = shale_env_check(env, err);
	if (r < 0)
		return r;
	struct shale_txn *txn = calloc(1, sizeof(*txn));
	if (!txn)
		return shale_err_set(err, ENOMEM, "database: change");
	txn->env = env;
	r = mdb_txn_begin(env->env, NULL, 0, &txn->txn);
	if (r) {
		free(txn);
		return shale_env_fail(err, r, "change");
	}
	*out = txn;
	return 0;
}

/* ------------------------------------------------------------- one change */

struct changing {
	struct shale_txn *txn;
	MDB_val key, value;
	int r; /* LMDB's */
};

static void put(void *arg)
{
	struct changing *x = arg;

	x->r = mdb_put(x->txn->txn, x->txn->env->dbi, &x->key, &x->value, 0);
}

static void del(void *arg)
{
	struct changing *x = arg;

	x->r = mdb_del(x->txn->txn, x->txn->env->dbi, &x->key, NULL);
	if (x->r == MDB_NOTFOUND)
		x->r = 0;
}

static void commit(void *arg)
{
	struct changing *x = arg;

	x->r = mdb_txn_commit(x->txn->txn);
}

/* LMDB calls it EIO when a write was cut short by a full disk. */
static int word_for(const struct shale_env *env, int code)
{
	struct statvfs fs;
	mdb_filehandle_t fd;

	if (code != EIO || mdb_env_get_fd(env->env, &fd) ||
	    fstatvfs(fd, &fs) < 0 ||
	    (uint64_t)fs.f_bavail * fs.f_frsize >= NEARLY_FULL)
		return code;
	return ENOSPC;
}

static int carry_out(struct changing *x, void (*fn)(void *arg),
		     const char *what, struct shale_err *err)
{
	if (x->txn->left)
		return shale_env_fail(err, x->txn->env->ended, what);
	int r = shale_map_try(&x->txn->env->map, fn, x);
	x->r = word_for(x->txn->env, x->r);
	if (r == 0)
		return x->r ? shale_env_fail(err, x->r, what) : 0;
	x->txn->left = true;
	x->txn->env->ended = r == -EUCLEAN ? MDB_CORRUPTED : -r;
	return shale_env_left(err, r);
}

int shale_txn_put(struct shale_txn *txn, const void *key, size_t key_len,
		  const void *value, size_t value_len, struct shale_err *err)
{
	struct shale_buf *scratch = &txn->scratch;

	scratch->len = 0;
	if (shale_buf_reserve(scratch, value_len + key_len + SHALE_ENV_SUM) < 0)
		return shale_err_set(err, ENOMEM, "database: change");
	shale_buf_append(scratch, value, value_len);
	shale_buf_append(scratch, key, key_len);
	struct le64 sum = le64_make(shale_xxh64(scratch->data, scratch->len));
	scratch->len = value_len;
	shale_buf_append(scratch, &sum, SHALE_ENV_SUM);

	struct changing x = {
		.txn = txn,
		.key = {key_len, (void *)(uintptr_t)key},
		.value = {scratch->len, scratch->data},
	};
	return carry_out(&x, put, "change", err);
}

int shale_txn_del(struct shale_txn *txn, const void *key, size_t key_len,
		  struct shale_err *err)
{
	struct changing x = {
		.txn = txn,
		.key = {key_len, (void *)(uintptr_t)key},
	};
	return carry_out(&x, del, "change", err);
}

/* -------------------------------------------------------------------- end */

static void txn_free(struct shale_txn *txn)
{
	shale_buf_release(&txn->scratch);
	free(txn);
}

/* Was there only no space?  Not if the pages that point to all others lacked
 * it: LMDB ends then. */
static bool goes_on(const struct shale_env *env, int code)
{
	MDB_txn *txn;

	if (code != ENOSPC && code != EDQUOT && code != MDB_MAP_FULL)
		return false;
	int r = mdb_txn_begin(env->env, NULL, MDB_RDONLY, &txn);
	if (r == 0)
		mdb_txn_abort(txn);
	return r != MDB_PANIC;
}

/*
 * A commit that failed is not tried again in this process: a file system that
 * lost the pages, or their place in the file, may call them flushed the second
 * time, and the page that points to them is in place already.  Not so when
 * there was only no space.  What was there before can still be read.
 */
int shale_txn_commit(struct shale_txn *txn, struct shale_err *err)
{
	struct shale_env *env = txn->env;
	struct changing x = {.txn = txn};
	struct shale_view *before;

	int r = shale_view_take(env, &before, err);
	if (r < 0) {
		shale_txn_abort(txn);
		return r;
	}
	r = carry_out(&x, commit, "commit", err);
	txn_free(txn);
	if (x.r && !goes_on(env, x.r)) {
		env->ended = x.r;
		atomic_store(&env->last, before);
	} else {
		shale_view_give(env, before);
	}
	return r;
}

void shale_txn_abort(struct shale_txn *txn)
{
	if (!txn)
		return;
	if (!txn->left)
		mdb_txn_abort(txn->txn);
	txn_free(txn);
}
