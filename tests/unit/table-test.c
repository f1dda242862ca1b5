/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/base/buf.h"
#include "layers/base/io.h"
#include "layers/blob/table.h"
#include "layers/blob/table_disk.h"
#include "tests/lib/check.h"
#include "tests/lib/table_sums.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const struct shale_table_kind kind = {
	.magic = "TESTKIND",
	.version = 3,
	.sections = 4,
	.record_size = {8, 1, 12, 4},
	.noun = "test table",
};

static struct shale_err err;

/* `n` records of section 0, counting up; some odd bytes in section 1; section
 * 2 is never begun and 3 is begun, but empty. */
static int make_table(uint64_t n)
{
	struct shale_table_writer *w;
	int fd = memfd_create("table", MFD_CLOEXEC);

	CHECK_OK(shale_table_writer_new(&w, fd, &kind, &err));
	CHECK_OK(shale_table_writer_begin(w, 1, &err));
	CHECK_OK(shale_table_writer_add(w, "hello", 5, &err));
	CHECK_INT(shale_table_writer_count(w), 5);
	CHECK_OK(shale_table_writer_begin(w, 3, &err));
	CHECK_OK(shale_table_writer_begin(w, 0, &err));
	for (uint64_t i = 0; i < n; i++) {
		struct le64 v = le64_make(i * i);
		CHECK_OK(shale_table_writer_add(w, &v, 1, &err));
	}
	CHECK_INT(shale_table_writer_count(w), n);
	shale_table_writer_field(w, 5, 0x1234567890abcdef);

	struct shale_digest digest, again;
	uint64_t size, length;
	CHECK_OK(shale_table_writer_finish(w, &digest, &size, &err));
	shale_table_writer_free(w);
	CHECK_OK(shale_sha256_fd(fd, &again, &length, &err));
	CHECK(shale_digest_equal(&digest, &again));
	CHECK_INT(size, length);
	return fd;
}

/* A copy of `data` as a file. */
static int file_of(const uint8_t *data, size_t len)
{
	int fd = memfd_create("copy", MFD_CLOEXEC);
	CHECK_OK(shale_pwrite_full(fd, data, len, 0, "copy", &err));
	return fd;
}

static void load(int fd, struct shale_buf *out)
{
	off_t size = lseek(fd, 0, SEEK_END);
	out->len = 0;
	CHECK(shale_buf_add(out, (size_t)size) != NULL);
	CHECK_OK(shale_pread_full(fd, out->data, (size_t)size, 0, "table",
				  &err));
}

/* Open and verify a file of these bytes. */
static int check_bytes(const uint8_t *data, size_t len)
{
	struct shale_table *t;
	int fd = file_of(data, len);
	int r = shale_table_open(&t, fd, &kind, "bytes", &err);

	close(fd);
	if (r < 0)
		return r;
	r = shale_table_verify(t, &err);
	shale_table_close(t);
	return r;
}

TEST(what_was_written_is_read_back)
{
	const uint64_t n = 40000; /* five blocks */
	struct shale_table *t;
	const void *data;
	int fd = make_table(n);

	CHECK_OK(shale_table_open(&t, fd, &kind, "x", &err));
	close(fd);
	CHECK_STR(shale_table_name(t), "x");
	CHECK_INT(shale_table_count(t, 0), n);
	CHECK_INT(shale_table_count(t, 1), 5);
	CHECK_INT(shale_table_count(t, 2), 0);
	CHECK_INT(shale_table_count(t, 3), 0);
	CHECK_INT(shale_table_count(t, 99), 0);
	CHECK_INT(shale_table_field(t, 5), 0x1234567890abcdef);
	CHECK_INT(shale_table_field(t, 0), 0);
	for (uint64_t i = 0; i < n; i++) {
		CHECK_OK(shale_table_get(t, 0, i, 1, &data, &err));
		CHECK_INT(le64_get(*(const struct le64 *)data), i * i);
	}
	CHECK_OK(shale_table_get(t, 1, 0, 5, &data, &err));
	CHECK_MEM(data, "hello", 5);
	CHECK_OK(shale_table_get(t, 0, 0, n, &data, &err));
	CHECK_OK(shale_table_get(t, 0, n, 0, &data, &err));
	CHECK_OK(shale_table_get(t, 2, 0, 0, &data, &err));
	CHECK_OK(shale_table_verify(t, &err));
	shale_table_close(t);
}

TEST(an_empty_table_opens)
{
	struct shale_table_writer *w;
	struct shale_table *t;
	int fd = memfd_create("table", MFD_CLOEXEC);
	uint64_t size;

	CHECK_OK(shale_table_writer_new(&w, fd, &kind, &err));
	CHECK_OK(shale_table_writer_finish(w, NULL, &size, &err));
	shale_table_writer_free(w);
	CHECK_INT(size, SHALE_TABLE_BODY);
	CHECK_OK(shale_table_open(&t, fd, &kind, "x", &err));
	CHECK_OK(shale_table_verify(t, &err));
	CHECK_INT(shale_table_size(t), size);
	shale_table_close(t);
	close(fd);
}

TEST(records_outside_a_section_are_refused)
{
	static const struct {
		unsigned section;
		uint64_t first, n;
	} outside[] = {
		{0, 100, 1},
		{0, 0, 101},
		{0, 101, 0},
		{0, UINT64_MAX, 1},
		{0, 1, UINT64_MAX},
		{0, UINT64_MAX, UINT64_MAX},
		{2, 0, 1},
		{4, 0, 0},
		{UINT32_MAX, 0, 1},
		{0, UINT64_MAX / 8 + 1, 1},
		{0, 0, UINT64_MAX / 8 + 2},
	};
	struct shale_table *t;
	const void *data;
	int fd = make_table(100);

	CHECK_OK(shale_table_open(&t, fd, &kind, "x", &err));
	for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++)
		CHECK_INT(shale_table_get(t, outside[i].section,
					  outside[i].first, outside[i].n, &data,
					  &err),
			  -EUCLEAN);
	shale_table_close(t);
	close(fd);
}

TEST(every_flipped_bit_is_found)
{
	struct shale_buf buf = {0};
	int fd = make_table(20);

	load(fd, &buf);
	close(fd);
	CHECK_INT(check_bytes(buf.data, buf.len), 0);
	for (size_t i = 0; i < buf.len; i++) {
		uint8_t flip = (uint8_t)(1 << i % 8);
		buf.data[i] ^= flip;
		if (check_bytes(buf.data, buf.len) != -EUCLEAN)
			shale_test_fail(__FILE__, __LINE__, "byte %zu", i);
		buf.data[i] ^= flip;
	}
	shale_buf_release(&buf);
}

TEST(every_truncation_and_extension_is_found)
{
	struct shale_buf buf = {0};
	int fd = make_table(20);

	load(fd, &buf);
	close(fd);
	for (size_t len = 0; len < buf.len; len++)
		if (check_bytes(buf.data, len) != -EUCLEAN)
			shale_test_fail(__FILE__, __LINE__, "length %zu", len);
	CHECK(shale_buf_add(&buf, 8) != NULL);
	CHECK_INT(check_bytes(buf.data, buf.len), -EUCLEAN);
	shale_buf_release(&buf);
}

TEST(only_the_damaged_block_is_refused)
{
	struct shale_table *t;
	struct shale_buf buf = {0};
	const void *data;
	int fd = make_table(40000);

	load(fd, &buf);
	close(fd);
	buf.data[SHALE_TABLE_BODY + 2 * SHALE_TABLE_BLOCK + 17] ^= 1;
	fd = file_of(buf.data, buf.len);
	CHECK_OK(shale_table_open(&t, fd, &kind, "x", &err));
	CHECK_OK(shale_table_get(t, 0, 0, 8000, &data, &err));
	CHECK_INT(shale_table_get(t, 0, 17000, 1, &data, &err), -EUCLEAN);
	CHECK_STR(err.msg,
		  "test table x is damaged: the checksum of block 2 (bytes "
		  "135168 to 200704) does not hold");
	CHECK_INT(shale_table_get(t, 0, 0, 30000, &data, &err), -EUCLEAN);
	CHECK_OK(shale_table_get(t, 0, 30000, 1, &data, &err));
	CHECK_INT(shale_table_verify(t, &err), -EUCLEAN);
	shale_table_close(t);
	close(fd);
	shale_buf_release(&buf);
}

TEST(a_file_cut_short_while_open_cannot_be_read)
{
	struct shale_table *t;
	const void *data;
	int fd = make_table(40000);

	CHECK_OK(shale_table_open(&t, fd, &kind, "x", &err));
	CHECK(ftruncate(fd, 8192) == 0);
	CHECK_INT(shale_table_get(t, 0, 30000, 1, &data, &err), -EUCLEAN);
	CHECK_STR(err.msg, "test table x cannot be read");
	CHECK_INT(shale_table_intact(t, &err), -EUCLEAN);
	shale_table_close(t);
	close(fd);
}

/* Pages of a file that are in memory. */
static size_t resident(int fd, size_t size)
{
	static unsigned char in[4096];
	size_t n = 0, pages = (size + 4095) / 4096;
	void *map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);

	CHECK(map != MAP_FAILED && pages <= sizeof(in));
	CHECK_INT(mincore(map, size, in), 0);
	for (size_t i = 0; i < pages; i++)
		n += in[i] & 1;
	munmap(map, size);
	return n;
}

TEST(of_a_file_on_disk_just_the_block_of_a_record_is_read)
{
	cleanup_buf struct shale_buf bytes = {0};
	struct shale_table *t;
	const void *out;
	char path[400];
	int made = make_table(1 << 20);

	load(made, &bytes);
	snprintf(path, sizeof(path), "%s/on-disk", shale_test_dir());
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	CHECK_OK(shale_pwrite_full(fd, bytes.data, bytes.len, 0, "copy", &err));
	CHECK_INT(fsync(fd), 0);
	CHECK_INT(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
	/* Some file systems live in memory. */
	bool dropped = resident(fd, bytes.len) == 0;
	CHECK_OK(shale_table_open(&t, fd, &kind, "table", &err));
	CHECK_OK(shale_table_get(t, 0, 1 << 19, 1, &out, &err));
	if (dropped)
		CHECK(resident(fd, bytes.len) < 64);
	shale_table_close(t);
	close(made);
	close(fd);
}

TEST(another_kind_and_a_newer_version_are_told_apart)
{
	struct shale_buf buf = {0};
	int fd = make_table(20);

	load(fd, &buf);
	close(fd);
	struct shale_disk_table *head = (struct shale_disk_table *)buf.data;
	head->version = le16_make(4);
	table_fix_sums(buf.data, buf.len);
	CHECK_INT(check_bytes(buf.data, buf.len), -EPROTONOSUPPORT);
	head->version = le16_make(2);
	table_fix_sums(buf.data, buf.len);
	CHECK_INT(check_bytes(buf.data, buf.len), -EUCLEAN);
	head->version = le16_make(3);
	table_fix_sums(buf.data, buf.len);
	CHECK_INT(check_bytes(buf.data, buf.len), 0);
	head->magic[0] = 'X';
	table_fix_sums(buf.data, buf.len);
	CHECK_INT(check_bytes(buf.data, buf.len), -EUCLEAN);
	CHECK_STR(err.msg, "bytes is not a test table");
	shale_buf_release(&buf);
}

/* One header with true checksums that must be refused all the same. */
static void refuses(void (*damage)(struct shale_disk_table *head))
{
	struct shale_buf buf = {0};
	int fd = make_table(20);

	load(fd, &buf);
	close(fd);
	damage((struct shale_disk_table *)buf.data);
	table_fix_sums(buf.data, buf.len);
	CHECK_INT(check_bytes(buf.data, buf.len), -EUCLEAN);
	shale_buf_release(&buf);
}

static void overlap(struct shale_disk_table *head)
{
	head->section[1].off = head->section[0].off;
}

static void gap(struct shale_disk_table *head)
{
	head->section[0].count = le64_make(18);
}

static void huge_count(struct shale_disk_table *head)
{
	head->section[0].count = le64_make(UINT64_MAX / 8 + 2);
}

static void outside(struct shale_disk_table *head)
{
	head->section[0].off = le64_make(UINT64_MAX - 7);
}

static void in_header(struct shale_disk_table *head)
{
	head->section[1].off = le64_make(8);
}

static void record_size(struct shale_disk_table *head)
{
	head->section[0].record_size = le32_make(0);
}

static void sums_in_header(struct shale_disk_table *head)
{
	head->sums_off = le64_make(0);
}

static void sums_overflow(struct shale_disk_table *head)
{
	head->sums_off = le64_make(UINT64_MAX - 7);
}

static void blocks(struct shale_disk_table *head)
{
	head->blocks = le64_make(UINT64_MAX / 8 + 2);
}

static void unused_slot(struct shale_disk_table *head)
{
	head->section[4].count = le64_make(1);
}

static void more_sections(struct shale_disk_table *head)
{
	head->sections = le16_make(17);
}

TEST(a_header_that_contradicts_itself_is_refused)
{
	refuses(overlap);
	refuses(gap);
	refuses(huge_count);
	refuses(outside);
	refuses(in_header);
	refuses(record_size);
	refuses(sums_in_header);
	refuses(sums_overflow);
	refuses(blocks);
	refuses(unused_slot);
	refuses(more_sections);
}

/* ---------------------------------------------------------------- spares */

struct other {
	uint64_t n; /* records of the copy that it makes */
	int opened, released;
};

static int open_other(void *arg, int *fd, struct shale_err *e)
{
	struct other *other = arg;
	(void)e;
	other->opened++;
	*fd = make_table(other->n);
	return 0;
}

static void release_other(void *arg)
{
	struct other *other = arg;
	other->released++;
}

/* A table of 40,000 records with a damaged block, and a spare with `n`. */
static struct shale_table *open_damaged(struct other *other)
{
	struct shale_table_spare spare = {open_other, release_other, other};
	cleanup_buf struct shale_buf bytes = {0};
	struct shale_table *t;
	int fd = make_table(40000);

	load(fd, &bytes);
	close(fd);
	bytes.data[SHALE_TABLE_BODY + 100000] ^= 4;
	fd = file_of(bytes.data, bytes.len);
	CHECK_OK(shale_table_open(&t, fd, &kind, "damaged", &err));
	close(fd);
	CHECK_OK(shale_table_set_spare(t, &spare, &err));
	return t;
}

TEST(a_damaged_block_is_read_from_the_spare)
{
	struct other other = {.n = 40000};
	struct shale_table *t = open_damaged(&other);
	const void *data;

	for (uint64_t i = 0; i < 40000; i++) {
		CHECK_OK(shale_table_get(t, 0, i, 1, &data, &err));
		CHECK_INT(le64_get(*(const struct le64 *)data), i * i);
	}
	CHECK_INT(other.opened, 1);
	shale_table_close(t);
	CHECK_INT(other.released, 1);
}

TEST(a_spare_that_is_another_file_is_not_believed)
{
	struct other other = {.n = 39999};
	struct shale_table *t = open_damaged(&other);
	const void *data;

	CHECK_INT(shale_table_get(t, 0, 0, 40000, &data, &err), -EUCLEAN);
	CHECK_INT(shale_table_get(t, 0, 0, 40000, &data, &err), -EUCLEAN);
	CHECK_INT(other.opened, 1);
	shale_table_close(t);
}
