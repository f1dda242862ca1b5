/* SPDX-License-Identifier: Apache-2.0 */
/* What stat tells after a change, while others ask for the same. */
#include "tests/mount/posix.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

enum { ASKERS = 3 };

static struct statx ask(int fd, int flags, unsigned mask)
{
	struct statx stx = {0};

	POSIX_OK(statx(fd, "", AT_EMPTY_PATH | flags, mask, &stx));
	return stx;
}

/* List the parent anew each time: a name came and went. */
static void list_parent(void)
{
	int fd = open("came", O_WRONLY | O_CREAT, 0600);
	DIR *dir = opendir(".");

	while (readdir(dir))
		;
	closedir(dir);
	close(fd);
	unlink("came");
}

static pid_t start_asker(int number, int fd, const atomic_bool *end)
{
	pid_t parent = getpid(), pid = fork();

	if (pid != 0)
		return pid;
	while (!*end && getppid() == parent) {
		if (number == 0)
			list_parent();
		else
			ask(fd, AT_STATX_FORCE_SYNC, STATX_BASIC_STATS);
	}
	_exit(0);
}

/* What of these has another value: "" if nothing. */
static const char *differ(const struct statx *a, const struct statx *b,
			  unsigned mask)
{
	if (a->stx_nlink != b->stx_nlink)
		return "nlink";
	if (mask != STATX_BASIC_STATS)
		return "";
	if (a->stx_mode != b->stx_mode || a->stx_uid != b->stx_uid)
		return "mode or owner";
	if (a->stx_size != b->stx_size || a->stx_blocks != b->stx_blocks)
		return "size or blocks";
	if (memcmp(&a->stx_mtime, &b->stx_mtime, sizeof(b->stx_mtime)) != 0)
		return "mtime";
	if (memcmp(&a->stx_ctime, &b->stx_ctime, sizeof(b->stx_ctime)) != 0)
		return "ctime";
	return "";
}

/*
 * What the kernel has kept of a file and is another in the file system.  It is
 * asked twice: who asks while an answer is being taken in may be told what was
 * before, but not for long.
 */
static const char *stale(int fd, unsigned mask)
{
	struct statx kept = ask(fd, 0, mask), again = ask(fd, 0, mask);
	struct statx now = ask(fd, AT_STATX_FORCE_SYNC, STATX_BASIC_STATS);
	const char *wrong = differ(&kept, &now, mask);

	return *wrong ? differ(&again, &now, mask) : "";
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/*
 * Change what `fd` is of again and again, step by step, while others ask for
 * it: it is told right after each step, also if only `mask` is asked for.
 */
static void beside(int fd, void (*change)(int fd, unsigned step), unsigned mask)
{
	const char *given = getenv("POSIX_BESIDE"), *wrong = "";
	int64_t last = now_ms() + (given ? strtol(given, NULL, 10) : 300);
	atomic_bool *end = mmap(NULL, sizeof(*end), PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t asker[ASKERS];
	unsigned step = 0;

	POSIX_OK(fd);
	CHECK(end != MAP_FAILED);
	for (int i = 0; i < ASKERS; i++)
		asker[i] = start_asker(i, fd, end);
	while (!*wrong && now_ms() < last) {
		change(fd, step++);
		wrong = stale(fd, mask);
	}
	*end = true;
	for (int i = 0; i < ASKERS; i++)
		waitpid(asker[i], NULL, 0);
	munmap(end, sizeof(*end));
	if (*wrong)
		printf("# after %u steps\n", step);
	CHECK_STR(wrong, "");
}

static void make_and_remove(int fd, unsigned step)
{
	POSIX_OK(step % 2 ? rmdir("dir/sub") : mkdir("dir/sub", 0755));
	(void)fd;
}

POSIX(a_directory_has_the_links_that_it_got_while_others_ask)
{
	beside(open("dir", O_PATH), make_and_remove, STATX_BASIC_STATS);
}

POSIX(its_links_are_told_alone_too)
{
	beside(open("dir", O_PATH), make_and_remove, STATX_NLINK);
}

static void move_directory(int fd, unsigned step)
{
	(void)fd;
	if (step == 0)
		POSIX_OK(mkdir("moving", 0755));
	else
		POSIX_OK(step % 2 ? rename("moving", "dir/moving")
				  : rename("dir/moving", "moving"));
}

POSIX(a_directory_that_another_moves_into_has_a_link_more_while_others_ask)
{
	beside(open("dir", O_PATH), move_directory, STATX_BASIC_STATS);
}

static void change_names(int fd, unsigned step)
{
	(void)fd;
	switch (step % 6) {
	case 0:
		POSIX_OK(mknod("dir/a", S_IFREG | 0600, 0));
		return;
	case 1:
		POSIX_OK(rename("dir/a", "dir/b"));
		return;
	case 2:
		POSIX_OK(symlink("b", "dir/a"));
		return;
	case 3:
		POSIX_OK(link("dir/b", "dir/c"));
		return;
	case 4:
		POSIX_OK(rename("dir/a", "dir/c"));
		return;
	default:
		POSIX_OK(unlink("dir/b"));
		POSIX_OK(unlink("dir/c"));
	}
}

POSIX(a_directory_has_the_times_of_its_last_name_while_others_ask)
{
	beside(open("dir", O_PATH), change_names, STATX_BASIC_STATS);
}

static void rename_file(int fd, unsigned step)
{
	(void)fd;
	POSIX_OK(step % 2 ? rename("dir/other", "dir/inner")
			  : rename("dir/inner", "dir/other"));
}

POSIX(what_was_renamed_has_a_new_ctime_while_others_ask)
{
	beside(open("dir/inner", O_PATH), rename_file, STATX_BASIC_STATS);
}

static void link_file(int fd, unsigned step)
{
	(void)fd;
	POSIX_OK(step % 2 ? unlink("third") : link("file", "third"));
}

POSIX(a_file_has_the_links_that_it_got_while_others_ask)
{
	beside(open("file", O_PATH), link_file, STATX_BASIC_STATS);
}

/* An ACL whose mask, and so the file's mode, lets a group write or not. */
static void set_acl(int fd, unsigned step)
{
	const struct {
		uint32_t version;
		struct {
			uint16_t tag, perm;
			uint32_t id;
		} entry[5];
	} acl = {2,
		 {{1, 6, ~0u},
		  {2, 6, POSIX_USER},
		  {4, 4, ~0u},
		  {16, step % 2 ? 4 : 6, ~0u},
		  {32, 4, ~0u}}};

	POSIX_OK(
		fsetxattr(fd, "system.posix_acl_access", &acl, sizeof(acl), 0));
}

POSIX(an_acl_sets_the_mode_while_others_ask)
{
	beside(open("file", O_RDWR), set_acl, STATX_BASIC_STATS);
}

static void set_xattr(int fd, unsigned step)
{
	if (step % 4 == 3)
		POSIX_OK(fremovexattr(fd, "user.step"));
	else
		POSIX_OK(fsetxattr(fd, "user.step", &step, sizeof(step), 0));
}

POSIX(an_attribute_sets_the_ctime_while_others_ask)
{
	beside(open("file", O_RDWR), set_xattr, STATX_BASIC_STATS);
}

static void change_space(int fd, unsigned step)
{
	const int punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	char block[4096];

	memset(block, 'x', sizeof(block));
	if (step % 2)
		CHECK_INT(pwrite(fd, block, sizeof(block), 8192), 4096);
	else
		POSIX_OK(fallocate(fd, punch, 8192, 4096));
}

POSIX(a_hole_takes_blocks_away_while_others_ask)
{
	beside(open("file", O_RDWR), change_space, STATX_BASIC_STATS);
}

static void store(int fd, unsigned step)
{
	static uint8_t *at;

	if (step == 0)
		at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			  0);
	CHECK(at != MAP_FAILED);
	at[step % 4096]++;
	POSIX_OK(msync(at, 4096, MS_SYNC));
}

POSIX(a_mapping_that_was_synced_has_set_the_mtime_while_others_ask)
{
	beside(open("file", O_RDWR), store, STATX_BASIC_STATS);
}

static void set_attributes(int fd, unsigned step)
{
	const struct timespec times[2] = {{1, 2}, {3, step}};

	switch (step % 5) {
	case 0:
		POSIX_OK(fchmod(fd, 0600 + step % 64));
		return;
	case 1:
		POSIX_OK(fchown(fd, step % 7, 8));
		return;
	case 2:
		POSIX_OK(ftruncate(fd, POSIX_SIZE - step % 9));
		return;
	case 3:
		POSIX_OK(futimens(fd, times));
		return;
	default:
		CHECK_INT(pwrite(fd, "more", 4, POSIX_SIZE), 4);
	}
}

POSIX(attributes_are_as_they_were_set_while_others_ask)
{
	beside(open("file", O_RDWR), set_attributes, STATX_BASIC_STATS);
}
