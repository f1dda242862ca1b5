/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/blob/tree_check.h"
#include "tests/lib/check.h"
#include "tests/unit/tree-sample.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static struct shale_err err;

TEST(the_order_of_adding_does_not_show)
{
	struct shale_digest a, b;

	close(sample_build(1, &a));
	close(sample_build(-1, &b));
	CHECK(shale_digest_equal(&a, &b));
}

static struct shale_tree_build *new_build(void)
{
	struct shale_tree_build *b;
	CHECK_OK(shale_tree_build_new(&b, &err));
	return b;
}

/* Finish, which must be refused saying `why`. */
static void refuses(struct shale_tree_build *b, const char *why)
{
	int fd = memfd_create("tree", MFD_CLOEXEC);

	CHECK_INT(shale_tree_build_finish(b, fd, NEXT, NULL, NULL, &err),
		  -EINVAL);
	CHECK_STR(err.msg, why);
	shale_tree_build_free(b);
	close(fd);
}

TEST(double_keys_are_refused)
{
	struct shale_tree_build *b = new_build();
	sample_add_inodes(b, 1);
	sample_add_inode(b, LINK, S_IFDIR, 0, 0, NULL);
	refuses(b, "inode 5 is there twice");

	b = new_build();
	sample_add_names(b, 1);
	sample_add_name(b, DIR_INO, "link", SMALL, S_IFREG);
	refuses(b, "name 'link' of directory 1 is there twice");

	b = new_build();
	sample_add_inode(b, BIG, S_IFREG, 5000, SHALE_CONTENT_REPLACED, NULL);
	sample_add_chunks(b);
	sample_add_extent(b, BIG, 100, 100, 0, 0, NULL);
	sample_add_extent(b, BIG, 199, 100, 0, 500, NULL);
	refuses(b, "inode 2 has extents that overlap");
}

TEST(extents_without_an_owner_are_refused)
{
	struct shale_tree_build *b = new_build();
	sample_add_chunks(b);
	sample_add_extents(b, BIG);
	refuses(b, "inode 2 has extents, but no record");

	b = new_build();
	sample_add_inode(b, BIG, S_IFREG, 5000, SHALE_CONTENT_SAME, NULL);
	sample_add_chunks(b);
	sample_add_extents(b, BIG);
	refuses(b, "inode 2 has extents, but its content is the same");

	b = new_build();
	sample_add_inode(b, BIG, S_IFREG, 4999, SHALE_CONTENT_REPLACED, NULL);
	sample_add_chunks(b);
	sample_add_extents(b, BIG);
	refuses(b, "inode 2 has extents beyond its size");
}

TEST(numbers_above_the_next_free_one_are_refused)
{
	struct shale_tree_build *b = new_build();
	sample_add_inode(b, NEXT, S_IFREG, 0, 0, NULL);
	refuses(b, "inode 20 is not below the next free number");

	b = new_build();
	sample_add_name(b, 1, "x", NEXT, S_IFREG);
	refuses(b, "name 'x' of directory 1 has a number not below the next "
		   "free one");
}

TEST(the_new_blob_needs_its_digest)
{
	struct shale_tree_build *b = new_build();
	struct shale_chunk c = sample_chunk(0);
	uint32_t blob, chunk;

	CHECK_OK(shale_tree_build_blob(b, NULL, 0, &blob, &err));
	CHECK_OK(shale_tree_build_chunk(b, &c, blob, &chunk, &err));
	refuses(b, "the new data blob has no digest");
}

TEST(records_that_no_reader_takes_are_not_added)
{
	static const struct shale_inode inodes[] = {
		{.attr = {.ino = 0, .mode = S_IFREG}},
		{.attr = {.ino = SHALE_INO_MAX + 1, .mode = S_IFREG}},
		{.attr = {.ino = 2, .mode = 0644}},
		{.attr = {.ino = 2, .mode = S_IFREG | 0x10000}},
		{.attr = {.ino = 2, .mode = S_IFREG, .size = 1ull << 63}},
		{.attr = {.ino = 2,
			  .mode = S_IFREG,
			  .mtime.tv_nsec = 1000000000}},
		{.attr = {.ino = 2, .mode = S_IFREG, .mtime.tv_nsec = -1}},
		{.attr = {.ino = 2, .mode = S_IFLNK}, .target = ""},
		{.attr = {.ino = 2, .mode = S_IFLNK, .size = 3},
		 .target = "a\0b"},
		{.attr = {.ino = 2, .mode = S_IFLNK, .size = 4096},
		 .target = "x"},
		{.attr = {.ino = 2, .mode = S_IFDIR},
		 .content = SHALE_CONTENT_REPLACED},
		{.attr = {.ino = 2, .mode = S_IFREG}, .content = 3},
		{.attr = {.ino = 2, .mode = S_IFREG},
		 .content = SHALE_CONTENT_REPLACED,
		 .limit = 1},
		{.attr = {.ino = 2, .mode = S_IFREG},
		 .content = SHALE_CONTENT_PATCHED,
		 .limit = 1ull << 63},
	};
	static const struct shale_dirent dirents[] = {
		{1, 2, "", 0, 8},           {1, 2, ".", 1, 8},
		{1, 2, "..", 2, 8},         {1, 2, "a/b", 3, 8},
		{1, 2, "a\0b", 3, 8},       {0, 2, "a", 1, 8},
		{1, 2, "a", 1, 0},          {1, 2, "a", 1, 3},
		{1, 2, "a", 1, 0x48},       {1, 0, "a", 1, 8},
		{1, 1ull << 40, "a", 1, 8}, {1ull << 40, 2, "a", 1, 8},
	};
	struct shale_tree_build *b = new_build();

	for (size_t i = 0; i < sizeof(inodes) / sizeof(inodes[0]); i++)
		if (shale_tree_build_inode(b, &inodes[i], &err) != -EINVAL)
			shale_test_fail(__FILE__, __LINE__, "inode %zu", i);
	for (size_t i = 0; i < sizeof(dirents) / sizeof(dirents[0]); i++)
		if (shale_tree_build_dirent(b, &dirents[i], &err) != -EINVAL)
			shale_test_fail(__FILE__, __LINE__, "dirent %zu", i);

	char name[256];
	memset(name, 'x', sizeof(name));
	struct shale_dirent longest = {1, 2, name, 255, 8};
	CHECK_OK(shale_tree_build_dirent(b, &longest, &err));
	longest.name_len = 256;
	CHECK_INT(shale_tree_build_dirent(b, &longest, &err), -EINVAL);
	shale_tree_build_free(b);
}

TEST(an_extent_must_lie_in_its_chunk)
{
	static const struct shale_extent extents[] = {
		{2, 0, 1001, 0, 0, 0, 0},
		{2, 0, 1, 0, 1000, 0, 0},
		{2, 0, 501, 0, 500, 0, 0},
		{2, 0, 0, 0, 0, 0, 0},
		{2, 0, 1, 4, 0, 0, 0},
		{0, 0, 1, 0, 0, 0, 0},
		{2, 0, 1, SHALE_HOLE, 1, 0, 0},
		{2, INT64_MAX, 1, SHALE_HOLE, 0, 0, 0},
		{2, 1, INT64_MAX, SHALE_HOLE, 0, 0, 0},
	};
	struct shale_tree_build *b = new_build();

	sample_add_chunks(b);
	for (size_t i = 0; i < sizeof(extents) / sizeof(extents[0]); i++)
		if (shale_tree_build_extent(b, &extents[i], NULL, &err) !=
		    -EINVAL)
			shale_test_fail(__FILE__, __LINE__, "extent %zu", i);
	shale_tree_build_free(b);
}

TEST(a_chunk_told_in_two_ways_is_refused)
{
	struct shale_tree_build *b = new_build();
	struct shale_chunk c = sample_chunk(0);
	uint32_t chunk;

	sample_add_chunks(b);
	c.len = 999;
	CHECK_INT(shale_tree_build_chunk(b, &c, 1, &chunk, &err), -EUCLEAN);
	c = sample_chunk(0);
	c.hash.b[3] ^= 1;
	CHECK_INT(shale_tree_build_chunk(b, &c, 1, &chunk, &err), -EUCLEAN);
	c = sample_chunk(0);
	CHECK_OK(shale_tree_build_chunk(b, &c, 0, &chunk, &err));
	CHECK_INT(chunk, 4); /* another blob, another chunk */
	shale_tree_build_free(b);
}

TEST(forgotten_content_is_left_out)
{
	struct shale_tree_build *b = new_build();
	struct shale_hash128 hash = sample_hash(77);
	uint64_t cursor = 0, first, n, extent;
	int fd = memfd_create("tree", MFD_CLOEXEC);

	sample_add_inodes(b, 1);
	sample_add_chunks(b);
	sample_add_extents(b, PATCH);
	sample_add_extents(b, SMALL2);
	CHECK_OK(shale_tree_build_forget(b, SMALL, &err));
	sample_add_extents(b, SMALL);
	sample_add_extents(b, BIG);
	CHECK_OK(shale_tree_build_forget(b, BIG, &err));
	sample_add_extents(b, COPY);
	CHECK_OK(shale_tree_build_forget(b, COPY, &err));
	CHECK_OK(shale_tree_build_finish(b, fd, NEXT, NULL, NULL, &err));
	shale_tree_build_free(b);

	struct shale_tree *t = sample_open(fd);
	CHECK_OK(shale_tree_check(t, &err));
	CHECK_OK(shale_tree_extents_of(t, BIG, &first, &n, &err));
	CHECK_INT(n, 0);
	CHECK_INT(shale_tree_count(t, SHALE_TREE_EXTENTS), 4);
	CHECK_INT(shale_tree_count(t, SHALE_TREE_CLONES), 1);
	CHECK_OK(shale_tree_find_packed(t, &hash, &cursor, &extent, &err));
	CHECK_INT(extent, 0);
	CHECK_INT(shale_tree_find_packed(t, &hash, &cursor, &extent, &err),
		  -ENOENT);
	shale_tree_close(t);
}
