/* SPDX-License-Identifier: Apache-2.0 */
/* Records of the journal that are stored through a mapping. */
#include "fs/workspace/journal.h"
#include "fs/workspace/journal_disk.h"
#include "tests/lib/check.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static struct shale_err err;
static const char first_name[] = "journal.0000000000000000";

static struct shale_journal *new_journal(int *dir)
{
	static int n;
	char path[400];
	struct shale_journal *j;

	snprintf(path, sizeof(path), "%s/journal-%d", shale_test_dir(), n++);
	CHECK(mkdir(path, 0700) == 0);
	*dir = open(path, O_RDONLY | O_DIRECTORY);
	CHECK_OK(shale_journal_make(*dir, &err));
	CHECK_OK(shale_journal_open(&j, *dir, 0, false, NULL, NULL, &err));
	return j;
}

/* An FSYNC record of so many inodes, all of them `number`. */
static int append(struct shale_journal *j, uint64_t number, size_t n,
		  bool follows)
{
	struct le64 body[512];

	for (size_t i = 0; i < n; i++)
		body[i] = le64_make(number);
	struct shale_record record = {
		.type = SHALE_JOURNAL_FSYNC,
		.follows = follows,
		.body = body[0].b,
		.len = n * sizeof(body[0]),
	};
	return shale_journal_append(j, &record, false, &err);
}

static size_t length_of(uint64_t number)
{
	return 1 + number * 31 % 120;
}

/* Record n is what append(j, n, length_of(n), …) made. */
static int count(void *arg, const struct shale_record *record,
		 struct shale_err *e)
{
	uint64_t *n = arg;
	struct le64 got;

	(void)e;
	CHECK_INT(record->len, length_of(*n) * sizeof(got));
	for (size_t at = 0; at < record->len; at += sizeof(got)) {
		memcpy(&got, record->body + at, sizeof(got));
		CHECK_INT(le64_get(got), *n);
	}
	++*n;
	return 0;
}

/* Calls of write() and its like so far. */
static long writes(void)
{
	long n = -1;
	char line[100];
	FILE *io = fopen("/proc/self/io", "r");

	while (io && fgets(line, sizeof(line), io))
		sscanf(line, "syscw: %ld", &n);
	if (io)
		fclose(io);
	return n;
}

TEST(what_follows_a_write_needs_no_other_and_is_there_all_the_same)
{
	enum { MANY = 60000 }; /* some 32 MB: segments, and windows of them */
	uint64_t n = 0;
	int dir;
	struct shale_journal *j = new_journal(&dir);
	long before = writes();

	for (uint64_t i = 0; i < MANY; i++)
		CHECK_OK(append(j, i, length_of(i), i % 100));
	long done = writes() - before;
	if (before >= 0) /* some kernels do not tell */
		CHECK(done < MANY / 20);
	CHECK(shale_journal_bytes(j) > 20u << 20);
	CHECK_OK(shale_journal_read(j, 0, shale_journal_end(j), count, &n,
				    &err));
	CHECK_INT(n, MANY);
	shale_journal_close(j);
	n = 0;
	CHECK_OK(shale_journal_open(&j, dir, 0, false, count, &n, &err));
	CHECK_INT(n, MANY);
	shale_journal_close(j);
	close(dir);
}

/* As if a page could not be read in. */
static void take_pages(int dir)
{
	int fd = openat(dir, first_name, O_WRONLY);

	CHECK(fd >= 0 && ftruncate(fd, 0) == 0);
	close(fd);
}

TEST(where_a_page_cannot_be_had_the_record_is_written)
{
	int dir;
	struct shale_journal *j = new_journal(&dir);
	struct stat st;

	CHECK_OK(append(j, 1, 5, true));
	take_pages(dir);
	CHECK_OK(append(j, 2, 5, true));
	CHECK_INT(fstatat(dir, first_name, &st, 0), 0);
	CHECK_INT(st.st_size, shale_journal_end(j));
	CHECK_OK(append(j, 3, 5, true));
	CHECK_INT(fstatat(dir, first_name, &st, 0), 0);
	CHECK_INT(st.st_size, shale_journal_end(j));
	shale_journal_close(j);
	close(dir);
}

TEST(where_it_cannot_be_written_either_that_is_told)
{
	struct rlimit old, none;
	int dir;
	struct shale_journal *j = new_journal(&dir);

	CHECK_OK(append(j, 1, 5, true));
	uint64_t end = shale_journal_end(j);
	take_pages(dir);
	signal(SIGXFSZ, SIG_IGN);
	CHECK(getrlimit(RLIMIT_FSIZE, &old) == 0);
	none = old;
	none.rlim_cur = 0;
	CHECK(setrlimit(RLIMIT_FSIZE, &none) == 0);
	int r = append(j, 2, 5, true);
	CHECK(setrlimit(RLIMIT_FSIZE, &old) == 0);
	CHECK_INT(r, -EFBIG);
	CHECK_INT(shale_journal_end(j), end);
	shale_journal_close(j);
	close(dir);
}
