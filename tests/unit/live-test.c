/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/check.h"
#include "tests/unit/live-rig.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

TEST(an_untouched_workspace_shows_the_base)
{
	struct rig *rig = rig_sample();

	CHECK_STR(rig_list(rig, ""), "d/ e/ f g l@");
	CHECK_STR(rig_list(rig, "d"), "a b s/");
	CHECK_STR(rig_text(rig, "d/s/x"), "deep");
	CHECK_INT(rig_ino(rig, "f"), rig_ino(rig, "g"));
	CHECK_INT(rig_stat(rig, "f").nlink, 2);
	CHECK_INT(rig_stat(rig, "d").nlink, 3);
	CHECK_INT(rig_stat(rig, "f").generation, 0);
	rig_free(rig);
}

TEST(both_names_of_a_base_inode_show_a_change_also_after_a_remount)
{
	struct rig *rig = rig_sample();

	rig_write(rig, "f", 0, "F");
	rig_write(rig, "g", 4, "!!");
	CHECK_STR(rig_text(rig, "f"), "File!!");
	rig_remount(rig);
	CHECK_STR(rig_text(rig, "f"), "File!!");
	CHECK_STR(rig_text(rig, "g"), "File!!");
	rig_commit(rig);
	CHECK_STR(rig_text(rig, "g"), "File!!");
	rig_remount(rig);
	CHECK_STR(rig_text(rig, "g"), "File!!");
	rig_free(rig);
}

/*
 * What a name goes through, in letters: d deleted, m made, r replaced by a
 * rename, c committed, R remounted; then what is there and whether the next
 * layer needs a tombstone to say that it is not.
 */
static const struct row {
	const char *base, *steps, *text;
} rows[] = {
	{"a", "", "alpha"},        {"a", "d", NULL},
	{"a", "dm", "made"},       {"a", "dmd", NULL},
	{"a", "dcm", "made"},      {"a", "dcmcd", NULL},
	{"a", "dcRm", "made"},     {"a", "dcRmd", NULL},
	{"a", "r", "moved"},       {"a", "rd", NULL},
	{"a", "rcRd", NULL},       {"a", "rcRdm", "made"},
	{"a", "drcR", "moved"},    {"n", "m", "made"},
	{"n", "md", NULL},         {"n", "mcd", NULL},
	{"n", "mcdR", NULL},       {"n", "mcdcR", NULL},
	{"n", "mcRd", NULL},       {"n", "mcRdcRm", "made"},
	{"n", "mrcRrcR", "moved"}, {"n", "mcdmcR", "made"},
};

TEST(a_name_is_what_its_last_change_made_it_through_commits_and_remounts)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rig *rig = rig_sample();
		char path[10];

		snprintf(path, sizeof(path), "d/%s", rows[i].base);
		for (const char *s = rows[i].steps; *s; s++) {
			if (*s == 'd')
				CHECK_INT(rig_unlink(rig, path), 0);
			if (*s == 'm')
				rig_file(rig, path, "made");
			if (*s == 'r') {
				rig_file(rig, "e/t", "moved");
				CHECK_INT(rig_rename(rig, "e/t", path, 0), 0);
			}
			if (*s == 'c')
				rig_commit(rig);
			if (*s == 'R')
				rig_remount(rig);
		}
		bool there = rig_ino(rig, path) != 0;
		CHECK_INT(there, rows[i].text != NULL);
		if (there)
			CHECK_STR(rig_text(rig, path), rows[i].text);
		CHECK_STR(rig_list(rig, "d"),
			  rows[i].base[0] == 'n'
				  ? (there ? "a b n s/" : "a b s/")
				  : (there ? "a b s/" : "b s/"));
		CHECK_STR(rig_list(rig, "e"), "");
		rig_free(rig);
	}
}

static const char *path_of(struct rig *rig, const char *name, bool search)
{
	static struct shale_buf path;

	path.len = 0;
	int r = shale_live_path(rig->live, rig_ino(rig, name), search, &path);
	return r < 0 ? "none" : shale_buf_str(&path);
}

TEST(an_inode_has_the_path_that_it_has_now)
{
	struct rig *rig = rig_sample();

	CHECK_STR(path_of(rig, "", false), "/");
	CHECK_STR(path_of(rig, "d/s/x", false), "/d/s/x");
	CHECK_INT(rig_unlink(rig, "f"), 0); /* "g" is another name of it */
	CHECK_STR(path_of(rig, "g", false), "/g");
	rig_make(rig, "e/new", S_IFDIR | 0700);
	rig_file(rig, "e/new/file", "text");
	CHECK_INT(rig_rename(rig, "d/s", "e/new/t", 0), 0);
	CHECK_STR(path_of(rig, "e/new", false), "/e/new");
	CHECK_STR(path_of(rig, "e/new/t/x", false), "/e/new/t/x");
	CHECK_STR(path_of(rig, "e/new/file", false), "none");
	CHECK_STR(path_of(rig, "e/new/file", true), "/e/new/file");
	CHECK_INT(rig_rename(rig, "d/a", "e/b", 0), 0);
	CHECK_STR(path_of(rig, "e/b", true), "/e/b");
	rig_commit(rig);
	rig_remount(rig);
	CHECK_STR(path_of(rig, "e/b", false), "/e/b");
	CHECK_STR(path_of(rig, "e/new/t/x", false), "/e/new/t/x");
	uint64_t ino = rig_ino(rig, "e/b");
	cleanup_buf struct shale_buf path = {0};
	CHECK_INT(rig_unlink(rig, "e/b"), 0);
	CHECK(shale_live_path(rig->live, ino, true, &path) < 0);
	CHECK_INT(path.len, 0);
	rig_free(rig);
}

TEST(a_directory_that_is_made_again_is_empty)
{
	struct rig *rig = rig_sample();

	CHECK_INT(rig_rmdir(rig, "d/s"), -ENOTEMPTY);
	CHECK_INT(rig_unlink(rig, "d/s/x"), 0);
	CHECK_INT(rig_rmdir(rig, "d/s"), 0);
	CHECK_INT(rig_stat(rig, "d").nlink, 2);
	rig_make(rig, "d/s", S_IFDIR | 0700);
	CHECK_STR(rig_list(rig, "d/s"), "");
	rig_commit(rig);
	rig_remount(rig);
	CHECK_STR(rig_list(rig, "d/s"), "");
	CHECK_INT(rig_stat(rig, "d").nlink, 3);
	CHECK_INT(rig_stat(rig, "d/s").mode, S_IFDIR | 0700);
	rig_free(rig);
}

TEST(renaming_a_base_directory_moves_one_node)
{
	struct rig *rig = rig_sample();
	struct shale_live_counts counts;
	uint64_t x = rig_ino(rig, "d/s/x");

	CHECK_INT(rig_rename(rig, "d/s", "e/s2", 0), 0);
	CHECK_INT(rig_ino(rig, "e/s2/x"), x);
	CHECK_INT(rig_stat(rig, "d").nlink, 2);
	CHECK_INT(rig_stat(rig, "e").nlink, 3);
	CHECK_INT(rig_ino(rig, "e/s2/.."), rig_ino(rig, "e"));
	CHECK_INT(rig_rename(rig, "e", "e/s2/e", 0), -EINVAL);
	CHECK_INT(rig_rename(rig, "e/s2", "e", 0), -ENOTEMPTY);
	CHECK_INT(shale_live_counts(rig->live, &counts), 0);
	CHECK_INT(counts.dirty_inodes, 3);
	rig_commit(rig);
	rig_remount(rig);
	CHECK_STR(rig_text(rig, "e/s2/x"), "deep");
	CHECK_INT(rig_ino(rig, "e/s2/x"), x);
	rig_free(rig);
}

TEST(exchange_swaps_a_file_and_a_directory)
{
	struct rig *rig = rig_sample();

	CHECK_INT(rig_rename(rig, "d/s", "f", RENAME_EXCHANGE), 0);
	CHECK_STR(rig_text(rig, "d/s"), "file");
	CHECK_STR(rig_text(rig, "f/x"), "deep");
	CHECK_INT(rig_stat(rig, "d").nlink, 2);
	CHECK_INT(rig_stat(rig, "").nlink, 5);
	CHECK_INT(rig_ino(rig, "f/.."), 1);
	CHECK_INT(rig_rename(rig, "f", "nope", RENAME_EXCHANGE), -ENOENT);
	CHECK_INT(rig_rename(rig, "f", "e", RENAME_NOREPLACE), -EEXIST);
	CHECK_INT(rig_rename(rig, "f", "g", 8), -EINVAL);
	rig_free(rig);
}

TEST(a_whiteout_stays_where_a_directory_was_and_is_committed)
{
	struct rig *rig = rig_sample();

	CHECK_INT(
		rig_rename(rig, "d", "e/d", RENAME_WHITEOUT | RENAME_NOREPLACE),
		0);
	CHECK_INT(rig_rename(rig, "f", "e", RENAME_WHITEOUT | RENAME_EXCHANGE),
		  -EINVAL);
	rig_commit(rig);
	rig_remount(rig);
	CHECK_STR(rig_text(rig, "e/d/s/x"), "deep");
	CHECK_INT(rig_stat(rig, "d").mode, S_IFCHR);
	CHECK_INT(rig_stat(rig, "d").nlink, 1);
	CHECK_INT(rig_stat(rig, "d").rdev_major, 0);
	CHECK_INT(rig_stat(rig, "e").nlink, 3);
	rig_free(rig);
}

TEST(an_open_file_outlives_its_name)
{
	struct rig *rig = rig_sample();
	uint64_t ino = rig_ino(rig, "d/a"), handle, end;
	struct shale_caller who = {.request.unique = 7};
	struct shale_node node;
	char data[20];
	size_t got;

	CHECK_INT(shale_live_opened(rig->live, &who, ino, &handle), 0);
	CHECK_INT(rig_unlink(rig, "d/a"), 0);
	CHECK_INT(shale_live_getattr(rig->live, ino, &node), 0);
	CHECK_INT(node.nlink, 0);
	CHECK_INT(shale_live_write(rig->live, &who, ino, 5, "bet", 3, false),
		  0);
	rig_commit(rig);
	struct shale_set set = {.what = SHALE_SET_SIZE | SHALE_SET_MODE,
				.size = 9,
				.mode = 0600};
	CHECK_INT(shale_live_setattr(rig->live, &who, ino, &set, &node), 0);
	CHECK_INT(shale_live_fallocate(rig->live, &who, ino, 0, 0, 10, false),
		  0);
	CHECK_INT(shale_live_seek(rig->live, ino, 0, SEEK_HOLE, &end), 0);
	CHECK_INT(shale_live_fsync(rig->live, ino, false, NULL), 0);
	CHECK_INT(shale_live_read(rig->live, ino, 0, data, 20, &got, NULL), 0);
	CHECK_INT(got, 10);
	CHECK_MEM(data, "alphabet\0\0", 10);
	shale_live_released(rig->live, handle);
	CHECK_INT(shale_live_getattr(rig->live, ino, &node), -ESTALE);
	CHECK_INT(shale_live_opened(rig->live, &who, ino, &handle), -ESTALE);
	rig_remount(rig);
	CHECK_INT(shale_live_getattr(rig->live, ino, &node), -ESTALE);
	rig_free(rig);
}

TEST(a_file_that_lost_its_name_gets_no_other_and_is_gone_from_the_counts)
{
	struct rig *rig = rig_sample();
	struct shale_caller who = {.request.unique = 21};
	struct shale_live_counts before, after;
	struct shale_node node;
	uint64_t ino = rig_file(rig, "once", "text"), handle;

	rig_commit(rig);
	CHECK_INT(shale_live_counts(rig->live, &before), 0);
	CHECK_INT(shale_live_opened(rig->live, &who, ino, &handle), 0);
	CHECK_INT(rig_unlink(rig, "once"), 0);
	CHECK_INT(shale_live_link(rig->live, &who, ino, 1, "again", 5, &node),
		  -ENOENT);
	shale_live_released(rig->live, handle);
	rig_remount(rig);
	CHECK_INT(shale_live_counts(rig->live, &after), 0);
	CHECK_INT(after.inodes, before.inodes - 1);
	rig_free(rig);
}

TEST(a_nameless_file_is_linked_after_a_commit_and_is_in_the_next)
{
	struct rig *rig = rig_sample();
	struct shale_caller who = {.request.unique = 9};
	struct shale_node node;
	uint64_t handle;

	CHECK_INT(shale_live_tmpfile(rig->live, &who, 1, 0600, &node), 0);
	CHECK_INT(shale_live_opened(rig->live, &who, node.ino, &handle), 0);
	CHECK_INT(shale_live_write(rig->live, &who, node.ino, 0, "temp", 4,
				   false),
		  0);
	rig_commit(rig);
	CHECK_INT(shale_live_link(rig->live, &who, node.ino, 1, "named", 5,
				  &node),
		  0);
	CHECK_INT(node.nlink, 1);
	shale_live_released(rig->live, handle);
	CHECK_STR(rig_text(rig, "named"), "temp");
	rig_remount(rig);
	CHECK_STR(rig_text(rig, "named"), "temp");
	rig_commit(rig);
	rig_remount(rig);
	CHECK_STR(rig_text(rig, "named"), "temp");
	rig_free(rig);
}

TEST(a_removed_directory_that_is_open_is_empty_and_takes_no_names)
{
	struct rig *rig = rig_sample();
	struct shale_caller who = {.request.unique = 11};
	struct shale_make what = {.mode = S_IFREG | 0600};
	uint64_t ino = rig_ino(rig, "e"), handle;
	struct shale_node node;

	CHECK_INT(shale_live_opened(rig->live, &who, ino, &handle), 0);
	CHECK_INT(rig_rmdir(rig, "e"), 0);
	CHECK_INT(shale_live_getattr(rig->live, ino, &node), 0);
	CHECK_INT(node.nlink, 0);
	CHECK_INT(shale_live_make(rig->live, &who, ino, "x", 1, &what, &node),
		  -ENOENT);
	shale_live_released(rig->live, handle);
	CHECK_INT(shale_live_getattr(rig->live, ino, &node), 0);
	shale_live_forgotten(rig->live, ino);
	CHECK_INT(shale_live_getattr(rig->live, ino, &node), -ESTALE);
	rig_free(rig);
}

TEST(a_nameless_fifo_is_there_until_the_kernel_forgets_it)
{
	struct rig *rig = rig_sample();
	struct shale_make what = {.mode = S_IFIFO | 0600};
	struct shale_set set = {.what = SHALE_SET_MODE, .mode = 0640};
	struct shale_node node;

	CHECK_INT(shale_live_make(rig->live, &rig_caller, SHALE_ROOT_INO,
				  "fifo", 4, &what, &node),
		  0);
	CHECK_INT(rig_unlink(rig, "fifo"), 0);
	CHECK_INT(shale_live_setattr(rig->live, &rig_caller, node.ino, &set,
				     &node),
		  0);
	CHECK_INT(node.mode, S_IFIFO | 0640);
	shale_live_forgotten(rig->live, node.ino);
	CHECK_INT(shale_live_getattr(rig->live, node.ino, &node), -ESTALE);
	rig_free(rig);
}

TEST(numbers_of_inodes_are_never_given_twice)
{
	struct rig *rig = rig_sample();
	uint64_t last = 0;

	for (int i = 0; i < 6; i++) {
		uint64_t ino = rig_file(rig, "n", "x");
		CHECK(ino > last);
		last = ino;
		CHECK_INT(rig_unlink(rig, "n"), 0);
		if (i == 1 || i == 4)
			rig_commit(rig);
		if (i == 2 || i == 4)
			rig_remount(rig);
	}
	rig_free(rig);
}

TEST(impossible_names_and_targets_are_refused)
{
	struct rig *rig = rig_sample();
	struct shale_make file = {.mode = S_IFREG | 0600};
	struct shale_make link = {.mode = S_IFLNK, .target = "", 0};
	struct shale_node node;
	char name[300];

	memset(name, 'n', sizeof(name));
	CHECK_INT(shale_live_make(rig->live, &rig_caller, 1, name, 256, &file,
				  &node),
		  -ENAMETOOLONG);
	CHECK_INT(shale_live_make(rig->live, &rig_caller, 1, name, 255, &file,
				  &node),
		  0);
	CHECK_INT(shale_live_make(rig->live, &rig_caller, 1, "f", 1, &file,
				  &node),
		  -EEXIST);
	CHECK_INT(shale_live_make(rig->live, &rig_caller, 1, "..", 2, &file,
				  &node),
		  -EEXIST);
	CHECK_INT(shale_live_make(rig->live, &rig_caller, 1, "k", 1, &link,
				  &node),
		  -ENOENT);
	CHECK_INT(shale_live_make(rig->live, &rig_caller, rig_ino(rig, "f"),
				  "k", 1, &file, &node),
		  -ENOTDIR);
	CHECK_INT(rig_unlink(rig, "d"), -EISDIR);
	CHECK_INT(rig_rmdir(rig, "f"), -ENOTDIR);
	CHECK_INT(rig_unlink(rig, "nope"), -ENOENT);
	CHECK_INT(rig_link(rig, "d", "d2"), -EPERM);
	CHECK_INT(shale_live_lookup(rig->live, 1 << 20, "x", 1, &node),
		  -ESTALE);
	rig_free(rig);
}
