/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/mount/crowd.h"

#include "layers/base/cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { RECORD = 64, RECORDS = 8, EVERYBODY = -1, AT_MOST_ONE = -2 };

/* One process's place in a race. */
struct racer {
	int dir; /* the race's own directory */
	int number, all;
	char own[16];
};

static int result(int r)
{
	return r < 0 ? -errno : 0;
}

static void make_file(int dir, const char *name)
{
	cleanup_fd int fd = openat(dir, name, O_WRONLY | O_CREAT, 0644);
	(void)fd;
}

static bool is_there(int dir, const char *name)
{
	struct stat st;

	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* ----------------------------------------------- before: by one, for each */

static void with_name(const struct racer *r)
{
	make_file(r->dir, "name");
}

static void with_dir(const struct racer *r)
{
	mkdirat(r->dir, "name", 0755);
}

static void with_own(const struct racer *r)
{
	make_file(r->dir, r->own);
}

static void with_pair(const struct racer *r)
{
	make_file(r->dir, "name");
	mkdirat(r->dir, "other", 0755);
}

/* ---------------------------------------------------- the race, by everybody
 */

static int create(const struct racer *r)
{
	cleanup_fd int fd =
		openat(r->dir, "name", O_WRONLY | O_CREAT | O_EXCL, 0644);
	return result(fd);
}

static int make_dir(const struct racer *r)
{
	return result(mkdirat(r->dir, "name", 0755));
}

static int make_symlink(const struct racer *r)
{
	return result(symlinkat(r->own, r->dir, "name"));
}

static int link_own(const struct racer *r)
{
	return result(linkat(r->dir, r->own, r->dir, "name", 0));
}

static int rename_to_free(const struct racer *r)
{
	return result(
		renameat2(r->dir, r->own, r->dir, "name", RENAME_NOREPLACE));
}

static int rename_over(const struct racer *r)
{
	return result(renameat(r->dir, r->own, r->dir, "name"));
}

static int rename_from(const struct racer *r)
{
	return result(renameat(r->dir, "name", r->dir, r->own));
}

static int exchange(const struct racer *r)
{
	return result(
		renameat2(r->dir, "name", r->dir, "other", RENAME_EXCHANGE));
}

static int remove_name(const struct racer *r)
{
	return result(unlinkat(r->dir, "name", 0));
}

static int remove_dir(const struct racer *r)
{
	return result(unlinkat(r->dir, "name", AT_REMOVEDIR));
}

/* Even ones fill the directory that odd ones remove. */
static int fill_or_remove(const struct racer *r)
{
	char path[40];

	if (r->number % 2) {
		int got = remove_dir(r);
		return got == 0 || got == -ENOTEMPTY ? -EAGAIN : got;
	}
	snprintf(path, sizeof(path), "name/%s", r->own);
	return result(mkdirat(r->dir, path, 0755));
}

static int set_xattr(const struct racer *r)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d/name", r->dir);
	return result(setxattr(path, "user.race", r->own, strlen(r->own),
			       XATTR_CREATE));
}

static void record_of(char *record, int number, int i)
{
	memset(record, '.', RECORD);
	snprintf(record, RECORD, "%d %d", number, i);
	record[RECORD - 1] = '\n';
}

static int append(const struct racer *r)
{
	char record[RECORD];
	cleanup_fd int fd = openat(r->dir, "name", O_WRONLY | O_APPEND);

	for (int i = 0; fd >= 0 && i < RECORDS; i++) {
		record_of(record, r->number, i);
		if (write(fd, record, RECORD) != RECORD)
			return -errno;
	}
	return result(fd);
}

static int write_between(const struct racer *r)
{
	char record[RECORD];
	cleanup_fd int fd = openat(r->dir, "name", O_WRONLY);

	for (int i = 0; fd >= 0 && i < RECORDS; i++) {
		record_of(record, r->number, i);
		if (pwrite(fd, record, RECORD,
			   (i * r->all + r->number) * RECORD) != RECORD)
			return -errno;
	}
	return result(fd);
}

/* --------------------------------------------- afterwards: 0, or what is wrong
 */

static const char *one_name(const struct racer *r, unsigned won)
{
	(void)won;
	return is_there(r->dir, "name") ? NULL : "there is no name";
}

static const char *no_name(const struct racer *r, unsigned won)
{
	(void)won;
	return is_there(r->dir, "name") ? "the name is there" : NULL;
}

static int count(int at)
{
	int n = 0, dir = openat(at, ".", O_RDONLY | O_DIRECTORY);
	DIR *stream = fdopendir(dir);

	while (stream && readdir(stream))
		n++;
	closedir(stream);
	return n - 2;
}

static const char *all_names(const struct racer *r, unsigned won)
{
	(void)won;
	return count(r->dir) == r->all ? NULL : "a name more or less";
}

static const char *only_name(const struct racer *r, unsigned won)
{
	(void)won;
	if (count(r->dir) != 1)
		return "not one name";
	return NULL;
}

static const char *as_before(const struct racer *r, unsigned won)
{
	struct stat st;

	(void)won;
	if (fstatat(r->dir, "name", &st, 0) < 0)
		return "there is no name";
	return S_ISDIR(st.st_mode) == r->all % 2 ? NULL : "exchanged once more";
}

static const char *two_links(const struct racer *r, unsigned won)
{
	struct stat st;

	(void)won;
	if (fstatat(r->dir, "name", &st, 0) < 0 || st.st_nlink != 2)
		return "not two links";
	return count(r->dir) == r->all + 1 ? NULL : "a name more or less";
}

static const char *filled(const struct racer *r, unsigned won)
{
	if (!is_there(r->dir, "name"))
		return won ? "what was made in a directory is gone" : NULL;
	cleanup_fd int fd = openat(r->dir, "name", O_RDONLY | O_DIRECTORY);
	return count(fd) == (int)won ? NULL : "a name more or less";
}

static const char *all_records(const struct racer *r, unsigned won)
{
	cleanup_free char *data = calloc(CROWD_MAX * RECORDS + 1, RECORD);
	char want[RECORD];
	cleanup_fd int fd = openat(r->dir, "name", O_RDONLY);

	(void)won;
	if (!data || read(fd, data, (CROWD_MAX * RECORDS + 1) * RECORD) !=
			     (ssize_t)r->all * RECORDS * RECORD)
		return "another size";
	for (int number = 0; number < r->all; number++) {
		for (int i = 0; i < RECORDS; i++) {
			int found = 0;
			record_of(want, number, i);
			for (int k = 0; k < r->all * RECORDS; k++)
				found += !memcmp(data + k * RECORD, want,
						 RECORD);
			if (found != 1)
				return "a record is not there once";
		}
	}
	return NULL;
}

static const struct race {
	const char *what;
	void (*before)(const struct racer *r);
	bool before_each; /* by each of them */
	int (*act)(const struct racer *r);
	int lost;   /* what those get who do not win */
	int others; /* or this */
	int winners;
	const char *(*wrong)(const struct racer *r, unsigned won);
} races[] = {
	{"create", NULL, false, create, -EEXIST, 0, 1, one_name},
	{"mkdir", NULL, false, make_dir, -EEXIST, 0, 1, one_name},
	{"symlink", NULL, false, make_symlink, -EEXIST, 0, 1, one_name},
	{"link", with_own, true, link_own, -EEXIST, 0, 1, two_links},
	{"rename to a free name", with_own, true, rename_to_free, -EEXIST, 0, 1,
	 all_names},
	{"rename over a name", with_own, true, rename_over, 0, 0, EVERYBODY,
	 only_name},
	{"rename of a name", with_name, false, rename_from, -ENOENT, 0, 1,
	 only_name},
	{"exchange", with_pair, false, exchange, 0, 0, EVERYBODY, as_before},
	{"unlink", with_name, false, remove_name, -ENOENT, 0, 1, no_name},
	{"rmdir", with_dir, false, remove_dir, -ENOENT, 0, 1, no_name},
	{"mkdir in what is removed", with_dir, false, fill_or_remove, -ENOENT,
	 -EAGAIN, AT_MOST_ONE, filled},
	{"setxattr", with_name, false, set_xattr, -EEXIST, 0, 1, one_name},
	{"append", with_name, false, append, 0, 0, EVERYBODY, all_records},
	{"write", with_name, false, write_between, 0, 0, EVERYBODY,
	 all_records},
};

static void remove_all(int dir)
{
	int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY);
	DIR *stream = fdopendir(copy);
	const struct dirent *entry;

	while (stream && (entry = readdir(stream))) {
		if (entry->d_name[0] == '.' ||
		    unlinkat(dir, entry->d_name, 0) == 0)
			continue;
		cleanup_fd int sub =
			openat(dir, entry->d_name,
			       O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
		if (sub >= 0)
			remove_all(sub);
		unlinkat(dir, entry->d_name, AT_REMOVEDIR);
	}
	closedir(stream);
}

/* By process 0, when all are done. */
static int judge(const struct crowd *crowd, const struct race *race,
		 const struct racer *r, uint64_t number)
{
	unsigned won = crowd->won;
	const char *wrong = race->wrong(r, won);
	int want = race->winners == EVERYBODY ? r->all : race->winners;

	if (race->winners != AT_MOST_ONE && won != (unsigned)want)
		wrong = "not as many as should";
	if (!wrong)
		return 0;
	printf("# race %llu, %s: %u succeeded: %s\n",
	       (unsigned long long)number, race->what, won, wrong);
	return 1;
}

static int run(struct crowd *crowd, const struct race *race,
	       const struct racer *r, uint64_t number)
{
	if (r->number == 0) {
		remove_all(r->dir);
		crowd->won = 0;
		if (race->before && !race->before_each)
			race->before(r);
	}
	pthread_barrier_wait(&crowd->together);
	if (race->before_each)
		race->before(r);
	pthread_barrier_wait(&crowd->together);
	int got = race->act(r);
	if (got == 0)
		crowd->won++;
	pthread_barrier_wait(&crowd->together);
	if (got != 0 && got != race->lost && got != race->others) {
		printf("# race %llu, %s: process %d got %s\n",
		       (unsigned long long)number, race->what, r->number,
		       strerror(-got));
		return 1;
	}
	return r->number == 0 ? judge(crowd, race, r, number) : 0;
}

int crowd_race(struct crowd *crowd, int process, uint64_t n)
{
	char path[512];
	struct racer r = {.number = process, .all = crowd->processes};

	snprintf(path, sizeof(path), "%s/race", crowd->mount);
	snprintf(r.own, sizeof(r.own), "own%d", process);
	mkdir(path, 0755);
	r.dir = open(path, O_RDONLY | O_DIRECTORY);
	if (r.dir < 0) {
		printf("# process %d: %s: %s\n", process, path,
		       strerror(errno));
		return 1;
	}
	for (uint64_t i = 0; i < n; i++) {
		uint64_t number = crowd->races + i;
		const struct race *race =
			&races[number % (sizeof(races) / sizeof(*races))];
		if (run(crowd, race, &r, number))
			return 1;
	}
	/* The plain side has none of it. */
	pthread_barrier_wait(&crowd->together);
	if (process == 0) {
		remove_all(r.dir);
		rmdir(path);
	}
	return 0;
}
