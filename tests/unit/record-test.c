/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/live/record.h"
#include "tests/lib/check.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

static struct shale_rec_attr good_attr(void)
{
	return (struct shale_rec_attr){
		.epoch = 7,
		.born = 3,
		.mode = S_IFDIR | 01755,
		.uid = 1000,
		.gid = UINT32_MAX - 1,
		.nlink = 5,
		.rdev_major = 8,
		.rdev_minor = 1 << 20,
		.mtime = {-5, 999999999},
		.ctime = {1, 2},
		.atime = {INT64_C(1) << 40, 0},
		.parent = 1,
		.next_cookie = 12,
	};
}

static int attr_again(const struct shale_rec_attr *in,
		      struct shale_rec_attr *out, struct shale_err *err)
{
	struct shale_buf v = {0};

	CHECK_INT(shale_rec_attr_encode(in, &v), 0);
	int r = shale_rec_attr_decode(&v, out, err);
	shale_buf_release(&v);
	return r;
}

TEST(attributes_survive_encoding)
{
	struct shale_err err;
	struct shale_rec_attr in = good_attr(), out;

	CHECK_OK(attr_again(&in, &out, &err));
	CHECK_INT(out.mtime.tv_sec, -5);
	CHECK_INT(out.mtime.tv_nsec, 999999999);
	CHECK_INT(out.atime.tv_sec, INT64_C(1) << 40);
	CHECK_INT(out.gid, UINT32_MAX - 1);
	CHECK_INT(out.parent, 1);
	CHECK_INT(out.next_cookie, 12);
	CHECK_INT(out.born, 3);
}

TEST(attributes_that_make_no_sense_are_damage)
{
	struct shale_err err;
	struct shale_rec_attr in, out;

	in = good_attr(), in.epoch = 2;
	CHECK_INT(attr_again(&in, &out, &err), -EUCLEAN);
	in = good_attr(), in.mode = S_IFMT;
	CHECK_INT(attr_again(&in, &out, &err), -EUCLEAN);
	in = good_attr(), in.mode = S_IFREG;
	CHECK_INT(attr_again(&in, &out, &err), -EUCLEAN);
	CHECK_STR(err.msg, "workspace record is damaged: parent of an inode");
	in = good_attr(), in.ctime.tv_nsec = 1000000000;
	CHECK_INT(attr_again(&in, &out, &err), -EUCLEAN);
	in = good_attr(), in.mode = 0, in.parent = 0;
	CHECK_INT(attr_again(&in, &out, &err), 0);
}

static struct shale_rec_range ranges[3] = {
	{.off = 0, .len = 10, .ino = 5, .src = 0},
	{.off = 10, .len = 90, .ino = 6, .src = 4096, .image = 2, .epoch = 4},
	{.off = 4096, .len = 904, .ino = 5, .src = 4096},
};

static struct shale_rec_content good_content(void)
{
	return (struct shale_rec_content){
		.epoch = 4,
		.size = 5000,
		.present = 1,
		.n_files = 2,
		.file = {{4, 5000}, {2, 100}},
		.n_ranges = 3,
		.ranges = ranges,
	};
}

static int content_again(const struct shale_rec_content *in,
			 struct shale_rec_content *out, struct shale_err *err)
{
	struct shale_buf v = {0};

	CHECK_INT(shale_rec_content_encode(in, &v), 0);
	int r = shale_rec_content_decode(&v, out, err);
	shale_buf_release(&v);
	return r;
}

TEST(content_survives_encoding)
{
	struct shale_err err;
	struct shale_rec_content in = good_content(), out;

	CHECK_OK(content_again(&in, &out, &err));
	CHECK_INT(out.size, 5000);
	CHECK_INT(out.n_files, 2);
	CHECK_INT(out.file[1].epoch, 2);
	CHECK_INT(out.file[1].limit, 100);
	CHECK_INT(out.n_ranges, 3);
	CHECK_INT(out.ranges[1].src, 4096);
	CHECK_INT(out.ranges[1].image, 2);
	CHECK_INT(out.ranges[1].epoch, 4);
	shale_rec_content_release(&out);
}

TEST(content_that_is_lent_is_one_data_file_and_nothing_else)
{
	struct shale_err err;
	struct shale_rec_content in = good_content(), out;

	in.lent = true;
	CHECK_INT(content_again(&in, &out, &err), -EUCLEAN);
	in.n_files = 1;
	CHECK_INT(content_again(&in, &out, &err), -EUCLEAN);
	CHECK_STR(err.msg, "workspace record is damaged: a data file is lent, "
			   "and not all of the content");
	in.n_ranges = 0;
	CHECK_OK(content_again(&in, &out, &err));
	CHECK(out.lent);
	CHECK_INT(out.file[0].limit, 0);
	CHECK_INT(out.size, 5000);
	in.lent = false;
	CHECK_OK(content_again(&in, &out, &err));
	CHECK(!out.lent);
}

TEST(content_with_overlaps_or_beyond_its_size_is_damage)
{
	struct shale_err err;
	struct shale_rec_range bad[3];
	struct shale_rec_content in, out;

	in = good_content(), in.file[1].epoch = 4;
	CHECK_INT(content_again(&in, &out, &err), -EUCLEAN);
	in = good_content(), in.file[0].limit = 5001;
	CHECK_INT(content_again(&in, &out, &err), -EUCLEAN);
	in = good_content(), in.size = 4999, in.file[0].limit = 9;
	CHECK_INT(content_again(&in, &out, &err), -EUCLEAN);

	in = good_content(), in.ranges = bad;
	memcpy(bad, ranges, sizeof(bad));
	bad[1].off = 9;
	CHECK_INT(content_again(&in, &out, &err), -EUCLEAN);
	memcpy(bad, ranges, sizeof(bad));
	bad[2].len = UINT64_MAX - 4000;
	CHECK_INT(content_again(&in, &out, &err), -EUCLEAN);
	memcpy(bad, ranges, sizeof(bad));
	bad[2].src = INT64_MAX;
	CHECK_INT(content_again(&in, &out, &err), -EUCLEAN);
	memcpy(bad, ranges, sizeof(bad));
	bad[0].ino = 0;
	CHECK_INT(content_again(&in, &out, &err), -EUCLEAN);
}

TEST(every_truncation_of_a_record_is_damage)
{
	struct shale_err err;
	struct shale_buf v = {0};
	struct shale_rec_content c = good_content(), out;
	struct shale_rec_attr a = good_attr(), attr;

	CHECK_INT(shale_rec_content_encode(&c, &v), 0);
	for (size_t whole = v.len; v.len-- > 0;)
		CHECK(v.len < whole &&
		      shale_rec_content_decode(&v, &out, &err) == -EUCLEAN);
	v.len = 0;
	CHECK_INT(shale_rec_attr_encode(&a, &v), 0);
	while (v.len-- > 0)
		CHECK_INT(shale_rec_attr_decode(&v, &attr, &err), -EUCLEAN);
	shale_buf_release(&v);
}

TEST(a_tombstone_of_a_name_has_no_inode_type_or_offset)
{
	struct shale_err err;
	struct shale_rec_name out, in = {.epoch = 3, .born = 2};
	struct shale_buf v = {0};

	CHECK_INT(shale_rec_name_encode(&in, &v), 0);
	CHECK_OK(shale_rec_name_decode(&v, &out, &err));
	CHECK_INT(out.ino, 0);
	CHECK_INT(out.born, 2);

	v.len = 0;
	in.type = 4;
	CHECK_INT(shale_rec_name_encode(&in, &v), 0);
	CHECK_INT(shale_rec_name_decode(&v, &out, &err), -EUCLEAN);
	v.len = 0;
	in = (struct shale_rec_name){
		.epoch = 3, .ino = 9, .type = 8, .cookie = SHALE_COOKIE_ADDED};
	CHECK_INT(shale_rec_name_encode(&in, &v), 0);
	CHECK_OK(shale_rec_name_decode(&v, &out, &err));
	CHECK_INT(out.cookie, SHALE_COOKIE_ADDED);
	shale_buf_release(&v);
}

TEST(keys_of_one_directory_sort_by_name_and_come_apart_again)
{
	struct shale_key a = shale_key_name(258, "a", 1);
	struct shale_key b = shale_key_name(258, "b", 1);
	struct shale_key c = shale_key_name(259, "A", 1);
	uint64_t dir, ino, region;
	uint32_t epoch;
	const char *name;
	size_t len;

	CHECK(memcmp(a.b, b.b, a.len) < 0);
	CHECK(memcmp(b.b, c.b, b.len) < 0);
	struct shale_buf key = {.data = b.b, .len = b.len};
	CHECK_INT(shale_key_name_parts(&key, &dir, &name, &len), 0);
	CHECK_INT(dir, 258);
	CHECK_INT(len, 1);
	CHECK_INT(name[0], 'b');

	struct shale_key m = shale_key_map(1 << 20, 77, UINT64_C(1) << 33);
	key = (struct shale_buf){.data = m.b, .len = m.len};
	CHECK_INT(shale_key_map_parts(&key, &ino, &epoch, &region), 0);
	CHECK_INT(ino, 1 << 20);
	CHECK_INT(epoch, 77);
	CHECK_INT(region, INT64_C(1) << 33);
	CHECK_INT(shale_key_name_parts(&key, &dir, &name, &len), -EUCLEAN);
	CHECK_INT(shale_key_ino(&key, 'M', &ino), 0);
	CHECK_INT(shale_key_ino(&key, 'I', &ino), -EUCLEAN);
}

TEST(a_state_with_a_commit_of_the_future_is_damage)
{
	struct shale_err err;
	struct shale_buf v = {0};
	struct shale_rec_state out,
		in = {.next_ino = 9, .epoch = 3, .committed = 2, .last = 1};

	CHECK_INT(shale_rec_state_encode(&in, &v), 0);
	CHECK_OK(shale_rec_state_decode(&v, &out, &err));
	CHECK_INT(out.next_ino, 9);
	v.len = 0;
	in.committed = 3;
	CHECK_INT(shale_rec_state_encode(&in, &v), 0);
	CHECK_INT(shale_rec_state_decode(&v, &out, &err), -EUCLEAN);
	shale_buf_release(&v);
}
