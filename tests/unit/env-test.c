/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/workspace/env.h"
#include "tests/lib/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct shale_err err;
static int flushes_fail_with;

/* In place of the C library's: LMDB flushes its pages by it. */
int fdatasync(int fd)
{
	if (!flushes_fail_with)
		return (int)syscall(SYS_fdatasync, fd);
	errno = flushes_fail_with;
	return -1;
}

static int put(struct shale_env *env, const char *key)
{
	struct shale_txn *txn;
	int r = shale_txn_begin(env, &txn, &err);
	if (r < 0)
		return r;
	CHECK_OK(shale_txn_put(txn, key, 1, "value", 5, &err));
	return shale_txn_commit(txn, &err);
}

static int get(struct shale_env *env, const char *key)
{
	struct shale_view *view;
	CHECK_OK(shale_view_take(env, &view, &err));
	int r = shale_view_get(view, key, 1, NULL, &err);
	shale_view_give(env, view);
	return r;
}

static struct shale_env *open_env(const char *name)
{
	struct shale_env *env;
	int top = open(shale_test_dir(), O_RDONLY | O_DIRECTORY);
	CHECK(mkdirat(top, name, 0700) == 0 || errno == EEXIST);
	int dir = openat(top, name, O_RDONLY | O_DIRECTORY);
	CHECK_OK(shale_env_open(&env, dir, true, &err));
	close(dir);
	close(top);
	return env;
}

TEST(a_flush_that_failed_is_not_tried_again_in_this_process)
{
	struct shale_env *env = open_env("flush");
	CHECK_OK(put(env, "a"));
	flushes_fail_with = EIO;
	CHECK_INT(put(env, "b"), -EIO);
	flushes_fail_with = 0;
	CHECK_INT(put(env, "c"), -EIO);
	CHECK_OK(get(env, "a"));
	CHECK_INT(get(env, "b"), -ENOENT);
	shale_env_close(env);

	env = open_env("flush");
	CHECK_OK(put(env, "c"));
	CHECK_OK(get(env, "a"));
	CHECK_INT(get(env, "b"), -ENOENT);
	CHECK_OK(get(env, "c"));
	shale_env_close(env);
}

TEST(a_commit_without_space_is_tried_again)
{
	struct shale_env *env = open_env("space");
	flushes_fail_with = ENOSPC;
	CHECK_INT(put(env, "a"), -ENOSPC);
	flushes_fail_with = 0;
	CHECK_OK(put(env, "a"));
	CHECK_OK(get(env, "a"));
	shale_env_close(env);
}
