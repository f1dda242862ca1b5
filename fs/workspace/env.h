/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_WORKSPACE_ENV_H
#define SHALE_WORKSPACE_ENV_H

/*
 * The LMDB environment `db/` of a workspace.  Every value has a checksum
 * (journal_disk.h).  One process may open an environment only once, and never
 * use it across fork.  Thread-safe, except that a view is used by one thread at
 * a time and a transaction by the thread that began it.
 */

#include "layers/base/buf.h"
#include "layers/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct shale_env;

/* Open `db/` under `dirfd`; `write`: make it if need be.  -ENOENT, -EUCLEAN. */
int shale_env_open(struct shale_env **out, int dirfd, bool write,
		   struct shale_err *err);
void shale_env_close(struct shale_env *env);

/*
 * For who comes after a process that was killed or had failed, before the first
 * change: what that wrote last may have been lost on its way to the disk.  All
 * that was committed is on disk; the pages that point to it are written again.
 * Nothing to do: 0.
 */
int shale_env_mend(struct shale_env *env, struct shale_err *err);

/* Clear the readers of processes that died. */
void shale_env_clear_readers(struct shale_env *env);

/* Bytes of the pages in use. */
uint64_t shale_env_bytes(struct shale_env *env);

/* A consistent state to read from, the newest when it is taken. */
struct shale_view;
int shale_view_take(struct shale_env *env, struct shale_view **out,
		    struct shale_err *err);
void shale_view_give(struct shale_env *env, struct shale_view *view);

/* Value without its checksum into `value` (may be NULL).  -ENOENT, -EUCLEAN. */
int shale_view_get(struct shale_view *view, const void *key, size_t key_len,
		   struct shale_buf *value, struct shale_err *err);
/* The first key >= `from`, with its value (may be NULL).  -ENOENT, -EUCLEAN. */
int shale_view_next(struct shale_view *view, const void *from, size_t from_len,
		    struct shale_buf *key, struct shale_buf *value,
		    struct shale_err *err);

/* A change, synchronous at its commit. */
struct shale_txn;
int shale_txn_begin(struct shale_env *env, struct shale_txn **out,
		    struct shale_err *err);
int shale_txn_put(struct shale_txn *txn, const void *key, size_t key_len,
		  const void *value, size_t value_len, struct shale_err *err);
/* A key that is not there is fine. */
int shale_txn_del(struct shale_txn *txn, const void *key, size_t key_len,
		  struct shale_err *err);
/* Ends the transaction either way. */
int shale_txn_commit(struct shale_txn *txn, struct shale_err *err);
void shale_txn_abort(struct shale_txn *txn); /* NULL is fine */

#endif
