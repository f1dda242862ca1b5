/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/control/mountinfo.h"
#include "tests/lib/check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char table[] =
	"22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/root rw\n"
	"36 22 0:41 / /mnt/a\\040b rw,nosuid,nodev - fuse.shale "
	"shale:/var/lib/sh\\134ale/mounts/0123456789abcdef rw,user_id=0\n"
	"37 22 0:42 / /mnt/x rw shared:7 master:2 propagate_from:3 - tmpfs t "
	"rw\n"
	"38 37 0:43 / /mnt/x ro - fuse.shale shale:/s/mounts/00000000000000ff "
	"ro\n"
	"42 38 0:47 / /mnt/x ro - fuse.shale shale:/s/mounts/0000000000000100 "
	"ro\n"
	"garbage\n"
	"39 22 0:44 / /mnt/short\n"
	"40 22 0:45 / /mnt/nodash rw shared:1\n"
	"\n"
	"41 22 0:46 / /mnt/tab\\011nl\\012 rw - tmpfs none rw";

static int find(const char *dir, struct shale_mountinfo *m)
{
	struct shale_err err;
	return shale_mountinfo_find(table, strlen(table), dir, m, &err);
}

TEST(octal_escapes_in_mountinfo_are_undone)
{
	struct shale_mountinfo m;

	CHECK_INT(find("/mnt/a b", &m), 0);
	CHECK_STR(m.type, "fuse.shale");
	CHECK_STR(m.source, "shale:/var/lib/sh\\ale/mounts/0123456789abcdef");
	CHECK_INT(m.major, 0);
	CHECK_INT(m.minor, 41);
	shale_mountinfo_release(&m);
	CHECK_INT(find("/mnt/tab\tnl\n", &m), 0);
	shale_mountinfo_release(&m);
}

TEST(of_two_mounts_at_one_place_the_upper_one_counts)
{
	struct shale_mountinfo m;

	CHECK_INT(find("/mnt/x", &m), 0);
	CHECK_STR(m.type, "fuse.shale");
	shale_mountinfo_release(&m);
}

TEST(of_several_of_a_kind_at_one_place_the_lowest_is_found)
{
	struct shale_mountinfo m;
	struct shale_err err;

	CHECK_INT(shale_mountinfo_first(table, strlen(table), "/mnt/x",
					"shale:", &m, &err),
		  0);
	CHECK_STR(m.source, "shale:/s/mounts/00000000000000ff");
	shale_mountinfo_release(&m);
	CHECK_INT(shale_mountinfo_first(table, strlen(table), "/mnt/tab\tnl\n",
					"shale:", &m, &err),
		  -ENOENT);
}

TEST(lines_that_make_no_sense_are_passed_over)
{
	struct shale_mountinfo m;

	CHECK_INT(find("/mnt/short", &m), -ENOENT);
	CHECK_INT(find("/mnt/nodash", &m), -ENOENT);
	CHECK_INT(find("/mnt", &m), -ENOENT);
}

TEST(a_source_is_ours_only_if_it_is_spelled_in_full)
{
	static const char *const others[] = {
		"",
		"shale",
		"shale:",
		"shale:/s",
		"shale:/mounts/0123456789abcdef0",
		"shale:/s/mounts/0123456789abcde",
		"shale:/s/mounts/0123456789ABCDEF",
		"shale:/s/mount/0123456789abcdef",
		"shale:mounts/0123456789abcdef",
		"shale:/s/mounts/",
		"/s/mounts/0123456789abcdef",
	};
	char *store, *id;

	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		CHECK_INT(shale_mountinfo_source(others[i], &store, &id),
			  -ENOENT);
	CHECK_INT(shale_mountinfo_source(
			  "shale:/a/mounts/b/mounts/0123456789abcdef", &store,
			  &id),
		  0);
	CHECK_STR(store, "/a/mounts/b");
	CHECK_STR(id, "0123456789abcdef");
	free(store);
	free(id);
}
