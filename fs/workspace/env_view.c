/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/workspace/env_impl.h"

#include "layers/base/bytes.h"
#include "layers/base/cleanup.h"
#include "layers/base/hash.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct shale_view {
	MDB_txn *txn;
	MDB_dbi dbi;
	const struct shale_map *map;
	bool left; /* in the middle of a call */
};

static void view_free(struct shale_view *view)
{
	mdb_txn_abort(view->txn);
	free(view);
}

static struct shale_view *take_idle(struct shale_env *env)
{
	struct shale_view *view = NULL;

	pthread_mutex_lock(&env->lock);
	if (env->n_idle)
		view = env->idle[--env->n_idle];
	pthread_mutex_unlock(&env->lock);
	return view;
}

static int take_new(struct shale_env *env, struct shale_view **out)
{
	struct shale_view *view = calloc(1, sizeof(*view));
	if (!view)
		return ENOMEM;
	view->dbi = env->dbi;
	view->map = &env->map;
	int r = mdb_txn_begin(env->env, NULL, MDB_RDONLY, &view->txn);
	if (r)
		free(view);
	else
		*out = view;
	return r;
}

int shale_view_take(struct shale_env *env, struct shale_view **out,
		    struct shale_err *err)
{
	int r = shale_env_check(env, err);
	if (r < 0)
		return r;
	struct shale_view *view = take_idle(env);
	if (view) {
		r = mdb_txn_renew(view->txn);
		if (r)
			view_free(view);
	} else {
		r = take_new(env, &view);
	}
	if (r == MDB_PANIC && atomic_load(&env->last)) {
		pthread_mutex_lock(&env->last_lock);
		view = atomic_load(&env->last);
		r = 0;
	}
	if (r)
		return shale_env_fail(err, r, "read");
	*out = view;
	return 0;
}

void shale_view_give(struct shale_env *env, struct shale_view *view)
{
	bool keep = false;

	if (view == atomic_load(&env->last)) {
		pthread_mutex_unlock(&env->last_lock);
		return;
	}
	if (!view->left) {
		mdb_txn_reset(view->txn);
		pthread_mutex_lock(&env->lock);
		keep = env->n_idle < SHALE_ENV_VIEWS;
		if (keep)
			env->idle[env->n_idle++] = view;
		pthread_mutex_unlock(&env->lock);
	}
	if (!keep)
		view_free(view);
}

void shale_views_free(struct shale_env *env)
{
	for (size_t i = 0; i < env->n_idle; i++)
		view_free(env->idle[i]);
	env->n_idle = 0;
	if (env->last)
		view_free(env->last);
}

/* ------------------------------------------------------------ one reading */

struct reading {
	struct shale_view *view;
	MDB_val key;
	struct shale_buf *found; /* the key that is there, for `next` */
	struct shale_buf *value; /* may be NULL */
	struct shale_err *err;
	/* In its course: */
	MDB_cursor *cursor;
	struct shale_buf own; /* in place of `value` */
	int r;
};

/*
 * Hand out a value without its checksum.  The checksum is of value and key in
 * one piece, which the caller's buffer is for a moment.
 */
static int checked_value(struct reading *x, const MDB_val *key,
			 const MDB_val *stored)
{
	struct shale_buf *value = x->value ? x->value : &x->own;
	struct le64 sum;

	if (stored->mv_size < SHALE_ENV_SUM)
		return shale_err_say(x->err, EUCLEAN,
				     "database: a value is cut short");
	size_t len = stored->mv_size - SHALE_ENV_SUM;
	memcpy(&sum, (const uint8_t *)stored->mv_data + len, SHALE_ENV_SUM);

	value->len = 0;
	if (shale_buf_reserve(value, len + key->mv_size) < 0)
		return shale_err_set(x->err, ENOMEM, "database: read");
	shale_buf_append(value, stored->mv_data, len);
	shale_buf_append(value, key->mv_data, key->mv_size);
	bool good = shale_xxh64(value->data, value->len) == le64_get(sum);
	value->len = len;
	if (!good)
		return shale_err_say(x->err, EUCLEAN,
				     "database: the checksum of a value does "
				     "not hold");
	return 0;
}

static void get(void *arg)
{
	struct reading *x = arg;
	MDB_val v;

	int r = mdb_get(x->view->txn, x->view->dbi, &x->key, &v);
	x->r = r ? shale_env_fail(x->err, r, "read")
		 : checked_value(x, &x->key, &v);
}

static void next(void *arg)
{
	struct reading *x = arg;
	MDB_val k = x->key, v;

	int r = mdb_cursor_get(x->cursor, &k, &v, MDB_SET_RANGE);
	x->found->len = 0;
	if (r)
		x->r = shale_env_fail(x->err, r, "read");
	else if (shale_buf_append(x->found, k.mv_data, k.mv_size) < 0)
		x->r = shale_err_set(x->err, ENOMEM, "database: read");
	else
		x->r = checked_value(x, &k, &v);
}

static int carry_out(struct reading *x, void (*fn)(void *arg))
{
	int r = shale_map_try(x->view->map, fn, x);

	shale_buf_release(&x->own);
	if (r == 0)
		return x->r;
	x->view->left = true;
	return shale_env_left(x->err, r);
}

int shale_view_get(struct shale_view *view, const void *key, size_t key_len,
		   struct shale_buf *value, struct shale_err *err)
{
	struct reading x = {
		.view = view,
		.key = {key_len, (void *)(uintptr_t)key},
		.value = value,
		.err = err,
	};
	return carry_out(&x, get);
}

int shale_view_next(struct shale_view *view, const void *from, size_t from_len,
		    struct shale_buf *key, struct shale_buf *value,
		    struct shale_err *err)
{
	struct reading x = {
		.view = view,
		.key = {from_len, (void *)(uintptr_t)from},
		.found = key,
		.value = value,
		.err = err,
	};
	int r = mdb_cursor_open(view->txn, view->dbi, &x.cursor);
	if (r)
		return shale_env_fail(err, r, "read");
	r = carry_out(&x, next);
	mdb_cursor_close(x.cursor);
	return r;
}
