/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are lent, and what a power cut or a kill leaves of them. */
#include "fs/live/lend.h"
#include "layers/base/cleanup.h"
#include "tests/lib/check.h"
#include "tests/unit/live-lend.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The workspace is as it is now, and this process knows nothing of that; with
 * `boot`, of another boot. */
static void die(struct rig *rig, const char *boot)
{
	char dir[64], command[400];

	snprintf(dir, sizeof(dir), "/proc/self/fd/%d/workspaces", rig->dirfd);
	snprintf(command, sizeof(command), "cp -a %s/work %s/cut", dir, dir);
	CHECK_INT(system(command), 0);
	rig_leave(rig);
	snprintf(command, sizeof(command), "rm -r %s/work; mv %s/cut %s/work",
		 dir, dir, dir);
	CHECK_INT(system(command), 0);
	if (boot) {
		snprintf(command, sizeof(command), "echo %s >%s/work/boot",
			 boot, dir);
		CHECK_INT(system(command), 0);
	}
}

static void fsync_file(struct rig *rig, const char *path)
{
	struct shale_err err;
	CHECK_OK(shale_live_fsync(rig->live, rig_ino(rig, path), false, &err));
}

static void mark(struct rig *rig)
{
	struct shale_err err;
	CHECK_OK(shale_db_advance(rig->ws->db, &err));
}

TEST(after_a_power_cut_a_fsynced_file_is_as_the_host_has_it)
{
	struct rig *rig = lending();

	rig_file(rig, "synced", "");
	struct file f = open_file(rig, "synced", true);
	CHECK_INT(pwrite(f.fd, "one", 3, 0), 3);
	fsync_file(rig, "synced");
	CHECK_INT(pwrite(f.fd, "two", 3, 5000), 3);
	fsync_file(rig, "synced");
	die(rig, "other");
	close(f.fd);
	rig_return(rig);
	CHECK_INT(rig_stat(rig, "synced").size, 5003);
	CHECK_STR(rig_text(rig, "synced"), "one");
	CHECK_STR(rig_text(rig, "synced") + 5000, "two");
	CHECK_INT(data_bytes(rig), 8192);
	rig_free(rig);
}

TEST(after_a_power_cut_what_was_not_synced_is_as_of_the_mark)
{
	struct rig *rig = lending();

	rig_file(rig, "f", "text");
	mark(rig);
	struct file f = open_file(rig, "f", true);
	CHECK(f.id);
	CHECK_INT(pwrite(f.fd, "more", 4, 8000), 4);
	die(rig, "other");
	close(f.fd);
	rig_return(rig);
	CHECK_STR(rig_text(rig, "f"), "text");
	CHECK_INT(rig_stat(rig, "f").size, 4);
	rig_free(rig);
}

/* E4, both halves. */
TEST(a_power_cut_shows_no_zeros_where_a_mark_had_data)
{
	struct rig *rig = lending();

	rig_file(rig, "cut-before", "text");
	rig_file(rig, "cut-after", "text");
	mark(rig);
	rig_truncate(rig, "cut-before", 0);
	struct file before = open_file(rig, "cut-before", true);
	CHECK_INT(before.id, 0); /* not yet */
	struct file after = open_file(rig, "cut-after", true);
	CHECK(after.id);
	rig_truncate(rig, "cut-after", 0);
	die(rig, "other");
	close(after.fd);
	rig_return(rig);
	CHECK_STR(rig_text(rig, "cut-before"), "text");
	CHECK_INT(rig_stat(rig, "cut-after").size, 0); /* not: 4 zeros */
	rig_free(rig);
}

TEST(what_was_cut_off_and_marked_is_lent_without_it)
{
	struct rig *rig = lending();

	rig_file(rig, "f", "text");
	rig_write(rig, "f", 9000, "behind");
	rig_truncate(rig, "f", 2);
	mark(rig);
	struct file f = open_file(rig, "f", true);
	CHECK(f.id);
	CHECK(ftruncate(f.fd, 10000) == 0);
	CHECK_STR(rig_text(rig, "f") + 9000, "");
	CHECK_STR(rig_text(rig, "f") + 2, "");
	close_file(&f);
	CHECK_STR(rig_text(rig, "f"), "te");
	rig_free(rig);
}

TEST(who_takes_over_knows_what_is_lent)
{
	struct rig *rig = lending();
	const struct shale_caller again = {.request = {1, 77}};
	uint64_t ino = rig_file(rig, "f", ""), handle, handle2;
	uint32_t id = 0, id2 = 0;
	struct shale_err err;

	CHECK_INT(shale_live_opened_lent(rig->live, &again, ino, true, &handle,
					 &id),
		  0);
	CHECK(id);
	rig_file(rig, "closed", "");
	struct file closed = open_file(rig, "closed", true);
	close(closed.fd);
	CHECK_INT(pwrite(kernel_file(id, O_RDWR), "text", 4, 0), 4);
	die(rig, NULL);
	lender.close(NULL, closed.id);
	rig->opts.takeover = true;
	rig_return(rig);
	CHECK_OK(shale_live_lend(rig->live, &lender, &err));
	CHECK_INT(lent(rig), 2);
	CHECK_STR(rig_text(rig, "f"), "text");
	/* Its open is sent again. */
	CHECK_INT(shale_live_opened_lent(rig->live, &again, ino, true, &handle2,
					 &id2),
		  0);
	CHECK_INT(handle2, handle);
	CHECK_INT(id2, id);
	shale_live_released(rig->live, handle);
	CHECK_STR(rig_text(rig, "f"), "text");
	CHECK_INT(kernel.fd[id], 0);
	CHECK_INT(lent(rig), 1);
	rig->opts.takeover = false;
	rig_free(rig);
}

TEST(no_mount_while_somebody_writes_a_file_from_before)
{
	struct rig *rig = lending();
	struct shale_err err;

	rig_file(rig, "f", "");
	struct file f = open_file(rig, "f", true);
	rig_leave(rig); /* the connection was cut */
	CHECK_INT(pwrite(f.fd, "text", 4, 0), 4);
	CHECK_INT(rig_try_return(rig, &err), -EBUSY);
	CHECK(strstr(err.msg, "'/f' is still open in a process"));
	close(f.fd);
	rig_return(rig);
	CHECK_STR(rig_text(rig, "f"), "text");
	rig_commit(rig);
	rig_free(rig);
}
