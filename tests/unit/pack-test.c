/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/check.h"
#include "tests/lib/workshop.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static size_t random_size(unsigned i)
{
	static const size_t edges[] = {
		1,           4095,    4096,    4097,       32767,  32768,
		32769,       131072,  131073,  262143,     262144, 262145,
		1048576 - 1, 1048576, 1048577, 3 * 1048576};
	if (i < sizeof(edges) / sizeof(edges[0]))
		return edges[i];
	return shale_test_random() % (i % 7 == 0 ? 700000 : 20000);
}

TEST(files_of_all_sizes_come_back_as_they_were)
{
	struct image image;
	open_store();
	begin_image(NULL, 0, 2);
	for (unsigned i = 0; i < 250; i++) {
		size_t len = random_size(i);
		uint8_t *data = i % 2 ? noise(len, i) : holey(len, i);
		add_file(i + 1, data, len, 1 + shale_test_random() % 300000);
	}
	end_image(&image);
	compare_files(&image);
	shale_tree_close(image.tree);
	close_store();
}

TEST(the_same_files_give_the_same_bytes_with_any_number_of_threads)
{
	struct image a, b, c;
	open_store();
	make_mixed(&a, 1, 1 << 20);
	compare_files(&a);
	make_mixed(&b, 4, 1 << 20);
	make_mixed(&c, 3, 4001);
	CHECK_INT(a.size, b.size);
	CHECK(shale_digest_equal(&a.data_digest, &b.data_digest));
	CHECK(shale_digest_equal(&a.tree_digest, &b.tree_digest));
	CHECK(shale_digest_equal(&a.data_digest, &c.data_digest));
	CHECK(shale_digest_equal(&a.tree_digest, &c.tree_digest));
	CHECK_INT(a.stats.shared, b.stats.shared);
	CHECK(a.stats.shared >= 6 * MIB);
	shale_tree_close(a.tree);
	shale_tree_close(b.tree);
	shale_tree_close(c.tree);
	close_store();
}

TEST(content_that_comes_again_is_stored_once)
{
	struct image image;
	size_t big = 5 * MIB;
	open_store();
	begin_image(NULL, 0, 2);
	add_file(1, noise(big, 1), big, MIB);
	add_file(2, noise(5000, 2), 5000, MIB);
	add_file(3, copy_of(fed[2].data, 5000), 5000, MIB); /* open pack */
	for (unsigned i = 4; i < 40; i++)
		add_file(i, noise(30000, i), 30000, MIB);
	add_file(40, copy_of(fed[1].data, big), big, MIB); /* long written */
	add_file(41, copy_of(fed[5].data, 30000), 30000, MIB);
	add_file(42, copy_of(fed[1].data, big), big, MIB);
	end_image(&image);
	compare_files(&image);
	CHECK_INT(image.stats.shared, 2 * big + 5000 + 30000);
	CHECK_INT(image.stats.content, 3 * big + 2 * 5000 + 36 * 30000 + 30000);
	CHECK(image.size < big + 37 * 30000 + 1000);
	/* The copy is a run of the same chunks: one extent, as the first. */
	CHECK_INT(count_extents(image.tree, 1), 1);
	CHECK_INT(count_extents(image.tree, 40), 1);
	shale_tree_close(image.tree);
	close_store();
}

TEST(many_small_files_share_chunks_and_none_spans_two)
{
	struct image image;
	open_store();
	begin_image(NULL, 0, 2);
	for (unsigned i = 1; i <= 1000; i++)
		add_file(i, noise(1000 + i, i), 1000 + i, MIB);
	end_image(&image);
	compare_files(&image);
	uint64_t n = shale_tree_count(image.tree, SHALE_TREE_CHUNKS);
	CHECK(n >= 12 && n <= 13);
	CHECK_INT(image.stats.new_chunks, n);
	CHECK_INT(shale_tree_count(image.tree, SHALE_TREE_PACKED), 1000);
	shale_tree_close(image.tree);
	close_store();
}

TEST(a_packer_may_be_dropped_at_any_moment)
{
	uint8_t *data = noise(3 * MIB, 1);
	open_store();
	for (unsigned i = 0; i < 60; i++) {
		begin_image(NULL, 0, 1 + i % 3);
		CHECK_OK(shale_pack_begin(pack, 1, &err));
		CHECK_OK(shale_pack_write(pack, data, i * 50000, &err));
		if (i % 2) {
			CHECK_OK(shale_pack_end(pack, &err));
			CHECK_OK(shale_pack_begin(pack, 2, &err));
			CHECK_OK(shale_pack_write(pack, data, i * 500, &err));
		}
		shale_pack_free(pack);
		shale_tree_build_free(build);
		CHECK_INT(tmp_files(), 0);
	}
	shale_pack_free(NULL);
	free(data);
	close_store();
}

/* Feed until an error comes out, as a full disk gives one. */
static int feed_until_error(void)
{
	int r = 0;
	for (uint64_t i = 1; r == 0 && i < 200; i++) {
		uint8_t *data = noise(i % 2 ? 100000 : 1000, i);
		r = shale_pack_begin(pack, i, &err);
		if (r == 0)
			r = shale_pack_write(pack, data, i % 2 ? 100000 : 1000,
					     &err);
		if (r == 0)
			r = shale_pack_end(pack, &err);
		free(data);
	}
	return r;
}

TEST(an_error_of_the_writer_reaches_the_feeder_and_stays)
{
	struct rlimit old, small = {1 << 20, 1 << 20};
	struct shale_blob_tmp tmp;
	struct shale_pack_stats stats;
	uint64_t size;
	open_store();
	signal(SIGXFSZ, SIG_IGN);
	CHECK(getrlimit(RLIMIT_FSIZE, &old) == 0);
	small.rlim_max = old.rlim_max;
	begin_image(NULL, 0, 2);
	CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
	int r = feed_until_error();
	CHECK(setrlimit(RLIMIT_FSIZE, &old) == 0);
	CHECK_INT(r, -EFBIG);
	CHECK(strstr(err.msg, "data blob"));
	shale_pack_free(pack);
	shale_tree_build_free(build);

	begin_image(NULL, 0, 2);
	CHECK_OK(shale_pack_begin(pack, 1, &err));
	CHECK_OK(shale_pack_end(pack, &err));
	CHECK(unlinkat(dir, "tmp", AT_REMOVEDIR) == 0);
	feed_until_error();
	CHECK_INT(shale_pack_finish(pack, &tmp, &size, &stats, &err), -ENOENT);
	shale_pack_free(pack);
	shale_tree_build_free(build);
	close_store();
}

TEST(every_codec_packs_and_comes_back)
{
	static const char *const codecs[] = {"none", "lz4hc:3", "zstd:1"};
	for (unsigned i = 0; i < 3; i++) {
		struct shale_pack_opts opts = {.threads = 2};
		struct image image;
		if (shale_codec_parse(codecs[i], &opts.codec, &err) < 0)
			continue;
		open_store();
		CHECK_OK(shale_tree_build_new(&build, &err));
		CHECK_OK(shale_pack_new(&pack, blobs, chunks, build, &opts,
					&err));
		for (unsigned k = 1; k < 40; k++) {
			size_t len = k * k * 300;
			add_file(k, holey(len, k), len, MIB);
		}
		end_image(&image);
		compare_files(&image);
		shale_tree_close(image.tree);
		close_store();
	}
}

TEST(equal_small_files_beyond_counting_do_not_pile_up)
{
	struct image image;
	open_store();
	begin_image(NULL, 0, 2);
	for (unsigned i = 1; i <= 20000; i++) {
		CHECK_OK(shale_pack_begin(pack, i, &err));
		CHECK_OK(shale_pack_write(pack, "the same", 8, &err));
		CHECK_OK(shale_pack_end(pack, &err));
	}
	struct shale_blob_tmp tmp;
	CHECK_OK(
		shale_pack_finish(pack, &tmp, &image.size, &image.stats, &err));
	CHECK_INT(image.stats.new_chunks, 1);
	CHECK_INT(image.stats.shared, 19999 * 8);
	CHECK_INT(shale_tree_build_count(build, SHALE_TREE_EXTENTS), 20000);
	close(tmp.fd);
	shale_blobs_abandon(blobs, tmp.name);
	shale_pack_free(pack);
	shale_tree_build_free(build);
	close_store();
}
