/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/base/buf.h"
#include "layers/blob/tree_check.h"
#include "tests/lib/check.h"
#include "tests/unit/compose-model.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static struct shale_err err;

static struct shale_tree *compose(struct shale_tree *const *trees, size_t n,
				  bool bottom, struct shale_digest *digest)
{
	struct shale_tree *tree;
	uint64_t size;
	int fd = memfd_create("composed", MFD_CLOEXEC);

	CHECK_OK(shale_tree_compose(trees, n, bottom, fd, digest, &size, &err));
	CHECK_OK(shale_tree_open(&tree, fd, "composed", &err));
	CHECK_OK(shale_tree_check(tree, &err));
	close(fd);
	return tree;
}

/* Every packed extent has the hash of its content. */
static void check_packed(const struct shale_tree *t)
{
	uint64_t n = shale_tree_count(t, SHALE_TREE_PACKED), extent;
	struct shale_hash128 hash, want;
	struct shale_extent e;
	cell content[SIZE];

	for (uint64_t i = 0; i < n; i++) {
		CHECK_OK(shale_tree_packed(t, i, &extent, &hash, &err));
		CHECK_OK(shale_tree_extent(t, extent, &e, &err));
		read_extent(t, NULL, &e, content);
		want = shale_xxh128(content, e.len * sizeof(cell));
		CHECK_MEM(&hash, &want, sizeof(hash));
	}
}

/* A bottom layer says nothing of what is below it. */
static void check_bottom(const struct shale_tree *t)
{
	struct shale_inode in;
	struct shale_dirent d;

	for (uint64_t i = 0; i < shale_tree_count(t, SHALE_TREE_INODES); i++) {
		CHECK_OK(shale_tree_inode(t, i, &in, &err));
		CHECK(in.attr.mode != 0);
		CHECK(in.content != SHALE_CONTENT_PATCHED);
	}
	for (uint64_t i = 0; i < shale_tree_count(t, SHALE_TREE_DIRENTS); i++) {
		CHECK_OK(shale_tree_dirent(t, i, &d, &err));
		CHECK(d.ino != 0);
	}
	CHECK_INT(shale_tree_count(t, SHALE_TREE_CLONES), 0);
}

/* Compose layers [from, to) of a stack and look at the stack again. */
static void compose_range(struct shale_tree *const *trees, size_t n,
			  size_t from, size_t to, const struct world *want)
{
	struct shale_tree *stack[LAYERS];
	struct shale_digest one, two;
	static struct world got;
	size_t at = 0;

	struct shale_tree *tree =
		compose(trees + from, to - from, from == 0, &one);
	struct shale_tree *again =
		compose(trees + from, to - from, from == 0, &two);
	CHECK(shale_digest_equal(&one, &two));
	shale_tree_close(again);
	check_packed(tree);
	if (from == 0)
		check_bottom(tree);

	for (size_t i = 0; i < from; i++)
		stack[at++] = trees[i];
	stack[at++] = tree;
	for (size_t i = to; i < n; i++)
		stack[at++] = trees[i];
	read_world(stack, at, &got);
	same_world(&got, want);
	shale_tree_close(tree);
}

TEST(composing_any_neighbours_changes_nothing_that_is_seen)
{
	static struct world world, got;

	for (int round = 0; round < 40; round++) {
		struct shale_tree *trees[LAYERS];
		memset(&world, 0, sizeof(world));
		for (uint8_t i = 0; i < LAYERS; i++)
			trees[i] = make_layer(&world, i);
		read_world(trees, LAYERS, &got);
		same_world(&got, &world);
		for (size_t from = 0; from < LAYERS; from++)
			for (size_t to = from + 1; to <= LAYERS; to++)
				compose_range(trees, LAYERS, from, to, &world);
		for (size_t i = 0; i < LAYERS; i++)
			shale_tree_close(trees[i]);
	}
}

TEST(composing_in_steps_gives_what_composing_at_once_gives)
{
	static struct world world, got;

	for (int round = 0; round < 40; round++) {
		struct shale_tree *trees[LAYERS], *whole;
		memset(&world, 0, sizeof(world));
		for (uint8_t i = 0; i < LAYERS; i++)
			trees[i] = make_layer(&world, i);
		whole = trees[LAYERS - 1];
		for (size_t i = LAYERS - 1; i-- > 0;) {
			struct shale_tree *pair[2] = {trees[i], whole};
			struct shale_tree *next =
				compose(pair, 2, i == 0, NULL);
			shale_tree_close(trees[i]);
			shale_tree_close(whole);
			whole = next;
		}
		read_world(&whole, 1, &got);
		same_world(&got, &world);
		check_packed(whole);
		shale_tree_close(whole);
	}
}

/* --- one behaviour each, on layers made by hand */

static struct maker start(uint8_t layer)
{
	static struct world scratch;
	struct maker m = {.world = &scratch, .layer = layer};

	CHECK_OK(shale_tree_build_new(&m.build, &err));
	make_chunks(&m);
	return m;
}

static void say_file(struct maker *m, uint64_t ino,
		     enum shale_content_kind content, uint64_t size,
		     uint64_t limit)
{
	struct shale_inode in = {.attr = {.ino = ino,
					  .mode = S_IFREG | 0644,
					  .nlink = 1,
					  .size = size},
				 .content = content,
				 .limit = limit};
	CHECK_OK(shale_tree_build_inode(m->build, &in, &err));
}

static struct shale_tree *finish(struct maker *m)
{
	struct shale_tree *tree;
	int fd = memfd_create("layer", MFD_CLOEXEC);

	CHECK_OK(shale_tree_build_finish(m->build, fd, INOS, NULL, NULL, &err));
	shale_tree_build_free(m->build);
	CHECK_OK(shale_tree_open(&tree, fd, "layer", &err));
	close(fd);
	return tree;
}

static void close_all(struct shale_tree **trees, size_t n)
{
	while (n)
		shale_tree_close(trees[--n]);
}

TEST(a_run_of_chunks_is_one_extent_on_each_side_of_a_patch)
{
	struct shale_tree *trees[2], *t;
	struct shale_extent e;
	struct maker m = start(0);
	uint64_t size = 0;

	for (unsigned i = 0; i < CHUNKS; i++) {
		put_extent(&m, 2, size, m.len[i], i, 0, false);
		size += m.len[i];
	}
	uint64_t cut = m.len[0] + m.len[1] + m.len[2] - 1;
	say_file(&m, 2, SHALE_CONTENT_REPLACED, size, 0);
	trees[0] = finish(&m);
	m = start(1);
	put_extent(&m, 2, cut, 1, 0, 0, false);
	say_file(&m, 2, SHALE_CONTENT_PATCHED, size, size);
	trees[1] = finish(&m);

	t = compose(trees, 2, true, NULL);
	CHECK_INT(shale_tree_count(t, SHALE_TREE_EXTENTS), 3);
	CHECK_OK(shale_tree_extent(t, 0, &e, &err));
	CHECK_INT(e.len, cut);
	CHECK_OK(shale_tree_extent(t, 2, &e, &err));
	CHECK_INT(e.off, cut + 1);
	CHECK_INT(e.len, size - cut - 1);
	shale_tree_close(t);
	close_all(trees, 2);
}

TEST(a_hole_in_a_patch_stays_said_until_nothing_lies_below)
{
	struct shale_tree *trees[2], *t;
	struct shale_extent e;
	struct maker m = start(0);

	say_file(&m, 2, SHALE_CONTENT_PATCHED, 100, 90);
	put_extent(&m, 2, 10, 20, CHUNKS, 0, false);
	trees[0] = finish(&m);
	m = start(1);
	say_file(&m, 2, SHALE_CONTENT_PATCHED, 80, 70);
	put_extent(&m, 2, 20, 1, 0, 0, false);
	trees[1] = finish(&m);

	t = compose(trees, 2, false, NULL);
	struct shale_inode in;
	CHECK_OK(shale_tree_inode(t, 0, &in, &err));
	CHECK_INT(in.content, SHALE_CONTENT_PATCHED);
	CHECK_INT(in.limit, 70);
	CHECK_INT(shale_tree_count(t, SHALE_TREE_EXTENTS), 3);
	CHECK_OK(shale_tree_extent(t, 2, &e, &err));
	CHECK_INT(e.chunk, SHALE_HOLE);
	CHECK_INT(e.off, 21);
	CHECK_INT(e.len, 9);
	shale_tree_close(t);

	t = compose(trees, 2, true, NULL);
	CHECK_OK(shale_tree_inode(t, 0, &in, &err));
	CHECK_INT(in.content, SHALE_CONTENT_REPLACED);
	CHECK_INT(in.limit, 0);
	CHECK_INT(shale_tree_count(t, SHALE_TREE_EXTENTS), 1);
	shale_tree_close(t);
	close_all(trees, 2);
}

TEST(a_packed_extent_keeps_its_hash_unless_it_is_cut)
{
	struct shale_tree *trees[2], *t;
	struct maker m = start(0);

	for (uint64_t ino = 2; ino < 5; ino++) {
		say_file(&m, ino, SHALE_CONTENT_REPLACED, m.len[0], 0);
		put_extent(&m, ino, 0, m.len[0], 0, 0, true);
	}
	trees[0] = finish(&m);
	m = start(1);
	say_file(&m, 3, SHALE_CONTENT_PATCHED, 100, 0); /* truncated */
	trees[1] = finish(&m);

	t = compose(trees, 2, true, NULL);
	CHECK_INT(shale_tree_count(t, SHALE_TREE_PACKED), 2);
	CHECK_INT(shale_tree_count(t, SHALE_TREE_EXTENTS), 2);
	check_packed(t);
	shale_tree_close(t);
	close_all(trees, 2);
}

TEST(names_go_with_their_directory)
{
	struct shale_tree *trees[2], *t;
	struct maker m = start(0);
	struct shale_inode dir = {
		.attr = {.ino = 5, .mode = S_IFDIR | 0755, .nlink = 2}};
	struct shale_dirent d = {5, 2, "a", 1, S_IFREG >> 12};

	say_file(&m, 2, SHALE_CONTENT_REPLACED, 0, 0);
	CHECK_OK(shale_tree_build_inode(m.build, &dir, &err));
	CHECK_OK(shale_tree_build_dirent(m.build, &d, &err));
	trees[0] = finish(&m);
	m = start(1);
	dir.attr = (struct shale_attr){.ino = 5};
	CHECK_OK(shale_tree_build_inode(m.build, &dir, &err));
	trees[1] = finish(&m);

	t = compose(trees, 2, true, NULL);
	CHECK_INT(shale_tree_count(t, SHALE_TREE_DIRENTS), 0);
	CHECK_INT(shale_tree_count(t, SHALE_TREE_INODES), 1);
	shale_tree_close(t);
	t = compose(trees, 2, false, NULL);
	CHECK_INT(shale_tree_count(t, SHALE_TREE_INODES), 2);
	CHECK_OK(shale_tree_dirent(t, 0, &d, &err));
	CHECK_INT(d.ino, 0);
	shale_tree_close(t);
	close_all(trees, 2);
}

TEST(nothing_below_a_deleted_inode_comes_back)
{
	struct shale_tree *trees[3], *t;
	struct maker m = start(0);
	struct shale_inode in = {.attr.ino = 2};

	say_file(&m, 2, SHALE_CONTENT_REPLACED, 50, 0);
	put_extent(&m, 2, 0, 1, 0, 0, false);
	trees[0] = finish(&m);
	m = start(1);
	CHECK_OK(shale_tree_build_inode(m.build, &in, &err));
	trees[1] = finish(&m);
	m = start(2);
	say_file(&m, 2, SHALE_CONTENT_PATCHED, 50, 50);
	trees[2] = finish(&m);

	for (int from = 0; from < 2; from++) {
		t = compose(trees + from, 3 - (size_t)from, false, NULL);
		CHECK_OK(shale_tree_inode(t, 0, &in, &err));
		CHECK_INT(in.content, SHALE_CONTENT_REPLACED);
		CHECK_INT(shale_tree_count(t, SHALE_TREE_EXTENTS), 0);
		shale_tree_close(t);
	}
	close_all(trees, 3);
}

TEST(composing_one_tree_or_none_works)
{
	static struct world world, got;
	struct shale_tree *tree, *t;

	memset(&world, 0, sizeof(world));
	tree = make_layer(&world, 0);
	t = compose(&tree, 1, true, NULL);
	read_world(&t, 1, &got);
	same_world(&got, &world);
	shale_tree_close(t);
	shale_tree_close(tree);
	t = compose(NULL, 0, true, NULL);
	CHECK_INT(shale_tree_count(t, SHALE_TREE_INODES), 0);
	shale_tree_close(t);
}
