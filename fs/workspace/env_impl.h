/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_WORKSPACE_ENV_IMPL_H
#define SHALE_WORKSPACE_ENV_IMPL_H

/*
 * What env.c, env_view.c and env_txn.c share, and nobody else sees.
 *
 * LMDB reads the pages of a file that is mapped: an access may fail.  It does
 * not bear zeros there, so whatever looks at pages runs in shale_map_try().
 * A view that was left is thrown away, and the next one may find the page well.
 * A transaction that was left cannot be aborted (LMDB has lists of what stands
 * on the stack that is gone): it stays as it is, and the environment takes no
 * change any more.
 */

#include "fs/workspace/env.h"
#include "layers/base/bytes.h"
#include "layers/base/map.h"

#include <lmdb.h>
#include <pthread.h>

enum {
	SHALE_ENV_VIEWS = 64,
	SHALE_ENV_SUM = sizeof(struct le64), /* behind each value */
};

struct shale_env {
	MDB_env *env;
	MDB_dbi dbi;
	size_t page;          /* bytes of one */
	struct shale_map map; /* what LMDB mapped: it may fail under us */
	pthread_mutex_t lock; /* of the views that wait to be used again */
	struct shale_view *idle[SHALE_ENV_VIEWS];
	size_t n_idle;
	bool lost; /* what an earlier process wrote did not all get to disk */
	int ended; /* by this error (LMDB's): it takes no change any more */
	/* LMDB begins no transaction any more either, when a page of those that
	 * point to all others was not written: this one had begun before.  It
	 * is used by one thread at a time, which holds the lock. */
	struct shale_view *_Atomic last;
	pthread_mutex_t last_lock;
};

void shale_views_free(struct shale_env *env); /* that nobody uses */

/* What an error of LMDB means. */
int shale_env_fail(struct shale_err *err, int code, const char *what);
/* Why shale_map_try() was left. */
int shale_env_left(struct shale_err *err, int error);

/*
 * The pages where every transaction begins can be read: to be asked before one
 * does, since LMDB takes a lock before it looks at them.
 */
int shale_env_check(struct shale_env *env, struct shale_err *err);

#endif
