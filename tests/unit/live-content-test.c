/* SPDX-License-Identifier: Apache-2.0 */
/* Content of one large file against a plain buffer, and what it costs. */
#include "tests/lib/check.h"
#include "tests/unit/live-rig.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MIB = 1 << 20, SPAN = 14 * MIB }; /* four regions of a block map */

struct file {
	struct rig *rig;
	uint64_t ino;
	uint8_t *data;
	uint64_t size;
};

static uint64_t pick(uint64_t n)
{
	return shale_test_random() % n;
}

static uint64_t place(void)
{
	uint64_t off = pick(SPAN);
	/* Near a boundary of a region more often than not. */
	if (pick(2))
		off = (1 + pick(3)) * 4 * MIB - 5000 + pick(10000);
	return pick(2) ? off : off / 4096 * 4096;
}

static void put(struct file *f, uint64_t off, size_t len)
{
	uint8_t *data = malloc(len);

	if (off + len > SPAN)
		len = SPAN - off;
	for (size_t i = 0; i < len; i += 8) {
		uint64_t v = shale_test_random();
		memcpy(data + i, &v, len - i < 8 ? len - i : 8);
	}
	CHECK_INT(shale_live_write(f->rig->live, &rig_caller, f->ino, off, data,
				   len, false),
		  0);
	memcpy(f->data + off, data, len);
	if (off + len > f->size)
		f->size = off + len;
	free(data);
}

static void cut(struct file *f, uint64_t size)
{
	struct shale_set set = {.what = SHALE_SET_SIZE, .size = size};
	struct shale_node node;

	CHECK_INT(shale_live_setattr(f->rig->live, &rig_caller, f->ino, &set,
				     &node),
		  0);
	if (size < f->size)
		memset(f->data + size, 0, SPAN - size);
	f->size = size;
}

static void punch(struct file *f, uint64_t off, uint64_t len)
{
	CHECK_INT(
		shale_live_fallocate(f->rig->live, &rig_caller, f->ino,
				     FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				     off, len, false),
		0);
	if (off + len > SPAN)
		len = SPAN - off;
	memset(f->data + off, 0, len);
}

/* From one part of the file to another. */
static void copy(struct file *f, uint64_t from, uint64_t to, uint64_t len)
{
	uint64_t done;

	if (from + len > f->size || to + len > SPAN ||
	    (from < to + len && to < from + len))
		return;
	CHECK_INT(shale_live_copy(f->rig->live, &rig_caller, f->ino, from,
				  f->ino, to, len, false, &done),
		  0);
	memcpy(f->data + to, f->data + from, done);
	if (to + done > f->size)
		f->size = to + done;
}

static void compare(struct file *f)
{
	uint8_t *data = malloc(SPAN + 1);
	size_t got;

	CHECK_INT(
		shale_live_read(f->rig->live, f->ino, 0, data, SPAN + 1, &got, NULL),
		0);
	CHECK_INT(got, f->size);
	for (size_t i = 0; i < got; i++)
		if (data[i] != f->data[i])
			shale_test_fail(__FILE__, __LINE__, "byte %zu of %zu",
					i, got);
	free(data);
}

TEST(a_large_file_is_its_bytes_whatever_happens_to_it)
{
	struct file f = {.rig = rig_new(), .data = calloc(1, SPAN)};
	struct rig_commit pending = {0};

	f.ino = rig_file(f.rig, "big", "");
	for (int i = 0; i < 400; i++) {
		uint64_t off = place();
		switch (pick(12)) {
		case 0:
			cut(&f, off);
			break;
		case 1:
			punch(&f, off, 1 + pick(6 * MIB));
			break;
		case 2:
			copy(&f, place(), off, 1 + pick(3 * MIB));
			break;
		case 3:
			if (f.rig->images > 30)
				break;
			if (pending.frozen)
				rig_committed(f.rig, &pending);
			pending.frozen ? (pending.frozen = 0)
				       : (pending = rig_freeze(f.rig)).frozen;
			break;
		case 4:
			put(&f, off, 1 + pick(2 * MIB));
			break;
		default:
			put(&f, off, 1 + pick(9000));
		}
		if (i % 20 == 19)
			compare(&f);
		if (i % 100 == 99) {
			pending.frozen = 0;
			rig_remount(f.rig);
		}
	}
	compare(&f);
	free(f.data);
	rig_free(f.rig);
}

TEST(one_byte_of_a_large_file_costs_one_block)
{
	struct file f = {.rig = rig_new(), .data = calloc(1, SPAN)};
	struct shale_live_counts counts;

	f.ino = rig_file(f.rig, "big", "");
	put(&f, 0, SPAN);
	rig_commit(f.rig);
	CHECK_INT(shale_live_counts(f.rig->live, &counts), 0);
	CHECK_INT(counts.data_bytes, 0); /* the commit has them */
	rig_remount(f.rig);
	put(&f, 5 * MIB + 5, 1);
	CHECK_INT(shale_live_counts(f.rig->live, &counts), 0);
	CHECK_INT(counts.data_bytes, 4096);
	CHECK_INT(counts.dirty_inodes, 1);
	put(&f, 5 * MIB + 77, 100);
	CHECK_INT(shale_live_counts(f.rig->live, &counts), 0);
	CHECK_INT(counts.data_bytes, 4096);
	compare(&f);
	CHECK_INT(rig_stat(f.rig, "big").blocks, SPAN / 512);
	free(f.data);
	rig_free(f.rig);
}

TEST(copying_a_file_of_the_image_moves_no_data)
{
	struct file f = {.rig = rig_new(), .data = calloc(1, SPAN)};
	struct shale_live_counts counts;
	uint64_t done;

	f.ino = rig_file(f.rig, "big", "");
	put(&f, 0, 3 * MIB + 5);
	rig_commit(f.rig);
	rig_remount(f.rig);
	uint64_t other = rig_file(f.rig, "copy", "");
	CHECK_INT(shale_live_copy(f.rig->live, &rig_caller, f.ino, 0, other, 0,
				  SPAN, false, &done),
		  0);
	CHECK_INT(done, 3 * MIB + 5);
	CHECK_INT(shale_live_counts(f.rig->live, &counts), 0);
	CHECK_INT(counts.data_bytes, 0);
	put(&f, 100, 100); /* the copy keeps the old bytes */
	memset(f.data, 0, SPAN);
	rig_commit(f.rig);
	rig_remount(f.rig);
	f.ino = other;
	size_t got;
	CHECK_INT(shale_live_read(f.rig->live, other, 0, f.data, SPAN, &got, NULL),
		  0);
	CHECK_INT(got, 3 * MIB + 5);
	put(&f, 3 * MIB, 2);
	f.size = got;
	compare(&f);
	free(f.data);
	rig_free(f.rig);
}

TEST(a_hole_of_terabytes_costs_nothing)
{
	struct rig *rig = rig_new();
	struct shale_live_counts counts;
	uint64_t ino = rig_file(rig, "sparse", "start"), out;
	uint64_t far = UINT64_C(8) << 40;
	char text[10] = "";
	size_t got;

	CHECK_INT(shale_live_write(rig->live, &rig_caller, ino, far, "end", 3,
				   false),
		  0);
	CHECK_INT(shale_live_counts(rig->live, &counts), 0);
	CHECK_INT(counts.data_bytes, 2 * 4096);
	CHECK_INT(rig_stat(rig, "sparse").size, (int64_t)far + 3);
	CHECK_INT(rig_stat(rig, "sparse").blocks, 16);
	CHECK_INT(shale_live_seek(rig->live, ino, 4096, SEEK_DATA, &out), 0);
	CHECK_INT(out, (int64_t)far);
	CHECK_INT(shale_live_seek(rig->live, ino, 0, SEEK_HOLE, &out), 0);
	CHECK_INT(out, 4096);
	CHECK_INT(shale_live_read(rig->live, ino, far, text, 10, &got, NULL), 0);
	CHECK_STR(text, "end");
	CHECK_INT(
		shale_live_fallocate(rig->live, &rig_caller, ino,
				     FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				     1, far + 100, false),
		0);
	CHECK_INT(shale_live_counts(rig->live, &counts), 0);
	CHECK_INT(counts.data_bytes, 4096);
	rig_truncate(rig, "sparse", 0);
	CHECK_INT(shale_live_counts(rig->live, &counts), 0);
	CHECK_INT(counts.data_bytes, 0);
	CHECK_INT(shale_live_write(rig->live, &rig_caller, ino, INT64_MAX,
				   "over", 4, false),
		  -EFBIG);
	rig_free(rig);
}

TEST(zeroing_part_of_a_hole_of_the_image_leaves_it_a_hole)
{
	struct rig *rig = rig_new();
	struct shale_live_counts counts;
	uint64_t ino = rig_file(rig, "holes", "start"), out;

	CHECK_INT(shale_live_write(rig->live, &rig_caller, ino, MIB, "end", 3,
				   false),
		  0);
	rig_commit(rig);
	rig_remount(rig);
	CHECK_INT(
		shale_live_fallocate(rig->live, &rig_caller, ino,
				     FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				     5000, MIB / 2, false),
		0);
	CHECK_INT(shale_live_counts(rig->live, &counts), 0);
	CHECK_INT(counts.data_bytes, 0);
	CHECK_INT(shale_live_seek(rig->live, ino, 4096, SEEK_DATA, &out), 0);
	CHECK_INT(out, MIB);
	rig_free(rig);
}

TEST(what_was_cut_off_never_comes_back)
{
	struct rig *rig = rig_new();

	rig_file(rig, "f", "secret secret");
	rig_commit(rig);
	rig_truncate(rig, "f", 3); /* a limit over a range */
	rig_truncate(rig, "f", 12);
	CHECK_STR(rig_text(rig, "f"), "sec");
	rig_write(rig, "f", 0, "secret secret");
	rig_truncate(rig, "f", 4); /* a limit inside the active file */
	rig_truncate(rig, "f", 12);
	CHECK_STR(rig_text(rig, "f"), "secr");
	rig_write(rig, "f", 0, "secret secret");
	struct rig_commit c = rig_freeze(rig);
	rig_truncate(rig, "f", 5); /* a limit over a sealed file */
	rig_truncate(rig, "f", 12);
	CHECK_STR(rig_text(rig, "f"), "secre");
	rig_committed(rig, &c);
	CHECK_STR(rig_text(rig, "f"), "secre");
	rig_remount(rig);
	CHECK_STR(rig_text(rig, "f"), "secre");
	CHECK_INT(rig_stat(rig, "f").size, 12);
	rig_free(rig);
}

static int count_file(void *arg, uint64_t ino, uint32_t epoch)
{
	(void)ino;
	(void)epoch;
	++*(int *)arg;
	return 0;
}

TEST(what_was_kept_for_a_commit_that_failed_goes_with_the_next)
{
	struct rig *rig = rig_new();
	struct shale_err err = {0};
	int files = 0;

	rig_file(rig, "f", "text");
	rig_freeze(rig); /* nobody says that it succeeded */
	CHECK_INT(rig_unlink(rig, "f"), 0);
	CHECK_OK(shale_db_advance(rig->ws->db, &err));
	CHECK_OK(shale_files_each(rig->ws->files, count_file, &files, &err));
	CHECK_INT(files, 1);
	rig_freeze(rig);
	files = 0;
	CHECK_OK(shale_files_each(rig->ws->files, count_file, &files, &err));
	CHECK_INT(files, 0);
	rig_free(rig);
}
