/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/workspace/db.h"
#include "fs/workspace/journal.h"
#include "fs/workspace/journal_disk.h"
#include "fs/workspace/ops.h"
#include "fs/workspace/pieces.h"
#include "layers/base/hash.h"
#include "tests/lib/check.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static struct shale_err err;
static const char first_name[] = "journal.0000000000000000";

static int new_dir(void)
{
	static int n;
	char path[400];
	snprintf(path, sizeof(path), "%s/journal-%d", shale_test_dir(), n++);
	CHECK(mkdir(path, 0700) == 0);
	return open(path, O_RDONLY | O_DIRECTORY);
}

enum { N = 6 }; /* records in the journal that tests damage */

/* Counts batches; record n must hold the key "key-n". */
static int count_record(void *arg, const struct shale_record *record,
			struct shale_err *e)
{
	int *n = arg;
	char key[16];
	const uint8_t *data = record->body;
	size_t len = record->len;
	struct shale_op op;

	(void)e;
	if (record->type != SHALE_JOURNAL_BATCH)
		return 0;
	snprintf(key, sizeof(key), "key-%d", *n);
	CHECK_INT(shale_ops_next(&data, &len, &op), 1);
	CHECK_INT(op.key_len, strlen(key));
	CHECK_MEM(op.key, key, op.key_len);
	CHECK_INT(shale_ops_next(&data, &len, &op), 0);
	++*n;
	return 0;
}

static int open_count(struct shale_journal **j, int dir, uint64_t from,
		      bool power_cut, int *n)
{
	*n = 0;
	return shale_journal_open(j, dir, from, power_cut, count_record, n,
				  &err);
}

static uint64_t append_key(struct shale_journal *j, int n, size_t value_len)
{
	cleanup_batch struct shale_batch batch = {0};
	char key[16];
	char *value = calloc(1, value_len + 1);

	snprintf(key, sizeof(key), "key-%d", n);
	CHECK_INT(shale_batch_put(&batch, key, strlen(key), value, value_len),
		  0);
	free(value);
	struct shale_record record = {.type = SHALE_JOURNAL_BATCH,
				      .body = batch.ops.data,
				      .len = batch.ops.len};
	CHECK_OK(shale_journal_append(j, &record, false, &err));
	return record.end;
}

/* A journal of N batches; their ends; `synced`: fsynced after that many. */
static int make_journal(uint64_t end[N], int synced)
{
	int dir = new_dir(), n;
	struct shale_journal *j;

	CHECK_OK(shale_journal_make(dir, &err));
	CHECK_OK(open_count(&j, dir, 0, false, &n));
	for (int i = 0; i < N; i++) {
		end[i] = append_key(j, i, (size_t)i);
		if (i + 1 == synced)
			CHECK_OK(shale_journal_sync(j, end[i], &err));
	}
	shale_journal_close(j);
	return dir;
}

static void flip(int dir, uint64_t at, int bit)
{
	uint8_t byte;
	int fd = openat(dir, first_name, O_RDWR);
	CHECK(pread(fd, &byte, 1, (off_t)at) == 1);
	byte ^= (uint8_t)(1 << bit);
	CHECK(pwrite(fd, &byte, 1, (off_t)at) == 1);
	close(fd);
}

TEST(a_tail_cut_at_any_byte_gives_exactly_the_whole_batches_before)
{
	uint64_t end[N];
	struct shale_journal *j;
	int n, dir = make_journal(end, 0);

	for (uint64_t size = end[N - 1]; size-- > 0;) {
		int fd = openat(dir, first_name, O_RDWR);
		CHECK(ftruncate(fd, (off_t)size) == 0);
		close(fd);
		int whole = 0;
		while (end[whole] <= size)
			whole++;
		CHECK_OK(open_count(&j, dir, 0, size % 2, &n));
		CHECK_INT(n, whole);
		CHECK_INT(shale_journal_end(j), whole ? end[whole - 1] : 0);
		shale_journal_close(j);
	}
	close(dir);
}

static int truncateat(int dir, uint64_t size)
{
	int fd = openat(dir, first_name, O_RDWR);
	int r = ftruncate(fd, (off_t)size);
	close(fd);
	return r;
}

static off_t size_of(int dir)
{
	struct stat st;
	CHECK_INT(fstatat(dir, first_name, &st, 0), 0);
	return st.st_size;
}

TEST(records_are_written_over_zeros_and_zeros_are_the_end)
{
	struct shale_journal *j;
	int n, dir = new_dir();

	CHECK_OK(shale_journal_make(dir, &err));
	CHECK_OK(open_count(&j, dir, 0, false, &n));
	append_key(j, 0, 10);
	off_t size = size_of(dir);
	CHECK((uint64_t)size > shale_journal_end(j) + 10000);
	for (int i = 1; i < 100; i++)
		append_key(j, i, 10);
	CHECK_INT(size_of(dir), size);
	/* One that is longer than what is ahead, and what comes after it. */
	append_key(j, 100, 300000);
	uint64_t end = append_key(j, 101, 10);
	shale_journal_close(j);
	for (int power_cut = 0; power_cut < 2; power_cut++) {
		CHECK_OK(open_count(&j, dir, 0, power_cut, &n));
		CHECK_INT(n, 102);
		CHECK_INT(shale_journal_end(j), end);
		CHECK_INT(append_key(j, 102, 0) > end, 1);
		shale_journal_close(j);
		CHECK_INT(truncateat(dir, end), 0);
	}
	close(dir);
}

TEST(after_a_torn_tail_the_journal_goes_on)
{
	uint64_t end[N];
	struct shale_journal *j;
	int n, dir = make_journal(end, 0);

	int fd = openat(dir, first_name, O_RDWR);
	CHECK(ftruncate(fd, (off_t)end[N - 1] - 3) == 0);
	close(fd);
	CHECK_OK(open_count(&j, dir, 0, false, &n));
	CHECK_INT(n, N - 1);
	CHECK_INT(append_key(j, N - 1, 0), end[N - 1] - (N - 1));
	append_key(j, N, 5);
	shale_journal_close(j);
	CHECK_OK(open_count(&j, dir, 0, false, &n));
	CHECK_INT(n, N + 1);
	shale_journal_close(j);
	close(dir);
}

/*
 * What a page could not be written with stays in the page cache, clean.  Linux
 * drops such a page that is part of a larger folio when the file is truncated in
 * it and the folio cannot be split; what is read then is what the disk has.
 */
TEST(what_could_not_be_flushed_is_written_anew_before_its_file_is_cut)
{
	uint64_t end[N];
	struct shale_journal *j;
	struct stat before, after;
	int n, dir = make_journal(end, 0);

	int failed = openat(dir, "journal.failed", O_WRONLY | O_CREAT, 0600);
	int old = openat(dir, first_name, O_RDONLY);
	CHECK(failed >= 0 && old >= 0 && fstat(old, &before) == 0);
	CHECK((uint64_t)before.st_size > end[N - 1]);
	CHECK_OK(open_count(&j, dir, 0, false, &n));
	CHECK_INT(n, N);
	CHECK(fstat(old, &after) == 0);
	CHECK_INT(after.st_nlink, 0);
	CHECK_INT(after.st_size, before.st_size);
	CHECK_INT(size_of(dir), end[N - 1]);
	append_key(j, N, 5);
	shale_journal_close(j);
	CHECK_OK(open_count(&j, dir, 0, false, &n));
	CHECK_INT(n, N + 1);
	shale_journal_close(j);
	close(failed);
	close(old);
	close(dir);
}

TEST(any_bit_flipped_before_the_last_record_is_damage)
{
	uint64_t end[N];
	struct shale_journal *j;
	int n, dir = make_journal(end, 0);

	for (uint64_t at = 0; at < end[N - 2]; at++) {
		flip(dir, at, (int)(at % 8));
		CHECK_INT(open_count(&j, dir, 0, false, &n), -EUCLEAN);
		flip(dir, at, (int)(at % 8)); /* nothing else was touched */
	}
	CHECK_OK(open_count(&j, dir, 0, false, &n));
	CHECK_INT(n, N);
	shale_journal_close(j);
	close(dir);
}

TEST(any_bit_flipped_in_the_last_record_ends_the_journal_before_it)
{
	uint64_t end[N];

	for (uint64_t at = 0;; at++) {
		struct shale_journal *j;
		int n, dir = make_journal(end, 0);
		if (at >= end[N - 1] - end[N - 2]) {
			close(dir);
			break;
		}
		flip(dir, end[N - 2] + at, (int)(at % 8));
		CHECK_OK(open_count(&j, dir, 0, at % 2, &n));
		CHECK_INT(n, N - 1);
		CHECK_INT(shale_journal_end(j), end[N - 2]);
		shale_journal_close(j);
		close(dir);
	}
}

TEST(after_a_power_cut_a_hole_is_the_end_unless_it_had_been_on_disk)
{
	uint64_t end[N];
	struct shale_journal *j;

	/* Record 3 is lost; it was never flushed. */
	int n, dir = make_journal(end, 3);
	flip(dir, end[2] + 20, 0);
	CHECK_INT(open_count(&j, dir, 0, false, &n), -EUCLEAN);
	CHECK_OK(open_count(&j, dir, 0, true, &n));
	CHECK_INT(n, 3);
	shale_journal_close(j);
	close(dir);

	/* Record 2 was: records behind it say so. */
	dir = make_journal(end, 3);
	flip(dir, end[1] + 20, 0);
	CHECK_INT(open_count(&j, dir, 0, true, &n), -EUCLEAN);
	close(dir);
}

TEST(records_from_elsewhere_are_not_believed)
{
	/* A whole valid record at the wrong position: a copied block. */
	uint64_t end[N];
	struct shale_journal *j;
	uint8_t copy[200];
	int n, dir = make_journal(end, 0);

	int fd = openat(dir, first_name, O_RDWR);
	CHECK(pread(fd, copy, end[0], 0) == (ssize_t)end[0]);
	CHECK(pwrite(fd, copy, end[0], (off_t)end[N - 1]) == (ssize_t)end[0]);
	close(fd);
	CHECK_OK(open_count(&j, dir, 0, false, &n));
	CHECK_INT(n, N);
	CHECK_INT(shale_journal_end(j), end[N - 1]);
	shale_journal_close(j);
	close(dir);
}

TEST(reading_starts_where_it_is_told_and_nowhere_else)
{
	uint64_t end[N];
	struct shale_journal *j;
	int n, dir = make_journal(end, 0);

	CHECK_OK(shale_journal_open(&j, dir, end[N - 1], false, count_record,
				    &n, &err));
	shale_journal_close(j);
	CHECK_INT(open_count(&j, dir, end[N - 1] + 1, false, &n), -EUCLEAN);
	CHECK_INT(open_count(&j, dir, end[2] + 1, false, &n), -EUCLEAN);
	close(dir);
	dir = new_dir();
	CHECK_INT(open_count(&j, dir, 0, false, &n), -EUCLEAN);
	close(dir);
}

TEST(a_journal_of_several_segments_is_one)
{
	int n, dir = new_dir();
	struct shale_journal *j;
	uint64_t end[60], middle;

	CHECK_OK(shale_journal_make(dir, &err));
	CHECK_OK(open_count(&j, dir, 0, false, &n));
	for (int i = 0; i < 60; i++)
		end[i] = append_key(j, i, 1 << 20);
	n = 0;
	CHECK_OK(shale_journal_read(j, 0, end[59], count_record, &n, &err));
	CHECK_INT(n, 60);
	n = 20;
	CHECK_OK(shale_journal_read(j, end[19], end[40], count_record, &n,
				    &err));
	CHECK_INT(n, 41);
	shale_journal_drop(j, end[40]); /* not durable: nothing goes */
	CHECK_INT(faccessat(dir, first_name, F_OK, 0), 0);
	CHECK_OK(shale_journal_sync(j, end[59], &err));
	middle = end[40];
	shale_journal_drop(j, middle);
	CHECK(faccessat(dir, first_name, F_OK, 0) < 0);
	CHECK(shale_journal_bytes(j) < 36u << 20);
	shale_journal_close(j);

	n = 41;
	CHECK_OK(shale_journal_open(&j, dir, middle, false, count_record, &n,
				    &err));
	CHECK_INT(n, 60);
	CHECK_INT(shale_journal_end(j), end[59]);
	shale_journal_close(j);
	close(dir);
}

TEST(an_append_that_fails_leaves_no_trace)
{
	uint64_t end[N];
	struct shale_journal *j;
	int n, dir = make_journal(end, 0);
	struct rlimit old, tight = {0, RLIM_INFINITY};

	CHECK_OK(open_count(&j, dir, 0, false, &n));
	append_key(j, N, 0);
	uint64_t at = shale_journal_end(j);
	/* A write of a record that crosses the limit is short, then fails. */
	signal(SIGXFSZ, SIG_IGN);
	CHECK(getrlimit(RLIMIT_FSIZE, &old) == 0);
	tight.rlim_cur = at + 30;
	tight.rlim_max = old.rlim_max;
	CHECK(setrlimit(RLIMIT_FSIZE, &tight) == 0);
	uint8_t body[8] = {0};
	struct shale_record record = {
		.type = SHALE_JOURNAL_MARK, .body = body, .len = 8};
	int r = shale_journal_append(j, &record, false, &err);
	CHECK(setrlimit(RLIMIT_FSIZE, &old) == 0);
	CHECK_INT(r, -EFBIG);
	CHECK_INT(shale_journal_end(j), at);
	append_key(j, N + 1, 0);
	shale_journal_close(j);
	CHECK_OK(open_count(&j, dir, 0, false, &n));
	CHECK_INT(n, N + 2);
	shale_journal_close(j);
	close(dir);
}

TEST(operations_that_do_not_add_up_are_refused)
{
	cleanup_batch struct shale_batch batch = {0};
	struct shale_op op;

	CHECK_INT(shale_batch_put(&batch, "key", 3, "value", 5), 0);
	for (size_t cut = 1; cut < batch.ops.len; cut++) {
		const uint8_t *data = batch.ops.data;
		size_t len = cut;
		CHECK_INT(shale_ops_next(&data, &len, &op), -EUCLEAN);
	}
	struct {
		size_t at;
		uint8_t value;
	} bad[] = {{0, 0}, {0, 3}, {0, SHALE_OP_DEL}, {1, 1}, {2, 0},
		   {3, 2}, {4, 6}, {7, 255},          {8, 0}};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		uint8_t copy[16];
		const uint8_t *data = copy;
		size_t len = sizeof(copy);
		memcpy(copy, batch.ops.data, sizeof(copy));
		copy[bad[i].at] = bad[i].value;
		CHECK_INT(shale_ops_next(&data, &len, &op), -EUCLEAN);
	}
}

TEST(pieces_of_data_that_do_not_add_up_are_refused)
{
	cleanup_buf struct shale_buf body = {0};
	struct shale_data_piece piece;
	uint64_t ino;

	CHECK_INT(shale_pieces_begin(&body, 7), 0);
	memcpy(shale_pieces_add(&body, 3, 4096, 5), "hello", 5);
	memcpy(shale_pieces_add(&body, 2, INT64_MAX - 1, 1), "x", 1);
	for (size_t cut = 0; cut <= body.len; cut++) {
		const uint8_t *data = body.data;
		size_t len = cut;
		int r = shale_pieces_open(&data, &len, &ino);
		while (r == 0 &&
		       (r = shale_pieces_next(&data, &len, &piece)) > 0)
			r = 0;
		bool whole = cut == 8 || cut == 29 || cut == body.len;
		CHECK_INT(r, whole ? 0 : -EUCLEAN);
	}
	static const struct {
		size_t at;
		uint8_t value;
	} bad[] = {{15, 0x80}, {16, 0}, {16, 6}, {19, 1}, {20, 0}};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		const uint8_t *data = body.data;
		size_t len = 29;
		uint8_t was = body.data[bad[i].at];
		body.data[bad[i].at] = bad[i].value;
		CHECK_INT(shale_pieces_open(&data, &len, &ino), 0);
		CHECK_INT(shale_pieces_next(&data, &len, &piece), -EUCLEAN);
		body.data[bad[i].at] = was;
	}
}
