/* SPDX-License-Identifier: Apache-2.0 */
/* What is there after a power cut that comes right behind an fsync. */
#include "fs/workspace/workspace.h"
#include "layers/base/cleanup.h"
#include "tests/lib/check.h"
#include "tests/unit/live-rig.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What somebody else does while data is flushed, once. */
static void (*meanwhile)(struct rig *rig);
static struct rig *meanwhile_on;
/* Of this thread: marks are of another. */
static _Thread_local unsigned flushes, data_flushes;

static bool is_data(int fd)
{
	char link[40], path[600];

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, path, sizeof(path) - 1);
	path[n > 0 ? n : 0] = 0;
	return strstr(path, "/data/") != NULL;
}

/* In place of the C library's. */
int fdatasync(int fd)
{
	bool data = is_data(fd);
	void (*call)(struct rig * rig) = data ? meanwhile : NULL;

	flushes++;
	data_flushes += data;
	if (call) {
		meanwhile = NULL;
		call(meanwhile_on);
	}
	return (int)syscall(SYS_fdatasync, fd);
}

int fsync(int fd)
{
	flushes++;
	return (int)syscall(SYS_fsync, fd);
}

static void fsync_file(struct rig *rig, const char *path)
{
	struct shale_err err;
	CHECK_OK(shale_live_fsync(rig->live, rig_ino(rig, path), false, &err));
}

static void run(const char *command)
{
	CHECK_INT(system(command), 0);
}

/*
 * The workspace as it is now, of another boot; `lost` is not there.  All of the
 * journal is: what counts of it is for the replay to say.
 */
static void power_cut_without(struct rig *rig, const char *lost)
{
	char dir[64], command[256];

	snprintf(dir, sizeof(dir), "/proc/self/fd/%d/workspaces", rig->dirfd);
	snprintf(command, sizeof(command), "cp -a %s/work %s/cut", dir, dir);
	run(command);
	rig_leave(rig);
	snprintf(command, sizeof(command),
		 "cd %s && rm -r work && mv cut work && cd work && "
		 "rm -rf %s && echo other >boot",
		 dir, lost);
	run(command);
	rig_return(rig);
}

static void power_cut(struct rig *rig)
{
	power_cut_without(rig, "");
}

/* More than the journal keeps. */
static void make_large(struct rig *rig, const char *path)
{
	char *zeros = calloc(1, 100000);

	CHECK_INT(shale_live_write(rig->live, &rig_caller, rig_ino(rig, path),
				   1000, zeros, 100000, false),
		  0);
	free(zeros);
}

static struct rig *with_files(void)
{
	struct rig *rig = rig_new();

	rig_file(rig, "a", "old");
	rig_file(rig, "b", "old");
	rig_file(rig, "x", "new");
	rig_file(rig, "y", "new");
	rig_file(rig, "other", "");
	return rig;
}

TEST(what_replaced_a_file_has_its_content_if_the_rename_is_there)
{
	struct rig *rig = with_files();

	CHECK_INT(rig_rename(rig, "x", "a", 0), 0);
	fsync_file(rig, "other");
	power_cut(rig);
	CHECK_STR(rig_text(rig, "a"), "new");
	CHECK_INT(rig_ino(rig, "x"), 0);
	CHECK_STR(rig_text(rig, "y"), ""); /* it was flushed by nobody */
	rig_free(rig);
}

static void unlink_b(struct rig *rig)
{
	CHECK_INT(rig_unlink(rig, "b"), 0);
}

static void replace_b(struct rig *rig)
{
	rig_file(rig, "z", "newest");
	CHECK_INT(rig_rename(rig, "z", "b", 0), 0);
}

/* While `a`, the first one, is flushed, what has replaced `b` goes. */
static struct rig *cut_when_b_went(void (*how)(struct rig *rig))
{
	struct rig *rig = with_files();

	make_large(rig, "x");
	make_large(rig, "y");
	CHECK_INT(rig_rename(rig, "x", "a", 0), 0);
	CHECK_INT(rig_rename(rig, "y", "b", 0), 0);
	meanwhile_on = rig;
	meanwhile = how;
	fsync_file(rig, "other");
	CHECK(!meanwhile);
	power_cut(rig);
	CHECK_STR(rig_text(rig, "a"), "new");
	return rig;
}

TEST(what_is_removed_before_it_is_flushed_is_gone)
{
	struct rig *rig = cut_when_b_went(unlink_b);

	CHECK_INT(rig_ino(rig, "b"), 0);
	rig_free(rig);
}

TEST(what_is_replaced_again_before_it_is_flushed_has_the_last_content)
{
	struct rig *rig = cut_when_b_went(replace_b);

	CHECK_STR(rig_text(rig, "b"), "newest");
	rig_free(rig);
}

/* As the kernel has it from whoever is not root: what gave him privileges goes. */
static void overwrite(struct rig *rig, const char *path, bool *lost)
{
	struct shale_caller user = rig_caller;

	user.uid = user.gid = 1000;
	user.lost_privileges = lost;
	*lost = false;
	CHECK_INT(shale_live_write(rig->live, &user, rig_ino(rig, path), 0,
				   "y", 1, true),
		  0);
	flushes = data_flushes = 0;
	fsync_file(rig, path);
}

TEST(an_ordinary_user_who_overwrites_flushes_data_only)
{
	struct rig *rig = rig_new();
	bool lost;

	rig_file(rig, "f", "xyz");
	CHECK_INT(shale_live_syncfs(rig->live), 0);
	fsync_file(rig, "f");
	overwrite(rig, "f", &lost);
	CHECK(!lost);
	CHECK_INT(flushes, 1);
	CHECK_INT(data_flushes, 1);
	rig_free(rig);
}

TEST(privileges_that_a_write_takes_are_told_and_are_flushed)
{
	struct rig *rig = rig_new();
	struct shale_set set = {.what = SHALE_SET_MODE, .mode = 06777};
	struct shale_node node;
	bool lost;

	uint64_t ino = rig_file(rig, "f", "xyz");
	CHECK_INT(shale_live_setattr(rig->live, &rig_caller, ino, &set, &node),
		  0);
	fsync_file(rig, "f");
	overwrite(rig, "f", &lost);
	CHECK(lost);
	CHECK_INT(flushes, 1); /* of the journal, with the data */
	CHECK_INT(data_flushes, 0);
	power_cut(rig);
	CHECK_INT(rig_stat(rig, "f").mode & 07777, 0777);
	overwrite(rig, "f", &lost);
	CHECK(!lost);
	rig_free(rig);
}

/* Of the data files nothing was flushed: a cut takes them all. */
TEST(a_small_file_is_durable_in_the_journal_without_a_flush_of_its_own)
{
	struct rig *rig = with_files();

	data_flushes = 0;
	rig_file(rig, "small", "content");
	fsync_file(rig, "small");
	rig_write(rig, "small", 3, "TENT");
	fsync_file(rig, "small");
	CHECK_INT(data_flushes, 0);
	power_cut_without(rig, "data/??");
	CHECK_STR(rig_text(rig, "small"), "conTENT");
	rig_free(rig);
}

TEST(what_was_written_over_is_not_what_the_journal_has_of_before)
{
	struct rig *rig = with_files();
	struct shale_err err;

	rig_write(rig, "x", 0, "one");
	fsync_file(rig, "x");
	rig_write(rig, "x", 0, "two");
	/* As a mark does before it is written. */
	CHECK_OK(shale_files_flush(rig->ws->files, 0, &err));
	fsync_file(rig, "x");
	power_cut(rig);
	CHECK_STR(rig_text(rig, "x"), "two");
	rig_free(rig);
}

/* Neither its name nor the directories that it is in are on disk by then. */
TEST(one_byte_of_a_file_of_the_image_is_one_flush)
{
	struct rig *rig = rig_sample();

	CHECK_INT(shale_live_syncfs(rig->live), 0);
	rig_write(rig, "d/a", 2, "X");
	flushes = 0;
	fsync_file(rig, "d/a");
	CHECK_INT(flushes, 1);
	fsync_file(rig, "d/a"); /* nothing has changed */
	CHECK_INT(flushes, 1);
	power_cut_without(rig, "data/??");
	CHECK_STR(rig_text(rig, "d/a"), "alXha");
	rig_free(rig);
}

TEST(a_new_file_that_replaces_another_is_one_flush_and_one_for_the_name)
{
	struct rig *rig = with_files();

	CHECK_INT(shale_live_syncfs(rig->live), 0);
	rig_file(rig, "tmp", "newer");
	flushes = 0;
	fsync_file(rig, "tmp");
	CHECK_INT(flushes, 1);
	CHECK_INT(rig_rename(rig, "tmp", "a", 0), 0);
	fsync_file(rig, "");
	CHECK_INT(flushes, 2);
	power_cut_without(rig, "data/??");
	CHECK_STR(rig_text(rig, "a"), "newer");
	rig_free(rig);
}

/* Its bytes go to the disk once, then, and it stays one flush. */
TEST(what_is_written_over_for_long_is_flushed_where_it_is)
{
	struct rig *rig = rig_new();
	char text[8] = "";

	rig_file(rig, "f", "text");
	for (int i = 0; i < 60; i++) {
		snprintf(text, sizeof(text), "%04d", i);
		rig_write(rig, "f", 0, text);
		flushes = data_flushes = 0;
		fsync_file(rig, "f");
		if (flushes == 1 && data_flushes == 1)
			break;
	}
	CHECK_INT(flushes, 1);
	CHECK_INT(data_flushes, 1);
	power_cut(rig);
	CHECK_STR(rig_text(rig, "f"), text);
	rig_free(rig);
}
