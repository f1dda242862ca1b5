/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_WORKSPACE_OPS_H
#define SHALE_WORKSPACE_OPS_H

/*
 * The operations of a batch, as they stand in a journal record (journal_disk.h)
 * and in a struct shale_batch alike.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SHALE_DB_KEY_MAX = 400 };

struct shale_op {
	bool put; /* else: delete */
	const uint8_t *key;
	size_t key_len;
	const uint8_t *value;
	size_t value_len;
};

/*
 * Take the first operation off the `*len` bytes at `*data`, which move on
 * behind it.  Returns 1; 0 at the end; -EUCLEAN.  Points into the data.
 */
int shale_ops_next(const uint8_t **data, size_t *len, struct shale_op *op);

#endif
