/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Discarding paths: what comes back, what goes, what is refused.  (Random ones,
 * and everything at once, are in live-model-discard.c.)
 */
#include "tests/lib/check.h"
#include "tests/unit/live-rig.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* An image with d/a "a", d/b "b", d/e/f "f", f "top", h and d/h one file. */
static struct rig *base(void)
{
	struct rig *rig = rig_new();

	rig_make(rig, "d", S_IFDIR | 0755);
	rig_make(rig, "d/e", S_IFDIR | 0755);
	rig_make(rig, "x", S_IFDIR | 0755);
	rig_file(rig, "d/a", "a");
	rig_file(rig, "d/b", "b");
	rig_file(rig, "d/e/f", "f");
	rig_file(rig, "f", "top");
	rig_file(rig, "h", "hard");
	CHECK_INT(rig_link(rig, "h", "d/h"), 0);
	rig_commit(rig);
	return rig;
}

static int discard(struct rig *rig, const char *path, struct shale_err *err)
{
	struct shale_live_discarded done;

	return shale_live_discard(rig->live, &path, path ? 1 : 0, NULL, &done,
				  err);
}

/* In both ways: with the commit in the pinned base, and behind it. */
static void in_both(void (*test)(struct rig *rig))
{
	for (int mounted = 0; mounted < 2; mounted++) {
		struct rig *rig = base();
		if (mounted)
			rig_remount(rig);
		test(rig);
		rig_remount(rig);
		rig_free(rig);
	}
}

static uint64_t used(struct rig *rig)
{
	struct shale_live_counts counts;
	CHECK_INT(shale_live_counts(rig->live, &counts), 0);
	return counts.used_bytes;
}

/* ---------------------------------------------------------- what comes back */

static void one_file(struct rig *rig)
{
	struct shale_err err;

	rig_write(rig, "d/a", 0, "changed");
	rig_write(rig, "d/b", 0, "changed");
	CHECK_OK(discard(rig, "/d/a", &err));
	CHECK_STR(rig_text(rig, "d/a"), "a");
	CHECK_STR(rig_text(rig, "d/b"), "changed");
	CHECK_INT(rig_stat(rig, "d/a").size, 1);
}

TEST(a_file_is_as_in_the_image_and_its_neighbour_is_left_alone)
{
	in_both(one_file);
}

static void a_tree(struct rig *rig)
{
	struct shale_err err;

	CHECK_INT(rig_unlink(rig, "d/a"), 0);
	CHECK_INT(rig_unlink(rig, "d/e/f"), 0);
	CHECK_INT(rig_rmdir(rig, "d/e"), 0);
	rig_file(rig, "d/new", "new");
	rig_make(rig, "d/dir", S_IFDIR | 0755);
	rig_file(rig, "d/dir/file", "new");
	CHECK_INT(rig_rename(rig, "d/b", "d/c", 0), 0);
	rig_write(rig, "f", 0, "outside");
	CHECK_OK(discard(rig, "d", &err));
	CHECK_STR(rig_list(rig, "d"), "a b e/ h");
	CHECK_STR(rig_list(rig, "d/e"), "f");
	CHECK_STR(rig_text(rig, "d/e/f"), "f");
	CHECK_STR(rig_text(rig, "d/b"), "b");
	CHECK_STR(rig_text(rig, "f"), "outside");
	CHECK_INT(rig_stat(rig, "d").nlink, 3);
}

TEST(a_tree_is_as_in_the_image_whatever_was_made_and_removed_in_it)
{
	in_both(a_tree);
}

static void removed(struct rig *rig)
{
	struct shale_err err;

	uint64_t ino = rig_ino(rig, "d");
	CHECK_INT(rig_unlink(rig, "d/a"), 0);
	CHECK_INT(rig_unlink(rig, "d/b"), 0);
	CHECK_INT(rig_unlink(rig, "d/h"), 0);
	CHECK_INT(rig_unlink(rig, "d/e/f"), 0);
	CHECK_INT(rig_rmdir(rig, "d/e"), 0);
	CHECK_INT(rig_rmdir(rig, "d"), 0);
	shale_live_forgotten(rig->live, ino);
	CHECK_INT(rig_stat(rig, "h").nlink, 1);
	CHECK_OK(discard(rig, "d", &err));
	CHECK_STR(rig_list(rig, ""), "d/ f h x/");
	CHECK_STR(rig_list(rig, "d"), "a b e/ h");
	CHECK_INT(rig_ino(rig, "d"), ino);
	CHECK_INT(rig_stat(rig, "h").nlink, 2);
	CHECK_INT(rig_stat(rig, "").nlink, 4);
	CHECK_INT(rig_ino(rig, "d/h"), rig_ino(rig, "h"));
}

TEST(a_directory_that_was_removed_is_back_with_all_that_was_in_it)
{
	in_both(removed);
}

static void replaced(struct rig *rig)
{
	struct shale_err err;

	CHECK_INT(rig_unlink(rig, "f"), 0);
	rig_make(rig, "f", S_IFDIR | 0755);
	rig_file(rig, "f/new", "new");
	CHECK_OK(discard(rig, "f", &err));
	CHECK_STR(rig_text(rig, "f"), "top");
	CHECK_INT(rig_stat(rig, "").nlink, 4);
}

TEST(a_directory_in_the_place_of_a_file_goes)
{
	in_both(replaced);
}

static void new_one(struct rig *rig)
{
	struct shale_err err;

	uint64_t before = used(rig);
	uint64_t dir = rig_make(rig, "new", S_IFDIR | 0755);
	rig_file(rig, "new/file", "text");
	CHECK_INT(rig_link(rig, "new/file", "x/kept"), 0);
	CHECK_OK(discard(rig, "new", &err));
	shale_live_forgotten(rig->live, dir);
	CHECK_STR(rig_list(rig, ""), "d/ f h x/");
	CHECK_STR(rig_text(rig, "x/kept"), "text");
	CHECK_INT(rig_stat(rig, "x/kept").nlink, 1);
	CHECK_OK(discard(rig, "x/kept", &err));
	CHECK_STR(rig_list(rig, "x"), "");
	/* Directories are as they were, too, their times among that. */
	CHECK_INT(used(rig), before);
}

TEST(what_is_new_goes_but_a_name_elsewhere_keeps_the_file)
{
	in_both(new_one);
}

static void both_names(struct rig *rig)
{
	struct shale_err err;

	rig_write(rig, "h", 0, "HARD");
	CHECK_OK(discard(rig, "d/h", &err));
	CHECK_STR(rig_text(rig, "h"), "hard");
	CHECK_INT(rig_stat(rig, "h").nlink, 2);
	CHECK_INT(rig_unlink(rig, "h"), 0);
	rig_write(rig, "d/h", 0, "HARD");
	CHECK_OK(discard(rig, "d/h", &err));
	CHECK_STR(rig_text(rig, "d/h"), "hard");
	CHECK_INT(rig_stat(rig, "d/h").nlink, 1);
	CHECK_OK(discard(rig, "h", &err));
	CHECK_INT(rig_stat(rig, "d/h").nlink, 2);
}

TEST(a_file_with_two_names_is_reset_under_both)
{
	in_both(both_names);
}

static void file_moved_out(struct rig *rig)
{
	struct shale_err err;

	CHECK_INT(rig_rename(rig, "d/a", "x/a", 0), 0);
	CHECK_OK(discard(rig, "d", &err));
	CHECK_STR(rig_text(rig, "d/a"), "a");
	CHECK_INT(rig_ino(rig, "d/a"), rig_ino(rig, "x/a"));
	CHECK_INT(rig_stat(rig, "d/a").nlink, 2);
	CHECK_OK(discard(rig, "x", &err));
	CHECK_INT(rig_stat(rig, "d/a").nlink, 1);
	CHECK_STR(rig_list(rig, "x"), "");
}

TEST(a_file_that_moved_out_is_back_and_keeps_its_other_name)
{
	in_both(file_moved_out);
}

static void file_moved_in(struct rig *rig)
{
	struct shale_err err;

	CHECK_INT(rig_rename(rig, "f", "d/f", 0), 0);
	CHECK_OK(discard(rig, "d", &err));
	CHECK_STR(rig_list(rig, ""), "d/ h x/");
	CHECK_STR(rig_list(rig, "d"), "a b e/ h");
	CHECK_OK(discard(rig, "f", &err));
	CHECK_STR(rig_text(rig, "f"), "top");
}

TEST(a_file_that_moved_in_goes_until_its_own_place_is_discarded)
{
	in_both(file_moved_in);
}

/* --------------------------------------------------------- what is refused */

static void dir_moved(struct rig *rig)
{
	const char *both[] = {"d/e", "x"};
	struct shale_live_discarded done;
	struct shale_err err;

	CHECK_INT(rig_rename(rig, "d/e", "x/e", 0), 0);
	rig_file(rig, "x/e/new", "new");
	CHECK_INT(discard(rig, "d/e", &err), -EXDEV);
	CHECK(strstr(err.msg, "'/d/e'") != NULL);
	CHECK_INT(discard(rig, "x", &err), -EXDEV);
	CHECK_STR(rig_list(rig, "x/e"), "f new");
	CHECK_OK(shale_live_discard(rig->live, both, 2, NULL, &done, &err));
	CHECK_STR(rig_list(rig, "d"), "a b e/ h");
	CHECK_STR(rig_list(rig, "d/e"), "f");
	CHECK_STR(rig_list(rig, "x"), "");
	CHECK_INT(rig_stat(rig, "x").nlink, 2);
	CHECK_INT(rig_stat(rig, "d").nlink, 3);
}

TEST(a_directory_that_moved_is_refused_unless_both_places_are_named)
{
	in_both(dir_moved);
}

static void above(struct rig *rig)
{
	struct shale_err err;

	CHECK_INT(rig_rename(rig, "d", "x/d", 0), 0);
	CHECK_INT(discard(rig, "/d/a", &err), -EXDEV);
	CHECK(strstr(err.msg, "'/d'") != NULL);
	rig_make(rig, "d", S_IFDIR | 0755);
	CHECK_INT(discard(rig, "/d/a", &err), -EXDEV);
	CHECK_INT(discard(rig, "/none/a", &err), -ENOKEY);
	CHECK_INT(discard(rig, "/none", &err), -ENOKEY);
	CHECK_INT(discard(rig, "/f/../f", &err), -EINVAL);
	CHECK_OK(discard(rig, "/", &err));
	CHECK_STR(rig_list(rig, ""), "d/ f h x/");
	CHECK_STR(rig_list(rig, "d"), "a b e/ h");
}

TEST(a_path_below_another_directory_than_the_image_has_is_refused)
{
	in_both(above);
}

/* ------------------------------------------------------------- open, crash */

static void open_file(struct rig *rig)
{
	struct shale_caller who = {.request.unique = 7};
	struct shale_live_discarded done;
	struct shale_err err;
	uint64_t handle, ino = rig_file(rig, "new", "mine");
	char data[8] = "";
	size_t got;

	CHECK_INT(shale_live_opened(rig->live, &who, ino, &handle), 0);
	CHECK_OK(discard(rig, NULL, &err));
	CHECK_INT(rig_ino(rig, "new"), 0);
	CHECK_INT(shale_live_read(rig->live, ino, 0, data, 8, &got, NULL), 0);
	CHECK_STR(data, "mine");
	CHECK_INT(
		shale_live_write(rig->live, &rig_caller, ino, 4, "!", 1, false),
		0);
	/* It has gone: there is nothing of it to discard any more. */
	CHECK_OK(shale_live_discard(rig->live, NULL, 0, NULL, &done, &err));
	CHECK_INT(done.inodes, 0);
	shale_live_released(rig->live, handle);
	CHECK_INT(shale_live_read(rig->live, ino, 0, data, 8, &got, NULL), -ESTALE);
	CHECK_INT(used(rig), 0);
}

TEST(an_open_file_that_is_new_lives_until_it_is_closed)
{
	in_both(open_file);
}

static void crashed(struct rig *rig)
{
	struct shale_batch batch = {0};
	struct shale_err err;

	rig_write(rig, "f", 0, "changed");
	rig_file(rig, "new", "new");
	CHECK_INT(shale_batch_put(&batch, "D", 1, NULL, 0), 0);
	CHECK_OK(shale_db_commit(rig->ws->db, &batch, NULL, NULL, &err));
	shale_batch_release(&batch);
	rig_remount(rig);
	CHECK_STR(rig_text(rig, "f"), "top");
	CHECK_INT(rig_ino(rig, "new"), 0);
	CHECK_INT(used(rig), 0);
	rig_write(rig, "f", 0, "again");
	rig_remount(rig);
	CHECK_STR(rig_text(rig, "f"), "again");
}

TEST(the_next_open_goes_on_with_a_discard_that_was_begun)
{
	in_both(crashed);
}

struct told {
	unsigned names, inodes;
};

static void told_name(void *arg, uint64_t dir, const char *name, size_t len)
{
	struct told *told = arg;
	CHECK_INT(dir, 1);
	CHECK_INT(len, 3);
	CHECK(!memcmp(name, "new", 3));
	told->names++;
}

static void told_inode(void *arg, uint64_t ino)
{
	struct told *told = arg;
	CHECK(ino != 0);
	told->inodes++;
}

TEST(who_caches_names_and_inodes_is_told_what_to_forget)
{
	struct rig *rig = base();
	struct told told = {0};
	struct shale_live_forget forget = {told_name, told_inode, &told};
	struct shale_live_discarded done;
	struct shale_err err;

	rig_file(rig, "new", "new");
	CHECK_OK(shale_live_discard(rig->live, NULL, 0, &forget, &done, &err));
	CHECK_INT(told.names, 1);
	CHECK_INT(told.inodes, 2); /* the root, and the file */
	CHECK_INT(done.inodes, 2);
	CHECK_OK(shale_live_discard(rig->live, NULL, 0, &forget, &done, &err));
	CHECK_INT(done.inodes, 0);
	rig_free(rig);
}

static void content_without_inode(struct rig *rig)
{
	struct shale_batch batch = {0};
	struct shale_err err;
	uint8_t key[9] = {'I'};
	struct shale_live_counts before, after;
	uint64_t ino = rig_ino(rig, "f");

	CHECK_INT(shale_live_counts(rig->live, &before), 0);
	rig_write(rig, "f", 0, "longer than it was");
	for (int i = 0; i < 8; i++)
		key[1 + i] = (uint8_t)(ino >> (56 - 8 * i));
	/* As a power cut leaves it: the attributes are replayed, the content
	 * is not. */
	CHECK_INT(shale_batch_del(&batch, key, sizeof(key)), 0);
	CHECK_OK(shale_db_commit(rig->ws->db, &batch, NULL, NULL, &err));
	shale_batch_release(&batch);
	rig_remount(rig);
	CHECK_STR(rig_text(rig, "f"), "top");
	CHECK_INT(shale_live_counts(rig->live, &after), 0);
	CHECK_INT(after.bytes, before.bytes);
	CHECK_INT(after.used_bytes, 0);
}

TEST(content_of_an_inode_that_is_as_in_the_base_is_dropped_at_the_next_open)
{
	struct rig *rig = base();
	rig_remount(rig);
	content_without_inode(rig);
	rig_free(rig);
}
