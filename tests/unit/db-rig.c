/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/db-rig.h"

#include "layers/base/err.h"
#include "tests/lib/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct shale_err err;

int db_dir(void)
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

const struct shale_db_opts db_lazy = {.interval_ms = 3600 * 1000,
				      .unapplied = 1 << 30,
				      .content_letters = "CM"};

struct shale_db *db_open(int dir, const struct shale_db_opts *opts)
{
	struct shale_db *db;
	CHECK_OK(shale_db_open(&db, dir, opts, &err));
	return db;
}

uint64_t db_put(struct shale_db *db, const char *key, const char *value)
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

const char *db_get(struct shale_db *db, const char *key)
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

const char *db_dump(struct shale_db *db, const char *prefix)
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

void db_die_after(int dir, void (*fn)(struct shale_db *db))
{
	int status;
	pid_t pid = fork();
	if (pid == 0) {
		struct shale_db *db;
		if (shale_db_open(&db, dir, &db_lazy, &err) < 0)
			_exit(1);
		fn(db);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK_INT(status, 0);
}
