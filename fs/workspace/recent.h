/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_WORKSPACE_RECENT_H
#define SHALE_WORKSPACE_RECENT_H

/*
 * The newest value of each key of some batches (of all that were committed and
 * are not applied yet; of those that are being applied): an ordered map in
 * memory (a skip list; W. Pugh, "Skip Lists: A Probabilistic
 * Alternative to Balanced Trees", 1990).  Thread-safe: readers in parallel, a
 * batch becomes visible as a whole.
 */

#include "fs/workspace/ops.h"
#include "layers/base/buf.h"

#include <stddef.h>
#include <stdint.h>

struct shale_recent;

struct shale_recent *shale_recent_new(void); /* NULL: no memory */
void shale_recent_free(struct shale_recent *recent);

/*
 * Allocate all that inserting the operations will need, so that it cannot fail
 * once the journal has them.  Then either insert or abandon.
 */
struct shale_recent_node;
int shale_recent_prepare(struct shale_recent *recent, const uint8_t *ops,
			 size_t len, struct shale_recent_node **out);
void shale_recent_insert(struct shale_recent *recent,
			 struct shale_recent_node *prepared, uint64_t pos);
void shale_recent_abandon(struct shale_recent_node *prepared);

/* Forget the keys whose last change is at or before `pos`. */
void shale_recent_drop(struct shale_recent *recent, uint64_t pos);

enum shale_recent_answer {
	SHALE_RECENT_UNKNOWN, /* LMDB knows */
	SHALE_RECENT_VALUE,
	SHALE_RECENT_DELETED,
};

/* `value` (may be NULL) is replaced.  The answer, or -ENOMEM. */
int shale_recent_get(struct shale_recent *recent, const void *key,
		     size_t key_len, struct shale_buf *value);

/* The first key >= `from`, a deleted one too; UNKNOWN: none. */
int shale_recent_next(struct shale_recent *recent, const void *from,
		      size_t from_len, struct shale_buf *key,
		      struct shale_buf *value);

/* Bytes of its keys and values. */
size_t shale_recent_bytes(struct shale_recent *recent);

/*
 * All of them in order, deleted ones too, until `fn` returns anything but 0,
 * which is returned.  It must not change the map.
 */
typedef int shale_recent_fn(void *arg, const struct shale_op *op);
int shale_recent_each(struct shale_recent *recent, shale_recent_fn *fn,
		      void *arg);

/* memcmp order of keys, a prefix first. */
int shale_key_compare(const void *a, size_t a_len, const void *b, size_t b_len);

#endif
