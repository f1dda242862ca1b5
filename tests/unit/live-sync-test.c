/* SPDX-License-Identifier: Apache-2.0 */
/* What is there after a power cut that comes right behind an fsync. */
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
static _Thread_local unsigned flushes; /* marks are of another thread */

/* In place of the C library's. */
int fdatasync(int fd)
{
	void (*call)(struct rig * rig) = meanwhile;

	flushes++;
	meanwhile = NULL;
	if (call)
		call(meanwhile_on);
	return (int)syscall(SYS_fdatasync, fd);
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
 * The workspace as it is now, of another boot.  All of the journal is there:
 * what counts of it is for the replay to say.
 */
static void power_cut(struct rig *rig)
{
	char dir[64], command[256];

	snprintf(dir, sizeof(dir), "/proc/self/fd/%d/workspaces", rig->dirfd);
	snprintf(command, sizeof(command), "cp -a %s/work %s/cut", dir, dir);
	run(command);
	rig_leave(rig);
	snprintf(command, sizeof(command),
		 "rm -r %s/work; mv %s/cut %s/work; echo other >%s/work/boot",
		 dir, dir, dir, dir);
	run(command);
	rig_return(rig);
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
	flushes = 0;
	fsync_file(rig, path);
}

TEST(an_ordinary_user_who_overwrites_flushes_data_only)
{
	struct rig *rig = rig_new();
	bool lost;

	rig_file(rig, "f", "xyz");
	fsync_file(rig, "f");
	overwrite(rig, "f", &lost);
	CHECK(!lost);
	CHECK_INT(flushes, 1);
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
	CHECK_INT(flushes, 2);
	power_cut(rig);
	CHECK_INT(rig_stat(rig, "f").mode & 07777, 0777);
	overwrite(rig, "f", &lost);
	CHECK(!lost);
	rig_free(rig);
}
