/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are lent to the kernel. */
#include "fs/live/lend.h"
#include "layers/base/cleanup.h"
#include "tests/lib/check.h"
#include "tests/unit/live-lend.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

TEST(a_new_file_is_what_the_kernel_has_made_of_it)
{
	struct rig *rig = lending();

	rig_file(rig, "new", "");
	struct shale_node made = rig_stat(rig, "new");
	struct file f = open_file(rig, "new", true);
	CHECK(f.id);
	CHECK_INT(lent(rig), 1);
	struct shale_node node = rig_stat(rig, "new");
	CHECK_INT(node.mtime.tv_nsec, made.mtime.tv_nsec);
	CHECK_INT(node.size, 0);

	pause_a_tick();
	CHECK_INT(pwrite(f.fd, "data", 4, 10000), 4);
	node = rig_stat(rig, "new");
	CHECK_INT(node.size, 10004);
	CHECK(node.mtime.tv_nsec != made.mtime.tv_nsec);
	CHECK_INT(node.ctime.tv_nsec, node.mtime.tv_nsec);
	CHECK_STR(rig_text(rig, "new") + 10000, "data");
	CHECK_INT(seek(rig, "new", 0, SEEK_DATA), 8192);
	close_file(&f);
	CHECK_INT(lent(rig), 0);
	CHECK_INT(kernel.fd[f.id], 0);
	CHECK_INT(kernel.changed, node.ino);

	struct shale_node closed = rig_stat(rig, "new");
	CHECK_INT(closed.size, 10004);
	CHECK_INT(closed.blocks, 8);
	CHECK_INT(closed.mtime.tv_nsec, node.mtime.tv_nsec);
	CHECK_INT(closed.ctime.tv_nsec, node.ctime.tv_nsec);
	CHECK_INT(data_bytes(rig), 4096);
	CHECK_INT(seek(rig, "new", 0, SEEK_DATA), 8192);
	rig_commit(rig);
	CHECK_INT(data_bytes(rig), 0);
	rig_remount(rig);
	CHECK_STR(rig_text(rig, "new") + 10000, "data");
	rig_free(rig);
}

TEST(a_file_that_is_lent_again_and_again_counts_what_is_there)
{
	struct rig *rig = lending();
	const struct {
		off_t off, size; /* write a byte there; be that long */
		uint64_t blocks;
	} steps[] = {
		{0, 1, 1},           {4096, 4097, 2},       {8191, 8192, 2},
		{-1, 5000, 2},       {-1, 4096, 1},         {-1, 40960, 1},
		{36864, 40960, 2},   {8192, 40960, 3},      {-1, 0, 0},
		{1 << 25, 1 << 26, 1}, {-1, 1 << 25, 0},    {100, 101, 1},
	};

	rig_file(rig, "f", "");
	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		struct file f = open_file(rig, "f", true);
		CHECK(f.id);
		if (steps[i].off >= 0)
			CHECK_INT(pwrite(f.fd, "x", 1, steps[i].off), 1);
		CHECK(ftruncate(f.fd, steps[i].size) == 0);
		close_file(&f);
		struct shale_node node = rig_stat(rig, "f");
		CHECK_INT(node.size, (uint64_t)steps[i].size);
		CHECK_INT(data_bytes(rig), steps[i].blocks * 4096);
		/* What is short is not read from what was longer. */
		if (steps[i].size <= 4096)
			rig_write(rig, "f", 4090, "yz");
		if (steps[i].size <= 4096)
			rig_truncate(rig, "f", (uint64_t)steps[i].size);
		struct shale_err err;
		CHECK_OK(shale_db_advance(rig->ws->db, &err));
	}
	rig_free(rig);
}

TEST(what_is_open_by_way_of_us_is_not_lent_nor_the_other_way_round)
{
	struct rig *rig = lending();

	rig_file(rig, "f", "text");
	struct file reader = open_file(rig, "f", false);
	CHECK_INT(reader.id, 0); /* nobody writes */
	struct file writer = open_file(rig, "f", true);
	CHECK_INT(writer.id, 0);
	close_file(&reader);
	struct file third = open_file(rig, "f", true);
	CHECK_INT(third.id, 0);
	close_file(&writer);
	close_file(&third);

	writer = open_file(rig, "f", true);
	CHECK(writer.id);
	reader = open_file(rig, "f", false);
	CHECK_INT(reader.id, writer.id);
	close_file(&writer);
	CHECK_INT(lent(rig), 1); /* as long as the reader has it */
	writer = open_file(rig, "f", true);
	CHECK_INT(writer.id, reader.id);
	close_file(&reader);
	close_file(&writer);
	CHECK_INT(lent(rig), 0);
	reader = open_file(rig, "f", false);
	CHECK_INT(reader.id, 0);
	close_file(&reader);
	rig_free(rig);
}

TEST(what_is_mapped_stays_lent_and_nothing_is_committed_meanwhile)
{
	struct rig *rig = lending();
	uint32_t frozen;
	uint64_t pos;
	struct shale_err err;

	rig_file(rig, "f", "");
	struct file f = open_file(rig, "f", true);
	int mapping = kernel_file(f.id, O_RDWR);
	close_file(&f);
	CHECK_INT(lent(rig), 1);
	CHECK_INT(kernel.fd[f.id], 0); /* who opens it needs another number */
	CHECK_INT(shale_live_freeze(rig->live, &frozen, &pos, &err), -EBUSY);
	CHECK(strstr(err.msg, "1 files are open for writing, or mapped"));
	struct shale_live_discarded done;
	CHECK_INT(shale_live_discard(rig->live, NULL, 0, NULL, &done, &err),
		  -EBUSY);

	struct file reader = open_file(rig, "f", false);
	CHECK(reader.id && reader.id != f.id);
	CHECK_INT(pwrite(mapping, "late", 4, 4096), 4);
	CHECK_STR(rig_text(rig, "f") + 4096, "late");
	close_file(&reader);
	CHECK_INT(lent(rig), 1);
	close(mapping);
	rig_commit(rig);
	CHECK_INT(lent(rig), 0);
	rig_remount(rig);
	CHECK_STR(rig_text(rig, "f") + 4096, "late");
	rig_free(rig);
}

TEST(a_mapping_for_reading_is_of_the_file_too)
{
	struct rig *rig = lending();

	rig_file(rig, "f", "");
	struct file f = open_file(rig, "f", true);
	int mapping = kernel_file(f.id, O_RDONLY);
	close_file(&f);
	CHECK_INT(lent(rig), 1);
	CHECK_INT(kernel.changed, 0);
	close(mapping);
	struct file reader = open_file(rig, "f", false);
	CHECK_INT(reader.id, 0);
	CHECK_INT(kernel.changed, rig_ino(rig, "f"));
	close_file(&reader);
	rig_free(rig);
}

TEST(what_lies_below_or_in_another_epoch_is_not_lent)
{
	const struct shale_rec_attr file = {.epoch = 5, .mode = S_IFREG | 0644},
				    old = {.epoch = 4, .mode = S_IFREG | 0644},
				    dir = {.epoch = 5, .mode = S_IFDIR | 0755};
	const struct {
		const struct shale_rec_attr *attr;
		uint32_t files, epoch[2], ranges;
		bool fits;
	} cases[] = {
		{&file, 0, {0}, 0, true},     {&file, 1, {5}, 0, true},
		{&file, 1, {4}, 0, false},    {&file, 2, {5, 4}, 0, false},
		{&file, 0, {0}, 1, false},    {&file, 1, {5}, 1, false},
		{&old, 0, {0}, 0, false},     {&dir, 0, {0}, 0, false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct shale_rec_content c = {
			.n_files = cases[i].files,
			.n_ranges = cases[i].ranges,
		};
		for (uint32_t n = 0; n < c.n_files; n++)
			c.file[n].epoch = cases[i].epoch[n];
		CHECK_INT(shale_lend_fits(cases[i].attr, &c, 5), cases[i].fits);
	}
}

TEST(the_time_of_a_lent_file_is_the_kernels_if_it_has_set_one)
{
	const struct timespec at = {100, 7}, cut = {100, 0}, later = {101, 3},
			      earlier = {99, 3};
	const struct {
		struct timespec host, mtime, ctime;
	} cases[] = {
		{at, at, at},       /* as it was given */
		{cut, at, at},      /* by a host that keeps seconds */
		{later, later, later},
		{earlier, earlier, at}, /* ctime never goes back */
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct stat st = {.st_mtim = cases[i].host};
		struct timespec mtime = at, ctime = at;
		shale_lend_times(&st, &mtime, &ctime);
		CHECK_INT(mtime.tv_sec, cases[i].mtime.tv_sec);
		CHECK_INT(mtime.tv_nsec, cases[i].mtime.tv_nsec);
		CHECK_INT(ctime.tv_sec, cases[i].ctime.tv_sec);
		CHECK_INT(ctime.tv_nsec, cases[i].ctime.tv_nsec);
	}
}

/* A power cut would put the journal's bytes over what the kernel wrote. */
TEST(what_the_journal_has_bytes_of_is_not_lent_before_they_are_void)
{
	struct rig *rig = lending();
	struct shale_err err;

	uint64_t ino = rig_file(rig, "f", "text");
	CHECK_OK(shale_live_fsync(rig->live, ino, false, &err));
	struct file f = open_file(rig, "f", true);
	CHECK_INT(f.id, 0);
	close_file(&f);
	rig_file(rig, "other", "");
	CHECK_OK(shale_db_advance(rig->ws->db, &err));
	f = open_file(rig, "f", true);
	CHECK(f.id);
	CHECK_INT(pwrite(f.fd, "TEXT", 4, 0), 4);
	CHECK_OK(shale_live_fsync(rig->live, ino, false, &err));
	close_file(&f);
	CHECK_STR(rig_text(rig, "f"), "TEXT");
	rig_free(rig);
}

TEST(a_time_that_is_set_stays_until_something_is_written)
{
	struct rig *rig = lending();
	const struct shale_set set = {.what = SHALE_SET_MTIME,
				      .mtime = {1000000000, 123456789}};
	struct shale_node node;

	rig_file(rig, "f", "text");
	struct file f = open_file(rig, "f", true);
	CHECK_INT(pwrite(f.fd, "more", 4, 4), 4);
	CHECK_INT(shale_live_setattr(rig->live, &rig_caller, rig_ino(rig, "f"),
				     &set, &node),
		  0);
	CHECK_INT(node.mtime.tv_sec, 1000000000);
	CHECK_INT(node.size, 8);
	close_file(&f);
	node = rig_stat(rig, "f");
	CHECK_INT(node.mtime.tv_sec, 1000000000);
	CHECK_INT(node.mtime.tv_nsec, 123456789);
	f = open_file(rig, "f", true);
	CHECK_INT(rig_stat(rig, "f").mtime.tv_nsec, 123456789);
	CHECK_INT(pwrite(f.fd, "x", 1, 0), 1);
	close_file(&f);
	CHECK(rig_stat(rig, "f").mtime.tv_sec > 1000000000);
	rig_free(rig);
}

TEST(a_lent_file_is_cut_and_punched_at_once)
{
	struct rig *rig = lending();

	rig_file(rig, "f", "");
	struct file f = open_file(rig, "f", true);
	for (off_t off = 0; off < 5 * 4096; off += 4096)
		CHECK_INT(pwrite(f.fd, "abcd", 4, off), 4);
	CHECK_INT(shale_live_fallocate(
			  rig->live, &rig_caller, rig_ino(rig, "f"),
			  FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096,
			  8192, false),
		  0);
	rig_truncate(rig, "f", 4 * 4096 + 2);
	CHECK_INT(rig_stat(rig, "f").size, 4 * 4096 + 2);
	CHECK_INT(seek(rig, "f", 4096, SEEK_DATA), 3 * 4096);
	char got[5] = "";
	CHECK_INT(pread(f.fd, got, 4, 4 * 4096), 2);
	CHECK_STR(got, "ab");
	uint64_t done;
	rig_file(rig, "g", "text");
	CHECK_INT(shale_live_copy(rig->live, &rig_caller, rig_ino(rig, "g"), 0,
				  rig_ino(rig, "f"), 0, 4, false, &done),
		  -EXDEV);
	close_file(&f);
	CHECK_INT(data_bytes(rig), 4 * 4096); /* three, and g */
	rig_free(rig);
}

TEST(a_nameless_file_goes_with_its_last_handle)
{
	struct rig *rig = lending();

	rig_file(rig, "f", "text");
	struct file f = open_file(rig, "f", true);
	uint64_t ino = rig_ino(rig, "f");
	CHECK_INT(rig_unlink(rig, "f"), 0);
	CHECK_INT(pwrite(f.fd, "more", 4, 0), 4);
	struct shale_node node;
	CHECK_INT(shale_live_getattr(rig->live, ino, &node), 0);
	CHECK_INT(node.size, 4);
	close_file(&f);
	CHECK_INT(shale_live_getattr(rig->live, ino, &node), -ESTALE);
	CHECK_INT(lent(rig), 0);
	CHECK_INT(kernel.fd[f.id], 0);
	rig_commit(rig);
	rig_free(rig);
}

TEST(a_kernel_that_takes_no_file_is_done_without)
{
	struct rig *rig = lending();
	struct shale_err err;

	rig_file(rig, "f", "text");
	kernel.refuses = ENOMEM;
	struct file f = open_file(rig, "f", true);
	CHECK_INT(f.id, 0);
	rig_write(rig, "f", 4, "more");
	close_file(&f);
	CHECK_STR(rig_text(rig, "f"), "textmore");
	rig_commit(rig);

	kernel.refuses = EPERM;
	CHECK_INT(shale_live_lend(rig->live, &lender, &err), -EPERM);
	CHECK(strstr(err.msg, "CAP_SYS_ADMIN"));
	kernel.refuses = ELOOP;
	CHECK_INT(shale_live_lend(rig->live, &lender, &err), -ELOOP);
	CHECK(strstr(err.msg, "stacked file system"));
	rig_free(rig);
}
