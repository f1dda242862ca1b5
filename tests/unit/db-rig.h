/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_TESTS_DB_RIG_H
#define SHALE_TESTS_DB_RIG_H

/*
 * A database in a directory of its own, with texts for keys and values.  Any
 * failure fails the test.
 */

#include "fs/workspace/db.h"

/* A fresh directory to keep a database in. */
int db_dir(void);
/* Nothing is applied unless a test asks. */
extern const struct shale_db_opts db_lazy;
struct shale_db *db_open(int dir, const struct shale_db_opts *opts);

/* One batch; `value` NULL: the key goes.  Returns its position. */
uint64_t db_put(struct shale_db *db, const char *key, const char *value);
/* The value of a key, "-" if there is none; until some calls later. */
const char *db_get(struct shale_db *db, const char *key);
/* All keys and values in order: "a=1 b=2". */
const char *db_dump(struct shale_db *db, const char *prefix);

/* Run `fn` on the database in a process that then dies. */
void db_die_after(int dir, void (*fn)(struct shale_db *db));

#endif
