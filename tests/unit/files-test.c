/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/workspace/dirty.h"
#include "fs/workspace/files.h"
#include "fs/workspace/pieces.h"
#include "fs/workspace/trash.h"
#include "tests/lib/check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct shale_err err;

static int new_dir(void)
{
	static int n;
	char path[400];
	snprintf(path, sizeof(path), "%s/files-%d", shale_test_dir(), n++);
	CHECK(mkdir(path, 0700) == 0);
	return open(path, O_RDONLY | O_DIRECTORY);
}

static void write_text(struct shale_files *f, uint64_t ino, uint32_t epoch,
		       const char *text, uint64_t off)
{
	CHECK_OK(shale_files_write(f, ino, epoch, text, strlen(text), off,
				   &err));
}

static int count_one(void *arg, uint64_t ino, uint32_t epoch)
{
	(void)ino;
	(void)epoch;
	++*(int *)arg;
	return 0;
}

static int count(struct shale_files *f)
{
	int n = 0;
	CHECK_OK(shale_files_each(f, count_one, &n, &err));
	return n;
}

TEST(what_is_written_is_read_and_zeros_follow)
{
	struct shale_files *f;
	char got[12];
	int dir = new_dir();

	CHECK_OK(shale_files_open(&f, dir, &err));
	write_text(f, 0x1234, 1, "hello", 3);
	write_text(f, 0x1234, 2, "other", 0);
	CHECK_OK(shale_files_read(f, 0x1234, 1, got, 12, 0, &err));
	CHECK_MEM(got, "\0\0\0hello\0\0\0\0", 12);
	CHECK_OK(shale_files_read(f, 0x1234, 1, got, 4, 1 << 30, &err));
	CHECK_MEM(got, "\0\0\0\0", 4);
	CHECK_INT(faccessat(dir, "data/34/1234.1", F_OK, 0), 0);
	CHECK(shale_files_bytes(f) >= 2 * 512);
	CHECK_OK(shale_files_sync(f, 0x1234, 1, &err));
	CHECK_OK(shale_files_flush(f, 0, &err));
	shale_files_close(f);
	close(dir);
}

TEST(data_that_was_never_made_is_damage_not_zeros)
{
	struct shale_files *f;
	char got[4];
	int fd, dir = new_dir();

	CHECK_OK(shale_files_open(&f, dir, &err));
	CHECK_INT(shale_files_read(f, 5, 1, got, 4, 0, &err), -EUCLEAN);
	CHECK_STR(err.msg, "the data of inode 5 is missing");
	CHECK_INT(shale_files_get(f, 5, 1, &fd, &err), -ENOENT);
	write_text(f, 5, 1, "", 0);
	CHECK_OK(shale_files_read(f, 5, 1, got, 4, 0, &err));
	CHECK_OK(shale_files_get(f, 5, 1, &fd, &err));
	close(fd);
	shale_files_close(f);
	close(dir);
}

TEST(a_file_is_removed_when_its_position_is_applied_and_not_before)
{
	struct shale_files *f;
	int dir = new_dir();

	CHECK_OK(shale_files_open(&f, dir, &err));
	write_text(f, 5, 1, "a", 0);
	write_text(f, 6, 1, "b", 0);
	write_text(f, 7, 1, "c", 0);
	CHECK_INT(shale_files_remove(f, 5, 1, 100), 0);
	CHECK_INT(shale_files_remove(f, 6, 1, 200), 0);
	CHECK_INT(shale_files_remove(f, 99, 1, 100), 0);
	shale_files_applied(f, 99);
	CHECK_INT(count(f), 3);
	shale_files_applied(f, 100);
	CHECK_INT(count(f), 2);
	shale_files_applied(f, 1000);
	CHECK_INT(count(f), 1);
	CHECK_INT(faccessat(dir, "data/07/7.1", F_OK, 0), 0);
	CHECK_OK(shale_files_flush(f, 0, &err));
	shale_files_close(f);
	close(dir);
}

TEST(a_write_calls_a_removal_off)
{
	struct shale_files *f;
	int dir = new_dir();

	CHECK_OK(shale_files_open(&f, dir, &err));
	write_text(f, 5, 1, "a", 0);
	CHECK_INT(shale_files_remove(f, 5, 1, 100), 0);
	write_text(f, 5, 1, "b", 0);
	shale_files_applied(f, 1000);
	CHECK_INT(count(f), 1);
	shale_files_close(f);
	close(dir);
}

TEST(many_files_need_few_descriptors_and_one_flush)
{
	struct shale_files *f;
	int dir = new_dir(), before = dup(dir);
	char got[8], text[9];

	CHECK_OK(shale_files_open(&f, dir, &err));
	for (int i = 0; i < 2000; i++) {
		snprintf(text, sizeof(text), "%08d", i);
		write_text(f, 1000 + (uint64_t)i, 1, text, 0);
	}
	int after = dup(dir);
	CHECK(after - before < 600);
	CHECK_OK(shale_files_flush(f, 0, &err));
	for (int i = 0; i < 2000; i += 7) {
		snprintf(text, sizeof(text), "%08d", i);
		CHECK_OK(shale_files_read(f, 1000 + (uint64_t)i, 1, got, 8, 0,
					  &err));
		CHECK_MEM(got, text, 8);
	}
	CHECK_INT(count(f), 2000);
	for (int i = 0; i < 2000; i++)
		CHECK_INT(shale_files_remove(f, 1000 + (uint64_t)i, 1, 5), 0);
	shale_files_applied(f, 5);
	CHECK_INT(count(f), 0);
	shale_files_close(f);
	close(dir);
	close(before);
	close(after);
}

TEST(a_failed_flush_never_becomes_clean)
{
	struct shale_files *f;
	int dir = new_dir();

	/* No way to make fdatasync fail here; a data file that is a fifo's
	 * descriptor does: EINVAL. */
	CHECK_OK(shale_files_open(&f, dir, &err));
	CHECK(mkdirat(dir, "data/05", 0700) == 0);
	CHECK(mkfifoat(dir, "data/05/5.1", 0600) == 0);
	CHECK_INT(shale_files_write(f, 5, 1, "x", 1, 0, &err), -ESPIPE);
	CHECK_INT(shale_files_sync(f, 5, 1, &err), -EINVAL);
	CHECK_INT(shale_files_sync(f, 5, 1, &err), -EINVAL);
	CHECK_INT(shale_files_flush(f, 0, &err), -EINVAL);
	CHECK_INT(shale_files_remove(f, 5, 1, 1), 0);
	shale_files_applied(f, 1);
	CHECK_OK(shale_files_flush(f, 0, &err));
	shale_files_close(f);
	close(dir);
}

/* A file whose flush fails, and nothing else. */
static int new_dir_with_failed(void)
{
	struct shale_files *f;
	int dir = new_dir();

	CHECK_OK(shale_files_open(&f, dir, &err));
	CHECK(mkdirat(dir, "data/05", 0700) == 0);
	CHECK(mkfifoat(dir, "data/05/5.1", 0600) == 0);
	CHECK_INT(shale_files_write(f, 5, 1, "x", 1, 0, &err), -ESPIPE);
	CHECK_INT(shale_files_sync(f, 5, 1, &err), -EINVAL);
	shale_files_close(f);
	return dir;
}

TEST(the_next_process_knows_of_a_failed_flush)
{
	int dir = new_dir_with_failed();
	struct shale_files *f;

	uint64_t *inos;
	size_t n;

	CHECK_OK(shale_files_open(&f, dir, &err));
	CHECK_INT(shale_files_sync(f, 5, 1, &err), -EIO);
	CHECK_INT(shale_files_flush(f, 0, &err), -EIO);
	CHECK_OK(shale_files_failed(f, &inos, &n));
	CHECK_INT(n, 1);
	CHECK_INT(inos[0], 5);
	free(inos);
	CHECK_INT(shale_files_remove(f, 5, 1, 1), 0);
	shale_files_applied(f, 1);
	CHECK_OK(shale_files_flush(f, 0, &err));
	CHECK_OK(shale_files_failed(f, &inos, &n));
	CHECK_INT(n, 0);
	free(inos);
	shale_files_close(f);

	CHECK_OK(shale_files_open(&f, dir, &err));
	write_text(f, 5, 1, "another file", 0);
	CHECK_OK(shale_files_sync(f, 5, 1, &err));
	shale_files_close(f);
	close(dir);
}

TEST(what_cannot_be_flushed_is_found_among_all_data_files)
{
	struct shale_files *f;
	int dir = new_dir();

	CHECK_OK(shale_files_open(&f, dir, &err));
	write_text(f, 4, 1, "fine", 0);
	CHECK_OK(shale_files_flush_all(f, &err));
	CHECK(mkdirat(dir, "data/05", 0700) == 0);
	CHECK(mkfifoat(dir, "data/05/5.1", 0600) == 0);
	CHECK_INT(shale_files_flush_all(f, &err), -EINVAL);
	CHECK_OK(shale_files_sync(f, 4, 1, &err));
	CHECK_INT(shale_files_sync(f, 5, 1, &err), -EINVAL);
	shale_files_close(f);
	close(dir);
}

TEST(after_a_power_cut_a_failed_flush_is_over)
{
	int dir = new_dir_with_failed();
	struct shale_files *f;

	CHECK_OK(shale_files_open(&f, dir, &err));
	CHECK_OK(shale_files_power_cut(f, &err));
	CHECK_OK(shale_files_flush(f, 0, &err));
	CHECK_INT(faccessat(dir, "data/failed", F_OK, 0), -1);
	shale_files_close(f);
	close(dir);
}

/* Else a mark would wait for the removal, and the removal for the mark. */
TEST(what_is_to_be_removed_before_a_mark_is_not_flushed_for_it)
{
	int dir = new_dir_with_failed();
	struct shale_files *f;

	CHECK_OK(shale_files_open(&f, dir, &err));
	CHECK_INT(shale_files_remove(f, 5, 1, 10), 0);
	CHECK_INT(shale_files_flush(f, 9, &err), -EIO);
	CHECK_OK(shale_files_flush(f, 10, &err));
	shale_files_close(f);
	close(dir);
}

/* Files in gone/. */
static int count_gone(int dir)
{
	int n = 0;
	int fd = openat(dir, "data/gone", O_RDONLY | O_DIRECTORY);
	DIR *list = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	while (list && (entry = readdir(list)))
		n += entry->d_name[0] != '.';
	if (list)
		closedir(list);
	return n;
}

TEST(the_space_of_what_is_removed_comes_back_behind_it)
{
	enum { BIG = 64 << 20 };
	struct shale_files *f;
	int dir = new_dir();

	CHECK_OK(shale_files_open(&f, dir, &err));
	for (uint64_t ino = 1; ino <= 20; ino++)
		write_text(f, ino, 1, "text", ino == 1 ? BIG : 0);
	for (uint64_t ino = 1; ino <= 20; ino++)
		CHECK_INT(shale_files_remove(f, ino, 1, 1), 0);
	shale_files_applied(f, 1);
	CHECK_INT(count(f), 0);
	/* The name is free at once. */
	write_text(f, 1, 1, "anew", 0);
	CHECK_INT(count(f), 1);
	shale_files_close(f);
	CHECK_INT(count_gone(dir), 0);
	CHECK_INT(faccessat(dir, "data/01/1.1", F_OK, 0), 0);
	close(dir);
}

TEST(what_a_process_that_died_did_not_free_is_freed_by_the_next)
{
	struct shale_files *f;
	int dir = new_dir();

	CHECK_OK(shale_files_open(&f, dir, &err));
	CHECK_INT(mkdirat(dir, "data/gone", 0700), 0);
	for (int i = 0; i < 10; i++) {
		char name[40];
		snprintf(name, sizeof(name), "data/gone/1234.%d", i);
		int fd = openat(dir, name, O_WRONLY | O_CREAT, 0600);
		CHECK(fd >= 0 && ftruncate(fd, 1 << 30) == 0);
		close(fd);
	}
	CHECK_INT(count(f), 0);
	shale_files_tidy(f);
	write_text(f, 1, 1, "in use", 0);
	shale_files_close(f);
	CHECK_INT(count_gone(dir), 0);
	CHECK_INT(faccessat(dir, "data/01/1.1", F_OK, 0), 0);
	close(dir);
}

TEST(who_needs_space_waits_also_for_what_an_earlier_process_left)
{
	struct shale_trash *trash;
	int dir = new_dir();

	CHECK(mkdirat(dir, "gone", 0700) == 0);
	int fd = openat(dir, "gone/1.1", O_WRONLY | O_CREAT, 0600);
	CHECK(fd >= 0 && ftruncate(fd, 64 << 20) == 0);
	close(fd);
	CHECK_OK(shale_trash_new(&trash, dir, &err));
	shale_trash_resume(trash);
	(void)shale_trash_wait(trash); /* unless it was faster */
	CHECK(faccessat(dir, "gone/1.1", F_OK, 0) < 0);
	shale_trash_free(trash);
	close(dir);
}

/* ------------------------------------------------ bytes not on disk yet */

enum { DIRTY_SPACE = 200 };

/* Every byte written after the clean one is in exactly one range. */
static void check_dirty(const struct shale_dirty *d,
			const uint64_t last[DIRTY_SPACE], uint64_t clean)
{
	for (uint64_t b = 0; b < DIRTY_SPACE; b++) {
		int in = 0;
		for (uint32_t i = 0; i < d->n; i++)
			in += d->range[i].off <= b && b < d->range[i].end;
		CHECK(in <= 1);
		if (!d->much && last[b] > clean)
			CHECK_INT(in, 1);
	}
}

TEST(what_is_written_and_not_clean_is_in_the_dirty_ranges_or_they_are_much)
{
	for (int run = 0; run < 300; run++) {
		struct shale_dirty d = {0};
		uint64_t last[DIRTY_SPACE] = {0}, clean = 0;
		for (uint64_t n = 1; n < 30; n++) {
			uint64_t at = shale_test_random() % DIRTY_SPACE;
			uint64_t len = shale_test_random() % 20;
			if (at + len > DIRTY_SPACE)
				len = DIRTY_SPACE - at;
			shale_dirty_add(&d, at, len, n);
			for (uint64_t b = at; b < at + len; b++)
				last[b] = n;
			if (shale_test_random() % 5 == 0) {
				uint64_t to = n - shale_test_random() % 3;
				clean = to > clean ? to : clean;
				shale_dirty_clean(&d, to);
			}
			check_dirty(&d, last, clean);
		}
		shale_dirty_clean(&d, 30);
		CHECK(!d.n && !d.much);
	}
}

TEST(many_bytes_are_much_until_they_are_clean)
{
	struct shale_dirty d = {0};

	shale_dirty_add(&d, 0, SHALE_DIRTY_MAX, 1);
	CHECK(!d.much && shale_dirty_bytes(&d) == SHALE_DIRTY_MAX);
	shale_dirty_add(&d, 1 << 20, 1, 2);
	CHECK(d.much && !d.n);
	shale_dirty_add(&d, 0, 1, 3);
	shale_dirty_clean(&d, 2);
	CHECK(d.much);
	shale_dirty_clean(&d, 3);
	CHECK(!d.much);
	shale_dirty_add(&d, 7, 2, 4);
	CHECK_INT(shale_dirty_bytes(&d), 2);
}

/* The body of a record with what of a file is not on disk, "-" if much. */
static const char *gather(struct shale_files *f, uint64_t ino,
			  uint64_t *written)
{
	static char text[100];
	cleanup_buf struct shale_buf body = {0};
	struct shale_data_piece piece;
	size_t at = 0;

	CHECK_INT(shale_pieces_begin(&body, ino), 0);
	int r = shale_files_gather(f, ino, 1, &body, written, &err);
	if (r == -E2BIG)
		return "-";
	CHECK_INT(r, 0);
	const uint8_t *data = body.data;
	size_t len = body.len;
	text[0] = 0;
	CHECK_INT(shale_pieces_open(&data, &len, &ino), 0);
	while (shale_pieces_next(&data, &len, &piece) > 0)
		at += (size_t)snprintf(text + at, sizeof(text) - at,
				       "%llu=%.*s ",
				       (unsigned long long)piece.off,
				       (int)piece.len, (char *)piece.data);
	return text;
}

TEST(few_bytes_are_kept_in_the_journal_until_a_mark)
{
	struct shale_files *f;
	uint64_t written;
	int dir = new_dir();

	CHECK_OK(shale_files_open(&f, dir, &err));
	write_text(f, 1, 1, "hello", 0);
	write_text(f, 1, 1, "you", 3);
	write_text(f, 1, 1, "far", 9000);
	CHECK_STR(gather(f, 1, &written), "0=helyou 9000=far ");
	CHECK(!shale_files_kept(f, 1, 1));
	write_text(f, 1, 1, "new", 100);
	shale_files_keep(f, 1, 1, written, 50);
	CHECK(shale_files_kept(f, 1, 1));
	CHECK_STR(gather(f, 1, &written), "100=new ");
	shale_files_applied(f, 49);
	CHECK(shale_files_kept(f, 1, 1));
	shale_files_applied(f, 50);
	CHECK(!shale_files_kept(f, 1, 1));
	/* It is not on disk for that. */
	CHECK_STR(gather(f, 1, &written), "100=new ");
	shale_files_close(f);
	close(dir);
}

/* The journal has older bytes, and nobody knows what a cut would leave. */
TEST(what_is_flushed_while_bytes_are_kept_is_to_be_told)
{
	struct shale_files *f;
	uint64_t written;
	int dir = new_dir();

	CHECK_OK(shale_files_open(&f, dir, &err));
	write_text(f, 1, 1, "old", 0);
	CHECK_STR(gather(f, 1, &written), "0=old ");
	shale_files_keep(f, 1, 1, written, 50);
	CHECK(!shale_files_much(f, 1, 1));
	write_text(f, 1, 1, "new", 0);
	CHECK_OK(shale_files_sync(f, 1, 1, &err));
	CHECK(shale_files_much(f, 1, 1));
	CHECK_STR(gather(f, 1, &written), "-");
	shale_files_told(f, 1, 1);
	CHECK_STR(gather(f, 1, &written), "");
	CHECK(shale_files_kept(f, 1, 1)); /* until it is durable */
	/* The same after a kill. */
	CHECK_INT(shale_files_kept_before(f, 2, 1, 60), 0);
	CHECK(shale_files_kept(f, 2, 1) && shale_files_much(f, 2, 1));
	shale_files_applied(f, 60);
	CHECK(!shale_files_kept(f, 2, 1) && !shale_files_much(f, 2, 1));
	shale_files_close(f);
	close(dir);
}

/* Some bytes of file 1 go into a record that ends at `pos`. */
static void keep_at(struct shale_files *f, uint64_t pos)
{
	uint64_t written;

	write_text(f, 1, 1, "x", 0);
	CHECK_STR(gather(f, 1, &written), "0=x ");
	shale_files_keep(f, 1, 1, written, pos);
}

TEST(bytes_that_go_into_the_journal_again_and_again_are_flushed_at_last)
{
	struct shale_files *f;
	uint64_t written, pos = 0;
	int dir = new_dir();

	CHECK_OK(shale_files_open(&f, dir, &err));
	while (!shale_files_much(f, 1, 1)) {
		CHECK(pos < 100);
		keep_at(f, ++pos);
	}
	CHECK(pos > 4);
	CHECK_STR(gather(f, 1, &written), "-");
	CHECK_OK(shale_files_sync(f, 1, 1, &err));
	uint64_t kept = shale_files_kept(f, 1, 1);
	CHECK_INT(kept, pos);
	shale_files_told(f, 1, 1);
	CHECK(!shale_files_much(f, 1, 1));
	shale_files_void(f, 1, 1, kept);
	CHECK(!shale_files_kept(f, 1, 1));
	/* What went there behind the record that tells of it still counts. */
	keep_at(f, 200);
	shale_files_void(f, 1, 1, 199);
	CHECK_INT(shale_files_kept(f, 1, 1), 200);
	shale_files_close(f);
	close(dir);
}

/* Others write it past us: nobody knows where. */
TEST(what_was_written_somewhere_is_much)
{
	struct shale_files *f;
	uint64_t written;
	int dir = new_dir();

	CHECK_OK(shale_files_open(&f, dir, &err));
	write_text(f, 1, 1, "x", 0);
	CHECK_INT(shale_files_dirty(f, 1, 1), 0);
	CHECK_STR(gather(f, 1, &written), "-");
	CHECK_OK(shale_files_sync(f, 1, 1, &err));
	CHECK_STR(gather(f, 1, &written), "");
	CHECK_INT(shale_files_resize(f, 1, 1, 10), 0);
	CHECK_STR(gather(f, 1, &written), "-");
	shale_files_close(f);
	close(dir);
}
