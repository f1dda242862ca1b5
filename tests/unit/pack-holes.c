/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/check.h"
#include "tests/lib/workshop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

TEST(zeros_are_not_stored_and_files_of_zeros_make_no_blob)
{
	struct image image;
	open_store();
	begin_image(NULL, 0, 2);
	add_file(1, calloc(1, 3 * MIB), 3 * MIB, 100000);
	add_file(2, calloc(1, 5000), 5000, 7);
	add_file(3, calloc(1, 1), 1, 1);
	add_file(4, calloc(1, 1), 0, 1);
	end_image(&image);
	CHECK(!image.has_data);
	CHECK_INT(image.size, 0);
	CHECK_INT(shale_tree_count(image.tree, SHALE_TREE_EXTENTS), 0);
	CHECK_INT(shale_tree_count(image.tree, SHALE_TREE_BLOBS), 0);
	CHECK_INT(image.stats.content, 3 * MIB + 5001);
	compare_files(&image);
	shale_tree_close(image.tree);
	close_store();
}

TEST(holes_are_aligned_to_4_kib_of_the_file)
{
	struct image image;
	uint8_t *data = noise(40960, 1);
	memset(data, 1, 40960);
	memset(data + 4095, 0, 8194); /* two whole blocks, a byte either side */
	memset(data + 30000, 0, 6000); /* no whole block */
	open_store();
	begin_image(NULL, 0, 1);
	add_file(1, data, 40960, 1000);
	end_image(&image);
	compare_files(&image);
	CHECK_INT(count_extents(image.tree, 1), 2);
	struct shale_extent e = nth_extent(image.tree, 1, 0);
	CHECK(e.off == 0 && e.len == 4096);
	e = nth_extent(image.tree, 1, 1);
	CHECK_INT(e.off, 12288);
	shale_tree_close(image.tree);
	close_store();
}

TEST(a_hole_of_petabytes_costs_nothing)
{
	const uint64_t huge = UINT64_C(1) << 60;
	struct image image;
	uint8_t *data = noise(200000, 1), *got = malloc(200000);
	open_store();
	begin_image(NULL, 0, 2);
	CHECK_OK(shale_pack_begin(pack, 1, &err));
	CHECK_OK(shale_pack_hole(pack, huge, &err));
	CHECK_OK(shale_pack_write(pack, data, 200000, &err));
	CHECK_OK(shale_pack_hole(pack, huge, &err));
	CHECK_OK(shale_pack_write(pack, data, 10, &err));
	CHECK_OK(shale_pack_hole(pack, 5 * huge, &err));
	CHECK_INT(shale_pack_hole(pack, huge, &err), -EFBIG);
	shale_pack_free(pack);
	shale_tree_build_free(build);

	begin_image(NULL, 0, 2);
	CHECK_OK(shale_pack_begin(pack, 1, &err));
	CHECK_OK(shale_pack_hole(pack, huge, &err));
	CHECK_OK(shale_pack_write(pack, data, 200000, &err));
	CHECK_OK(shale_pack_hole(pack, huge, &err));
	CHECK_OK(shale_pack_end(pack, &err));
	add_inode(1, 2 * huge + 200000, false);
	end_image(&image);
	CHECK_INT(count_extents(image.tree, 1), 1);
	struct shale_extent e = nth_extent(image.tree, 1, 0);
	CHECK(e.off == huge && e.len == 200000);
	read_extent(image.tree, &e, got);
	CHECK_MEM(got, data, 200000);
	free(data);
	free(got);
	shale_tree_close(image.tree);
	close_store();
}

static void check_extent(const struct image *image, uint64_t i, uint64_t off,
			 uint64_t len, bool hole)
{
	struct shale_extent e = nth_extent(image->tree, 1, i);
	CHECK_INT(e.off, off);
	CHECK_INT(e.len, len);
	CHECK_INT(e.chunk == SHALE_HOLE, hole);
}

TEST(a_patch_says_its_holes_and_leaves_out_what_it_skips)
{
	struct image image;
	uint8_t *data = noise(8192, 1), zeros[8192] = {0};
	open_store();
	begin_image(NULL, 0, 2);
	CHECK_OK(shale_pack_begin(pack, 1, &err));
	shale_pack_patch(pack);
	CHECK_OK(shale_pack_skip(pack, 1 << 20, &err));
	CHECK_OK(shale_pack_write(pack, data, 8192, &err));
	CHECK_OK(shale_pack_write(pack, zeros, 8192, &err));
	CHECK_OK(shale_pack_hole(pack, 1 << 30, &err)); /* joins the zeros */
	CHECK_OK(shale_pack_write(pack, zeros, 4096, &err));
	CHECK_OK(shale_pack_write(pack, data, 4096, &err));
	CHECK_OK(shale_pack_skip(pack, 4096, &err));
	CHECK_OK(shale_pack_hole(pack, 4096, &err));
	CHECK_OK(shale_pack_skip(pack, 4096, &err));
	CHECK_OK(shale_pack_write(pack, zeros, 100, &err)); /* the tail */
	CHECK_OK(shale_pack_end(pack, &err));
	uint64_t at = 1 << 20;
	add_inode(1, UINT64_C(1) << 40, true);
	end_image(&image);

	CHECK_INT(count_extents(image.tree, 1), 5);
	check_extent(&image, 0, at, 8192, false);
	check_extent(&image, 1, at + 8192, 12288 + (1 << 30), true);
	at += 8192 + 12288 + (1 << 30);
	check_extent(&image, 2, at, 4096, false);
	check_extent(&image, 3, at + 8192, 4096, true);
	check_extent(&image, 4, at + 16384, 100, true);
	free(data);
	shale_tree_close(image.tree);
	close_store();
}

enum { PATCHED = 4 * MIB, BELOW = 0xee };

/* One random call at `at`, done to the model as well.  Returns its length. */
static size_t random_call(uint8_t *model, size_t at)
{
	uint64_t dice = shale_test_random();
	size_t len = (dice >> 8) % (dice % 5 ? 20000 : 300000);
	if (dice % 3 == 0)
		len &= ~(size_t)4095;
	if (len > PATCHED - at)
		len = PATCHED - at;
	if (dice % 7 < 2) {
		CHECK_OK(shale_pack_skip(pack, len, &err));
	} else if (dice % 7 < 4) {
		memset(model + at, 0, len);
		CHECK_OK(shale_pack_hole(pack, len, &err));
	} else {
		uint8_t *data = dice % 7 < 6 ? holey(len, dice % 50)
					     : calloc(1, len + 1);
		memcpy(model + at, data, len);
		CHECK_OK(shale_pack_write(pack, data, len, &err));
		free(data);
	}
	return len;
}

TEST(random_patches_over_old_content_give_what_a_model_gives)
{
	uint8_t *model = malloc(PATCHED), *got = malloc(PATCHED);
	open_store();
	for (unsigned round = 0; round < 12; round++) {
		struct image image;
		memset(model, BELOW, PATCHED);
		memset(got, BELOW, PATCHED);
		begin_image(NULL, 0, 1 + round % 3);
		CHECK_OK(shale_pack_begin(pack, 1, &err));
		shale_pack_patch(pack);
		for (size_t at = 0; at < PATCHED;)
			at += random_call(model, at);
		CHECK_OK(shale_pack_end(pack, &err));
		add_inode(1, PATCHED, true);
		end_image(&image);
		uint64_t n = count_extents(image.tree, 1);
		for (uint64_t i = 0; i < n; i++) {
			struct shale_extent e = nth_extent(image.tree, 1, i);
			if (e.chunk == SHALE_HOLE)
				memset(got + e.off, 0, e.len);
			else
				read_extent(image.tree, &e, got + e.off);
		}
		CHECK_MEM(got, model, PATCHED);
		shale_tree_close(image.tree);
	}
	free(model);
	free(got);
	close_store();
}

TEST(calls_of_no_bytes_change_nothing)
{
	struct image a, b;
	uint8_t *data = noise(50000, 1);
	struct shale_chunk chunk = {.len = 1};
	open_store();
	begin_image(NULL, 0, 2);
	add_file(1, copy_of(data, 50000), 50000, MIB);
	end_image(&a);
	begin_image(NULL, 0, 2);
	CHECK_OK(shale_pack_begin(pack, 1, &err));
	for (unsigned i = 0; i < 5; i++) {
		CHECK_OK(shale_pack_write(pack, data + i * 10000, 10000, &err));
		CHECK_OK(shale_pack_write(pack, NULL, 0, &err));
		CHECK_OK(shale_pack_hole(pack, 0, &err));
		CHECK_OK(shale_pack_skip(pack, 0, &err));
		CHECK_OK(shale_pack_refer(pack, &chunk, 0, 0, NULL, &err));
	}
	CHECK_OK(shale_pack_end(pack, &err));
	add_inode(1, 50000, false);
	end_image(&b);
	CHECK(shale_digest_equal(&a.tree_digest, &b.tree_digest));
	free(data);
	shale_tree_close(a.tree);
	shale_tree_close(b.tree);
	close_store();
}

TEST(a_clone_is_said_between_data_and_holes_and_stores_nothing)
{
	struct image image;
	uint8_t *data = noise(5000, 1);
	open_store();
	begin_image(NULL, 0, 2);
	CHECK_OK(shale_pack_begin(pack, 1, &err));
	shale_pack_patch(pack);
	CHECK_OK(shale_pack_write(pack, data, 5000, &err));
	CHECK_OK(shale_pack_clone(pack, 1, 8192, 1 << 20, &err));
	CHECK_OK(shale_pack_clone(pack, 1, 0, 0, &err));
	CHECK_OK(shale_pack_hole(pack, 4096, &err));
	CHECK_OK(shale_pack_end(pack, &err));
	add_inode(1, 5000 + (1 << 20) + 4096, true);
	end_image(&image);

	CHECK_INT(count_extents(image.tree, 1), 3);
	check_extent(&image, 0, 0, 5000, false);
	struct shale_extent e = nth_extent(image.tree, 1, 1);
	CHECK(e.chunk == SHALE_CLONE && e.off == 5000 && e.len == 1 << 20);
	CHECK(e.clone_ino == 1 && e.clone_off == 8192);
	check_extent(&image, 2, 5000 + (1 << 20), 4096, true);
	CHECK(image.size < 6000);
	CHECK_INT(image.stats.shared, 1 << 20);
	free(data);
	shale_tree_close(image.tree);
	close_store();
}
