/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_DAEMON_TREES_H
#define SHALE_DAEMON_TREES_H

/*
 * The tree numbers of a history mount's versions, 1 and up: in the file `trees`
 * of the state directory, a line "NUMBER DIGEST" for each, written before the
 * kernel hears of the number; the next daemon reads it.  One thread at a time.
 */

#include "layers/base/err.h"
#include "layers/base/hash.h"

#include <stdbool.h>

struct shale_trees;

/* `takeover`: with the numbers of the daemon before.  -EUCLEAN. */
int shale_trees_open(struct shale_trees **out, int state, bool takeover,
		     struct shale_err *err);
void shale_trees_close(struct shale_trees *t);

/* The number of a version, a new one if need be.  -EOVERFLOW: too many. */
int shale_trees_number(struct shale_trees *t, const struct shale_digest *digest,
		       uint32_t *out, struct shale_err *err);
/* -ESTALE: no version has it. */
int shale_trees_digest(const struct shale_trees *t, uint32_t tree,
		       struct shale_digest *out);

#endif
