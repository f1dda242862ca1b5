/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/base/cleanup.h"
#include "layers/ops/import.h"
#include "layers/ops/survey.h"
#include "tests/lib/check.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <sys/xattr.h>

static struct shale_err err;

static int fresh_dir(const char *name)
{
	char path[300];
	snprintf(path, sizeof(path), "%s/%s", shale_test_dir(), name);
	CHECK(mkdir(path, 0700) == 0);
	int fd = open(path, O_RDONLY | O_DIRECTORY);
	CHECK(fd >= 0);
	return fd;
}

static void make_file(int dir, const char *name, size_t size)
{
	cleanup_fd int fd = openat(dir, name, O_WRONLY | O_CREAT, 0600);
	CHECK(fd >= 0 && ftruncate(fd, (off_t)size) == 0);
}

enum { MANY = 5000 };

/* Number `i`: a file of so many bytes, or a symlink that says so. */
static void make_nth(int dir, unsigned i)
{
	char name[16], target[32];
	snprintf(name, sizeof(name), "n%u", i);
	snprintf(target, sizeof(target), "target %u", i);
	if (i % 3)
		make_file(dir, name, i);
	else
		CHECK(symlinkat(target, dir, name) == 0);
}

static void check_nth(const struct shale_survey_batch *b,
		      const struct shale_found *f, unsigned i)
{
	const char *heap = (const char *)b->heap.data;
	char name[16], target[32];
	snprintf(name, sizeof(name), "n%u", i);
	snprintf(target, sizeof(target), "target %u", i);
	CHECK_STR(heap + f->name, name);
	CHECK_INT(f->error, 0);
	CHECK(i % 3 ? S_ISREG(f->st.st_mode) : S_ISLNK(f->st.st_mode));
	if (i % 3)
		CHECK_INT(f->st.st_size, i);
	else
		CHECK_STR(heap + f->target, target);
	CHECK_INT(f->xattr_error, 0);
}

TEST(names_come_back_in_their_turn_with_what_they_are)
{
	struct shale_survey *s;
	struct shale_survey_batch *b;
	cleanup_fd int dir = fresh_dir("many");
	for (unsigned i = 0; i < MANY; i++)
		make_nth(dir, i);

	CHECK_OK(shale_survey_new(&s, 4, SHALE_XATTRS_DEFAULT, false, &err));
	unsigned given = 0, taken = 0;
	while (taken < MANY) {
		b = given < MANY ? shale_survey_room(s) : NULL;
		if (b) {
			unsigned n = 1 + given % SHALE_SURVEY_NAMES;
			for (; n-- && given < MANY; given++) {
				char name[16];
				snprintf(name, sizeof(name), "n%u", given);
				CHECK_OK(shale_survey_add(b, name, &err));
			}
			b->dirfd = dir;
			shale_survey_give(s);
			continue;
		}
		CHECK((b = shale_survey_take(s)));
		CHECK_INT(b->failed, 0);
		const struct shale_found *all = (void *)b->items.data;
		for (size_t i = 0; i < shale_survey_count(b); i++)
			check_nth(b, &all[i], taken++);
		shale_survey_return(s);
	}
	CHECK(!shale_survey_take(s));
	shale_survey_free(s);
}

TEST(a_name_that_is_not_there_is_told_and_the_next_are_looked_at)
{
	static const char *const names[] = {"a", "none", "b", "none/c", "d"};
	struct shale_survey *s;
	cleanup_fd int dir = fresh_dir("few");
	make_file(dir, "a", 1);
	make_file(dir, "b", 2);
	make_file(dir, "d", 3);

	CHECK_OK(shale_survey_new(&s, 2, SHALE_XATTRS_ALL, true, &err));
	struct shale_survey_batch *b = shale_survey_room(s);
	for (size_t i = 0; i < 5; i++)
		CHECK_OK(shale_survey_add(b, names[i], &err));
	b->dirfd = dir;
	shale_survey_give(s);
	CHECK(shale_survey_take(s) == b);
	const struct shale_found *f = (void *)b->items.data;
	for (size_t i = 0; i < 5; i++)
		CHECK_INT(f[i].error, i % 2 ? ENOENT : 0);
	CHECK_INT(f[0].st.st_size, 1);
	CHECK_INT(f[4].st.st_size, 3);
	shale_survey_return(s);
	shale_survey_free(s);
}

/* A kernel that has no listxattrat. */
static int forget_listxattrat(void)
{
	struct sock_filter steps[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 465, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {4, steps};
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
			       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER,
				     &program) < 0
		       ? -1
		       : 0;
}

static bool has_both(int dir)
{
	cleanup_buf struct shale_buf list = {0};
	struct shale_xattr x;
	return shale_xattrs_read(dir, "file", SHALE_XATTRS_USER, false, &list,
				 &err) == 0 &&
	       shale_xattr_find(list.data, (uint32_t)list.len, "user.one", &x,
				&err) == 0 &&
	       x.value_len == 3 &&
	       shale_xattr_find(list.data, (uint32_t)list.len, "user.two", &x,
				&err) == 0;
}

TEST(xattrs_are_read_from_kernels_old_and_new)
{
	char path[300];
	cleanup_fd int dir = fresh_dir("xattrs");
	make_file(dir, "file", 0);
	snprintf(path, sizeof(path), "%s/xattrs/file", shale_test_dir());
	if (setxattr(path, "user.two", "", 0, 0) < 0)
		shale_test_skip("no user xattrs here");
	CHECK(setxattr(path, "user.one", "abc", 3, 0) == 0);
	CHECK(has_both(dir));

	pid_t child = fork();
	if (child == 0)
		_exit(forget_listxattrat() < 0 ? 2 : has_both(dir) ? 0 : 1);
	int status;
	CHECK(waitpid(child, &status, 0) == child);
	CHECK_INT(WEXITSTATUS(status), 0);
}

static void see_total(void *arg, uint64_t done, uint64_t total, uint64_t files,
		      const char *path)
{
	(void)done;
	(void)files;
	(void)path;
	*(uint64_t *)arg = total;
}

TEST(what_goes_below_a_prefix_is_walked_once)
{
	char path[300], source[310];
	struct shale_store *store;
	struct shale_import *import;
	struct shale_import_result result;
	struct shale_version *version = calloc(1, sizeof(*version));
	uint64_t total = 0;
	snprintf(path, sizeof(path), "%s/store", shale_test_dir());
	snprintf(source, sizeof(source), "%s/source", shale_test_dir());
	cleanup_fd int dir = fresh_dir("source");
	make_file(dir, "file", 12345);

	CHECK_OK(shale_store_open(&store, path, true, &err));
	struct shale_import_opts opts = {
		.codec = SHALE_CODEC_DEFAULT,
		.prefix = "a/b",
		.progress = see_total,
		.arg = &total,
	};
	CHECK_OK(shale_import_new(&import, store, &opts, &err));
	CHECK_OK(shale_import_dir(import, source, &err));
	CHECK_OK(shale_import_finish(import, version, "r", "t", false, &result,
				     &err));
	CHECK_INT(total, 12345);
	CHECK_INT(result.names, 4);
	shale_version_free(version);
	shale_import_free(import);
	shale_store_close(store);
}
