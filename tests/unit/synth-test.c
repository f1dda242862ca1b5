/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/mount/synth.h"
#include "layers/base/cleanup.h"
#include "tests/lib/check.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct timespec then = {1000, 5};

static struct shale_synth *build(const struct shale_synth *old,
				 const char *const *paths)
{
	struct shale_synth *s;
	CHECK_INT(shale_synth_new(&s, old, &then), 0);
	for (; *paths; paths++)
		CHECK_INT(shale_synth_add(s, *paths, SHALE_SYNTH_LINK, "x", 0,
					  &then),
			  0);
	CHECK_INT(shale_synth_seal(s), 0);
	return s;
}

static const struct shale_synth_node *walk(const struct shale_synth *s,
					   const char *path)
{
	uint64_t dir = SHALE_SYNTH_ROOT;
	const struct shale_synth_node *node = NULL;

	for (;;) {
		size_t len = strcspn(path, "/");
		node = shale_synth_lookup(s, dir, path, len);
		if (!node || !path[len])
			return node;
		dir = node->ino;
		path += len + 1;
	}
}

TEST(directories_above_a_path_are_made_and_listed)
{
	static const char *const paths[] = {"r/by-tag/a", "r/by-tag/b",
					    "r/by-id/c", NULL};
	struct shale_synth *s = build(NULL, paths);

	const struct shale_synth_node *dir = walk(s, "r/by-tag");
	CHECK(dir && dir->kind == SHALE_SYNTH_DIR);
	const struct shale_synth_node *a = shale_synth_next(s, dir->ino, 0);
	const struct shale_synth_node *b =
		shale_synth_next(s, dir->ino, a->ino);
	CHECK(a && b && strcmp(a->name, b->name) != 0);
	CHECK(!shale_synth_next(s, dir->ino, b->ino));
	CHECK_INT(walk(s, "r")->subdirs, 2);
	CHECK(!walk(s, "r/by-tag/c"));
	CHECK(!shale_synth_get(s, 1000000));
	shale_synth_unref(s);
}

TEST(a_path_keeps_its_number_when_others_come_and_go)
{
	static const char *const before[] = {"r/a", "r/b", "r/c", NULL};
	static const char *const after[] = {"q/new", "r/c", "r/d", "r/a", NULL};
	struct shale_synth *old = build(NULL, before);
	uint64_t a = walk(old, "r/a")->ino, b = walk(old, "r/b")->ino;
	uint64_t c = walk(old, "r/c")->ino;
	struct shale_synth *s = build(old, after);
	shale_synth_unref(old);

	CHECK_INT(walk(s, "r/a")->ino, a);
	CHECK_INT(walk(s, "r/c")->ino, c);
	CHECK(!shale_synth_get(s, b));
	CHECK(walk(s, "r/d")->ino > c && walk(s, "q")->ino > c);

	/* and b's is not given again, not even later */
	struct shale_synth *last = build(s, before);
	CHECK(walk(last, "r/b")->ino != b);
	shale_synth_unref(last);
	shale_synth_unref(s);
}

TEST(a_name_that_becomes_another_kind_gets_another_number)
{
	static const char *const link[] = {"r/x", NULL};
	static const char *const dir[] = {"r/x/y", NULL};
	struct shale_synth *old = build(NULL, link);
	struct shale_synth *s = build(old, dir);

	CHECK(walk(s, "r/x")->ino != walk(old, "r/x")->ino);
	shale_synth_unref(s);
	shale_synth_unref(old);
}

TEST(the_first_of_two_at_one_path_stays)
{
	struct shale_synth *s;
	CHECK_INT(shale_synth_new(&s, NULL, &then), 0);
	CHECK_INT(shale_synth_add(s, "a", SHALE_SYNTH_TREE, NULL, 7, &then), 0);
	CHECK_INT(shale_synth_add(s, "a", SHALE_SYNTH_LINK, "x", 0, &then), 0);
	CHECK_INT(shale_synth_add(s, "a/b", SHALE_SYNTH_LINK, "x", 0, &then),
		  0);
	CHECK_INT(shale_synth_seal(s), 0);
	CHECK_INT(walk(s, "a")->tree, 7);
	CHECK(!walk(s, "a/b"));
	shale_synth_unref(s);
}

TEST(thousands_of_names_are_listed_once_each_in_order_of_numbers)
{
	struct shale_synth *s;
	char path[40];
	CHECK_INT(shale_synth_new(&s, NULL, &then), 0);
	for (int i = 0; i < 5000; i++) {
		snprintf(path, sizeof(path), "d/%d", i);
		CHECK_INT(shale_synth_add(s, path, SHALE_SYNTH_TREE, NULL,
					  (uint32_t)i, &then),
			  0);
	}
	CHECK_INT(shale_synth_seal(s), 0);
	uint64_t dir = walk(s, "d")->ino, after = 0;
	const struct shale_synth_node *node;
	int n = 0;
	while ((node = shale_synth_next(s, dir, after))) {
		CHECK(node->ino > after);
		after = node->ino;
		n++;
	}
	CHECK_INT(n, 5000);
	CHECK_INT(walk(s, "d/4321")->tree, 4321);
	shale_synth_unref(s);
}

/* What the process after this one knows. */
static struct shale_synth *reload(const struct shale_buf *file, size_t len,
				  size_t used_want)
{
	struct shale_synth *s;
	struct shale_err err;
	size_t used;

	CHECK_INT(shale_synth_load(&s, file->data, len, &used, &err), 0);
	CHECK_INT(used, used_want);
	return s;
}

TEST(numbers_are_kept_by_the_next_process)
{
	static const char *const before[] = {"r/a", "r/b", "q/a", NULL};
	static const char *const between[] = {"r/b", "q/a", "q/new", NULL};
	static const char *const after[] = {"r/a", "r/b", "q/newer", NULL};
	cleanup_buf struct shale_buf file = {0};

	struct shale_synth *one = build(NULL, before);
	CHECK_INT(shale_synth_save(one, NULL, &file), 0);
	struct shale_synth *two = build(one, between);
	CHECK_INT(shale_synth_save(two, one, &file), 0);
	struct shale_synth *known = reload(&file, file.len, file.len);
	struct shale_synth *three = build(known, after);

	CHECK_INT(walk(three, "r")->ino, walk(one, "r")->ino);
	CHECK_INT(walk(three, "r/b")->ino, walk(two, "r/b")->ino);
	CHECK_INT(walk(three, "r/a")->ino, walk(one, "r/a")->ino);
	CHECK(walk(three, "q/newer")->ino > walk(two, "q/new")->ino);
	shale_synth_unref(one);
	shale_synth_unref(two);
	shale_synth_unref(known);
	shale_synth_unref(three);
}

TEST(the_last_to_have_a_path_is_known_to_the_next_process)
{
	static const char *const paths[] = {"r/a", NULL};
	cleanup_buf struct shale_buf file = {0};
	struct shale_synth *two, *three;

	struct shale_synth *one = build(NULL, paths);
	CHECK_INT(shale_synth_save(one, NULL, &file), 0);
	CHECK_INT(shale_synth_new(&two, one, &then), 0);
	CHECK_INT(shale_synth_add(two, "r/a", SHALE_SYNTH_LINK, "y", 0, &then),
		  0);
	CHECK_INT(shale_synth_seal(two), 0);
	CHECK_INT(shale_synth_save(two, one, &file), 0);
	struct shale_synth *known = reload(&file, file.len, file.len);
	CHECK_INT(shale_synth_new(&three, known, &then), 0);
	CHECK_INT(
		shale_synth_add(three, "r/a", SHALE_SYNTH_LINK, "y", 0, &then),
		0);
	CHECK_INT(shale_synth_seal(three), 0);
	CHECK(walk(two, "r/a")->ino != walk(one, "r/a")->ino);
	CHECK_INT(walk(three, "r/a")->ino, walk(two, "r/a")->ino);
	shale_synth_unref(one);
	shale_synth_unref(two);
	shale_synth_unref(known);
	shale_synth_unref(three);
}

TEST(saved_numbers_that_were_torn_are_given_again)
{
	static const char *const paths[] = {"r/a", "r/b", NULL};
	cleanup_buf struct shale_buf file = {0};

	struct shale_synth *s = build(NULL, paths);
	CHECK_INT(shale_synth_save(s, NULL, &file), 0);
	size_t each = file.len / 3, last = 0;
	for (size_t len = 0; len <= file.len; len++) {
		struct shale_synth *known;
		struct shale_err err;
		size_t used;
		CHECK_INT(shale_synth_load(&known, file.data, len, &used, &err),
			  0);
		CHECK(used <= len && used >= last && len - used <= each + 1);
		last = used;
		struct shale_synth *next = build(known, paths);
		CHECK_INT(walk(next, "r")->ino, walk(s, "r")->ino);
		CHECK_INT(walk(next, "r/b")->ino, walk(s, "r/b")->ino);
		shale_synth_unref(next);
		shale_synth_unref(known);
	}
	CHECK_INT(last, file.len);
	shale_synth_unref(s);
}

TEST(saved_numbers_that_make_no_sense_are_refused)
{
	static const char *const paths[] = {"r/a", NULL};
	cleanup_buf struct shale_buf file = {0}, twice = {0};
	struct shale_synth *known;
	struct shale_err err;
	size_t used;

	struct shale_synth *s = build(NULL, paths);
	CHECK_INT(shale_synth_save(s, NULL, &file), 0);
	CHECK_INT(shale_buf_append(&twice, file.data, file.len), 0);
	CHECK_INT(shale_buf_append(&twice, file.data, file.len), 0);
	CHECK_INT(shale_synth_load(&known, twice.data, twice.len, &used, &err),
		  -EUCLEAN);
	CHECK_INT(shale_synth_load(&known, file.data + file.len / 2,
				   file.len / 2, &used, &err),
		  0);
	CHECK_INT(used, 0);
	shale_synth_unref(known);
	shale_synth_unref(s);
}
