/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/workspace/db.h"
#include "layers/base/err.h"
#include "tests/lib/check.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct shale_err err;

/* A fresh directory to keep a database in. */
static int new_dir(void)
{
	static int n;
	char path[400];
	snprintf(path, sizeof(path), "%s/db-%d-%d", shale_test_dir(),
		 (int)getpid(), n++);
	CHECK(mkdir(path, 0700) == 0);
	int fd = open(path, O_RDONLY | O_DIRECTORY);
	CHECK(fd >= 0);
	return fd;
}

/* Nothing is applied unless a test asks. */
static const struct shale_db_opts lazy = {.interval_ms = 3600 * 1000,
					  .unapplied = 1 << 30,
					  .content_letters = "CM"};

static struct shale_db *open_db(int dir, const struct shale_db_opts *opts)
{
	struct shale_db *db;
	CHECK_OK(shale_db_open(&db, dir, opts, &err));
	return db;
}

static uint64_t put(struct shale_db *db, const char *key, const char *value)
{
	cleanup_batch struct shale_batch batch = {0};
	uint64_t pos;
	CHECK_INT(value ? shale_batch_put(&batch, key, strlen(key), value,
					  strlen(value))
			: shale_batch_del(&batch, key, strlen(key)),
		  0);
	CHECK_OK(shale_db_commit(db, &batch, NULL, &pos, &err));
	return pos;
}

/* The value of a key, "-" if there is none. */
static const char *get(struct shale_db *db, const char *key)
{
	static char text[8][100];
	static unsigned n;
	cleanup_buf struct shale_buf value = {0};
	char *out = text[n++ % 8];

	int r = shale_db_get(db, key, strlen(key), &value, &err);
	if (r == -ENOENT)
		return "-";
	CHECK_INT(r, 0);
	snprintf(out, 100, "%.*s", (int)value.len, (char *)value.data);
	return out;
}

/* All keys and values in order: "a=1 b=2". */
static const char *dump(struct shale_db *db, const char *prefix)
{
	static char text[4][1000];
	static unsigned n;
	cleanup_buf struct shale_buf key = {0}, value = {0};
	char *out = text[n++ % 4], *at = out;
	size_t len = strlen(prefix);
	int r = shale_buf_append(&key, prefix, len);

	*out = 0;
	while ((r = shale_db_next(db, key.data, key.len, len, &key, &value,
				  &err)) == 0) {
		at += snprintf(at, 100, "%s%.*s=%.*s", at == out ? "" : " ",
			       (int)key.len, (char *)key.data, (int)value.len,
			       (char *)value.data);
		CHECK(shale_buf_add(&key, 1));
	}
	CHECK_INT(r, -ENOENT);
	return out;
}

TEST(what_is_committed_can_be_read_before_and_after_it_is_applied)
{
	int dir = new_dir();
	struct shale_db *db = open_db(dir, &lazy);

	put(db, "b", "1");
	put(db, "a", "2");
	put(db, "c", "3");
	put(db, "b", "4");
	for (int i = 0; i < 2; i++) {
		CHECK_STR(get(db, "a"), "2");
		CHECK_STR(get(db, "b"), "4");
		CHECK_STR(get(db, "d"), "-");
		CHECK_STR(dump(db, ""), "a=2 b=4 c=3");
		CHECK_OK(shale_db_advance(db, &err));
	}
	put(db, "b", NULL);
	put(db, "bb", "5");
	CHECK_STR(get(db, "b"), "-");
	CHECK_STR(dump(db, ""), "a=2 bb=5 c=3");
	CHECK_STR(dump(db, "b"), "bb=5");
	CHECK_OK(shale_db_advance(db, &err));
	CHECK_STR(dump(db, ""), "a=2 bb=5 c=3");
	CHECK_OK(shale_db_close(db, &err));
	db = open_db(dir, &lazy);
	CHECK_STR(dump(db, ""), "a=2 bb=5 c=3");
	CHECK_OK(shale_db_close(db, &err));
	close(dir);
}
