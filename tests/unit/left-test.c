/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/control/left.h"

#include "fs/control/state_impl.h"
#include "layers/base/io.h"
#include "tests/lib/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static struct shale_err err;

static int open_store(void)
{
	static int n;
	char path[300];
	snprintf(path, sizeof(path), "%s/left%d", shale_test_dir(), n++);
	CHECK(mkdir(path, 0700) == 0);
	int fd = open(path, O_RDONLY | O_DIRECTORY);
	CHECK(fd >= 0);
	return fd;
}

static void put(int store, const char *id, const char *file, const char *text)
{
	char path[64];

	snprintf(path, sizeof(path), "mounts/%s/%s", id, file);
	(void)unlinkat(store, path, 0);
	int fd = openat(store, path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	CHECK(fd >= 0);
	CHECK_OK(shale_write_full(fd, text, strlen(text), file, &err));
	close(fd);
}

/* A mount that is served by process `pid`; its lock. */
static int serve(int store, const char *mountpoint, const char *workspace,
		 int pid, char *id)
{
	struct shale_mount_info info = {
		.mountpoint = (char *)mountpoint,
		.kind = "rw",
		.workspace = (char *)workspace,
	};
	int lock;

	CHECK_OK(shale_mount_make(store, &info, &lock, &err));
	CHECK(dprintf(lock, "%d\n", pid) > 0);
	snprintf(id, 17, "%s", info.id);
	return lock;
}

/* A mount that was served in that boot. */
static void leave(int store, const char *mountpoint, const char *workspace,
		  const char *boot, char *id)
{
	char text[300];
	int lock = serve(store, mountpoint, workspace, 4711, id);

	snprintf(text, sizeof(text),
		 "{\"mountpoint\":\"%s\",\"kind\":\"rw\",\"workspace\":\"%s\","
		 "\"boot\":\"%s\"}",
		 mountpoint, workspace, boot);
	put(store, id, "info.json", text);
	CHECK_OK(shale_left_settle(store, id, &err));
	CHECK_OK(shale_left_flush(store, id, &err));
	close(lock);
}

static bool is_there(int store, const char *id)
{
	struct shale_mount_info info;
	if (shale_mount_read(store, id, &info, NULL) < 0)
		return false;
	shale_mount_info_release(&info);
	return true;
}

TEST(a_mount_of_another_boot_stays_when_it_was_settled)
{
	int store = open_store();
	char id[17], young[17];

	leave(store, "/m", "w", "another", id);
	close(serve(store, "/n", "v", 4711, young));
	shale_mount_sweep(store, NULL, NULL);
	CHECK(is_there(store, id));
	CHECK(!is_there(store, young));
	close(store);
}

TEST(a_mount_of_this_boot_that_is_unmounted_stays_when_it_is_marked)
{
	int store = open_store();
	char boot[40], id[17], marked[17];

	CHECK_OK(shale_left_boot(boot, &err));
	leave(store, "/m", "w", boot, id);
	leave(store, "/n", "v", boot, marked);
	CHECK_OK(shale_left_mark(store, marked, &err));
	shale_mount_sweep(store, NULL, NULL);
	CHECK(!is_there(store, id));
	CHECK(is_there(store, marked));
	shale_left_unmark(store, marked);
	shale_mount_sweep(store, NULL, NULL);
	CHECK(!is_there(store, marked));
	close(store);
}

TEST(who_is_served_in_its_place_ends_what_was_left)
{
	int store = open_store();
	char point[17], workspace[17], other[17], starting[17], id[17];

	leave(store, "/m", "w1", "another", point);
	leave(store, "/n", "w", "another", workspace);
	leave(store, "/o", "w3", "another", other);
	leave(store, "/p", "w4", "another", starting);
	int lock = serve(store, "/m", "w", 4711, id);
	/* what is only being started may fail */
	int young = serve(store, "/p", "w5", 1, id);
	shale_mount_sweep(store, NULL, NULL);
	CHECK(!is_there(store, point));
	CHECK(!is_there(store, workspace));
	CHECK(is_there(store, other));
	CHECK(is_there(store, starting));
	close(lock);
	close(young);
	close(store);
}

TEST(who_was_served_at_the_look_is_not_in_his_own_way)
{
	int store = open_store();
	char id[17], rival[17];
	struct shale_served served;

	leave(store, "/m", "w", "another", id);
	int lock;
	CHECK_OK(shale_state_lock(store, id, LOCK_EX, &lock));
	CHECK(dprintf(lock, "4711\n") > 0);
	CHECK_OK(shale_served_look(&served, store, &err));
	/* Then it dies. */
	CHECK(shale_left_stays(&served, store, id));
	shale_served_release(&served);

	close(lock);
	lock = serve(store, "/m", "v", 4711, rival);
	CHECK_OK(shale_served_look(&served, store, &err));
	CHECK(!shale_left_stays(&served, store, id));
	shale_served_release(&served);
	close(lock);
	close(store);
}

TEST(the_end_of_a_daemon_keeps_what_is_needed_to_mount_again)
{
	int store = open_store();
	char boot[40], id[17], path[64];
	struct shale_left *left;
	size_t n;

	CHECK_OK(shale_left_boot(boot, &err));
	leave(store, "/m", "w", boot, id);
	put(store, id, "greeting", "x");
	CHECK_OK(shale_left_mark(store, id, &err));
	shale_left_end(store, id);
	snprintf(path, sizeof(path), "mounts/%s/greeting", id);
	CHECK(faccessat(store, path, F_OK, 0) < 0);
	CHECK_OK(shale_left_list(store, false, &left, &n, &err));
	CHECK_INT(n, 1);
	CHECK_STR(left[0].info.mountpoint, "/m");
	CHECK_STR(left[0].info.id, id);
	CHECK(!left[0].mounted);
	shale_left_free(left, n);

	shale_left_unmark(store, id);
	shale_left_end(store, id);
	CHECK(!is_there(store, id));
	close(store);
}

TEST(what_was_left_is_listed_from_the_root_down_and_can_be_forgotten)
{
	int store = open_store();
	char id[17];
	struct shale_left *left;
	size_t n;

	leave(store, "/m/sub", "w1", "another", id);
	leave(store, "/m", "w2", "another", id);
	leave(store, "/k", "w3", "another", id);
	/* info.json was not flushed, and did not survive the power cut */
	put(store, id, "info.json", "");

	CHECK_OK(shale_left_list(store, true, &left, &n, &err));
	CHECK_INT(n, 3);
	CHECK_STR(left[0].info.mountpoint, "/k");
	CHECK_STR(left[1].info.mountpoint, "/m");
	CHECK_STR(left[2].info.mountpoint, "/m/sub");
	shale_left_free(left, n);
	CHECK_INT(shale_left_forget(store, "/m"), 1);
	CHECK_INT(shale_left_forget_workspace(store, "w1"), 1);
	CHECK_INT(shale_left_forget(store, "/m/sub"), 0);
	CHECK_OK(shale_left_list(store, false, &left, &n, &err));
	CHECK_INT(n, 1);
	shale_left_free(left, n);
	close(store);
}

TEST(what_cannot_be_read_of_one_mount_takes_no_other_with_it)
{
	int store = open_store();
	char id[8][17], torn[17];
	struct shale_left *left;
	size_t n;

	/* Some come before it, and some behind, in whatever order. */
	for (int i = 0; i < 8; i++) {
		char point[8], workspace[8];
		snprintf(point, sizeof(point), "/m%d", i);
		snprintf(workspace, sizeof(workspace), "w%d", i);
		leave(store, point, workspace, "another", id[i]);
		if (i == 3)
			leave(store, "/torn", "w", "another", torn);
	}
	put(store, torn, "info.json", "");
	put(store, torn, "again.json", "");
	CHECK_OK(shale_left_list(store, false, &left, &n, &err));
	CHECK_INT(n, 8);
	shale_left_free(left, n);
	shale_mount_sweep(store, NULL, NULL);
	for (int i = 0; i < 8; i++)
		CHECK(is_there(store, id[i]));
	close(store);
}
