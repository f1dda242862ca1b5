/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/workspace/env.h"
#include "tests/lib/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static struct shale_err err;
static int flushes_fail_with, pointers_fail_with;
static bool disk_is_full; /* writes are cut short */

/* An error that nobody was told of yet; who has it still to hear. */
static bool untold, hears[1024];

/* In place of the C library's: LMDB opens its files by it. */
int open(const char *path, int flags, ...)
{
	va_list more;
	va_start(more, flags);
	int mode = va_arg(more, int);
	va_end(more);
	int fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
	if (fd >= 0 && fd < 1024)
		hears[fd] = untold;
	return fd;
}

static bool hears_now(int fd)
{
	bool now = hears[fd];
	hears[fd] = false;
	return now;
}

/* By this it flushes its pages. */
int fdatasync(int fd)
{
	if (untold || hears_now(fd)) {
		untold = hears[fd] = false;
		errno = EIO;
		return -1;
	}
	if (!flushes_fail_with)
		return (int)syscall(SYS_fdatasync, fd);
	errno = flushes_fail_with;
	return -1;
}

/* By this it writes, synchronously, the pages that point to all others. */
ssize_t pwrite(int fd, const void *data, size_t len, off_t off)
{
	if (disk_is_full)
		len = 1;
	if (!(fcntl(fd, F_GETFL) & O_DSYNC) ||
	    (!pointers_fail_with && !hears_now(fd)))
		return syscall(SYS_pwrite64, fd, data, len, off);
	errno = pointers_fail_with ? pointers_fail_with : EIO;
	return -1;
}

/* And by this several at once. */
ssize_t writev(int fd, const struct iovec *iov, int n)
{
	if (disk_is_full)
		return syscall(SYS_write, fd, iov->iov_base, 1);
	return syscall(SYS_writev, fd, iov, n);
}

int fstatvfs(int fd, struct statvfs *out)
{
	(void)fd;
	*out = (struct statvfs){.f_frsize = 4096,
				.f_bavail = disk_is_full ? 0 : 1 << 30};
	return 0;
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

TEST(what_was_there_can_be_read_when_no_commit_is_possible_any_more)
{
	struct shale_env *env = open_env("pointers");
	CHECK_OK(put(env, "a"));
	pointers_fail_with = EIO;
	CHECK_INT(put(env, "b"), -EIO);
	pointers_fail_with = 0;
	CHECK_INT(put(env, "c"), -EIO);
	for (int i = 0; i < 3; i++) {
		CHECK_OK(get(env, "a"));
		CHECK_INT(get(env, "b"), -ENOENT);
	}
	shale_env_close(env);

	env = open_env("pointers");
	CHECK_OK(put(env, "c"));
	CHECK_OK(get(env, "a"));
	CHECK_INT(get(env, "b"), -ENOENT);
	shale_env_close(env);
}

TEST(what_an_earlier_process_was_not_told_of_is_mended_before_a_commit)
{
	struct shale_env *env = open_env("mend");
	CHECK_OK(put(env, "a"));
	shale_env_close(env);
	untold = true;
	env = open_env("mend");
	CHECK(!untold);
	flushes_fail_with = EIO;
	CHECK_INT(shale_env_mend(env, &err), -EIO);
	flushes_fail_with = 0;
	CHECK_OK(shale_env_mend(env, &err));
	CHECK_OK(put(env, "b"));
	CHECK_OK(get(env, "a"));
	flushes_fail_with = EIO;
	CHECK_OK(shale_env_mend(env, &err)); /* nothing is left to do */
	flushes_fail_with = 0;
	shale_env_close(env);
}

TEST(a_write_that_a_full_disk_cut_short_is_tried_again)
{
	struct shale_env *env = open_env("short");
	CHECK_OK(put(env, "a"));
	disk_is_full = true;
	CHECK_INT(put(env, "b"), -ENOSPC);
	disk_is_full = false;
	CHECK_OK(put(env, "b"));
	CHECK_OK(get(env, "a"));
	CHECK_OK(get(env, "b"));
	shale_env_close(env);
}

TEST(without_space_for_the_pointers_what_was_there_can_still_be_read)
{
	struct shale_env *env = open_env("nopointers");
	CHECK_OK(put(env, "a"));
	pointers_fail_with = ENOSPC;
	CHECK_INT(put(env, "b"), -ENOSPC);
	pointers_fail_with = 0;
	CHECK_INT(put(env, "c"), -ENOSPC);
	CHECK_OK(get(env, "a"));
	CHECK_INT(get(env, "b"), -ENOENT);
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

/* ------------------------------------- pages that are not what they should be
 */

enum { KEYS = 2000, PAGE = 4096, LEAF = 2 };

static int data_file(const char *name)
{
	char path[64];
	int top = open(shale_test_dir(), O_RDONLY | O_DIRECTORY);
	snprintf(path, sizeof(path), "%s/db/data.mdb", name);
	int fd = openat(top, path, O_RDWR);
	CHECK(fd >= 0);
	close(top);
	return fd;
}

/* Some levels of pages. */
static struct shale_env *open_large(const char *name)
{
	struct shale_env *env = open_env(name);
	struct shale_txn *txn;
	char key[16], value[100] = "";

	CHECK_OK(shale_txn_begin(env, &txn, &err));
	for (int i = 0; i < KEYS; i++) {
		snprintf(key, sizeof(key), "key %05d", i);
		CHECK_OK(shale_txn_put(txn, key, strlen(key), value,
				       sizeof(value), &err));
	}
	CHECK_OK(shale_txn_commit(txn, &err));
	return env;
}

/* How many of the keys are there; other answers have to be `error`. */
static int count_keys(struct shale_env *env, int error)
{
	char key[16];
	int found = 0;

	for (int i = 0; i < KEYS; i++) {
		struct shale_view *view;
		snprintf(key, sizeof(key), "key %05d", i);
		CHECK_OK(shale_view_take(env, &view, &err));
		int r = shale_view_get(view, key, strlen(key), NULL, &err);
		shale_view_give(env, view);
		found += r == 0;
		if (r < 0)
			CHECK_INT(r, error);
	}
	return found;
}

/* The file without its last pages, which are kept; and with them again. */
static uint8_t *cut_pages(int fd, struct stat *st, off_t from)
{
	CHECK_INT(fstat(fd, st), 0);
	uint8_t *kept = malloc((size_t)st->st_size);
	CHECK(pread(fd, kept, (size_t)st->st_size, 0) == st->st_size);
	CHECK_INT(ftruncate(fd, from), 0);
	return kept;
}

static void mend_pages(int fd, const struct stat *st, uint8_t *kept)
{
	CHECK(pwrite(fd, kept, (size_t)st->st_size, 0) == st->st_size);
	free(kept);
}

TEST(a_page_that_cannot_be_read_is_told_until_it_can_be)
{
	struct shale_env *env = open_large("unreadable");
	int fd = data_file("unreadable");
	struct stat st;

	uint8_t *kept = cut_pages(fd, &st, 20 * PAGE);
	int found = count_keys(env, -EIO);
	CHECK(found > 0 && found < KEYS);
	CHECK_STR(err.msg, "database: a page could not be read");
	mend_pages(fd, &st, kept);
	CHECK_INT(count_keys(env, 0), KEYS);
	CHECK_OK(put(env, "a"));
	close(fd);
	shale_env_close(env);
}

/* In a process of its own: what LMDB had allocated is lost. */
static void change_unreadable(void)
{
	struct shale_env *env = open_large("unchangeable");
	int fd = data_file("unchangeable");
	struct stat st;
	struct shale_txn *txn;

	uint8_t *kept = cut_pages(fd, &st, 2 * PAGE);
	CHECK_OK(shale_txn_begin(env, &txn, &err));
	CHECK_INT(shale_txn_put(txn, "a", 1, "", 0, &err), -EIO);
	CHECK_INT(shale_txn_put(txn, "b", 1, "", 0, &err), -EIO);
	CHECK_INT(shale_txn_commit(txn, &err), -EIO);
	mend_pages(fd, &st, kept);
	CHECK_INT(put(env, "c"), -EIO);
	CHECK_INT(count_keys(env, 0), KEYS);
	shale_env_close(env);
}

TEST(a_change_that_met_such_a_page_is_the_last_one_of_this_process)
{
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		change_unreadable();
		_exit(0);
	}
	int status;
	CHECK(waitpid(child, &status, 0) == child);
	CHECK_INT(status, 0);

	struct shale_env *env = open_env("unchangeable");
	CHECK_OK(put(env, "c"));
	CHECK_INT(get(env, "a"), -ENOENT);
	CHECK_INT(count_keys(env, 0), KEYS);
	shale_env_close(env);
}

/* LMDB has assertions about those. */
TEST(a_page_of_zeros_is_damage_and_ends_no_process)
{
	struct shale_env *env = open_large("zeros");
	struct shale_buf key = {0};
	struct shale_view *view;
	int fd = data_file("zeros"), leaves = 0, damaged = 0;
	uint8_t page[PAGE];
	char from[16];

	for (off_t at = 2 * PAGE; pread(fd, page, PAGE, at) == PAGE; at += PAGE)
		if (page[10] == LEAF && leaves++ % 2) {
			memset(page, 0, PAGE);
			CHECK(pwrite(fd, page, PAGE, at) == PAGE);
		}
	for (int i = 0; i < KEYS; i++) {
		snprintf(from, sizeof(from), "key %05d+", i);
		CHECK_OK(shale_view_take(env, &view, &err));
		int r = shale_view_next(view, from, strlen(from), &key, NULL,
					&err);
		shale_view_give(env, view);
		CHECK(r == 0 || r == -EUCLEAN || r == -ENOENT);
		damaged += r == -EUCLEAN;
	}
	CHECK(leaves > 4 && damaged > KEYS / 4);
	shale_buf_release(&key);
	close(fd);
	shale_env_close(env);
}
