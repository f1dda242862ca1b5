/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/check.h"
#include "tests/unit/live-rig.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

static void set_acl(struct rig *rig, const char *path, const char *name,
		    const char *acl)
{
	/* "u7g5m7o0U5:1000" as bytes */
	uint8_t value[100] = {2, 0, 0, 0};
	size_t len = 4;
	static const char tags[] = "uUgGmo";
	for (; *acl; len += 8) {
		uint8_t tag = (uint8_t)(1 << (strchr(tags, *acl) - tags));
		uint32_t id = UINT32_MAX;
		value[len] = tag;
		value[len + 2] = (uint8_t)(acl[1] - '0');
		acl += 2;
		if (tag == 2 || tag == 8)
			id = 1000;
		memcpy(value + len + 4, &id, 4);
	}
	CHECK_INT(shale_live_setxattr(rig->live, &rig_caller,
				      rig_ino(rig, path), name, value, len, 0,
				      false),
		  0);
}

static size_t acl_size(struct rig *rig, const char *path, const char *name)
{
	struct shale_buf value = {0};
	int r = shale_live_getxattr(rig->live, rig_ino(rig, path), name,
				    &value);
	size_t len = value.len;
	shale_buf_release(&value);
	return r == -ENODATA ? 0 : len;
}

TEST(an_access_acl_and_the_mode_follow_each_other)
{
	struct rig *rig = rig_sample();
	struct shale_set set = {.what = SHALE_SET_MODE, .mode = 0610};
	struct shale_node node;
	struct shale_buf value = {0};

	set_acl(rig, "f", "system.posix_acl_access", "u6g4o0");
	CHECK_INT(rig_stat(rig, "f").mode, S_IFREG | 0640);
	CHECK_INT(acl_size(rig, "f", "system.posix_acl_access"), 0);
	set_acl(rig, "f", "system.posix_acl_access", "u7U6g4m6o1");
	CHECK_INT(rig_stat(rig, "f").mode, S_IFREG | 0761);
	CHECK_INT(shale_live_setattr(rig->live, &rig_caller, rig_ino(rig, "f"),
				     &set, &node),
		  0);
	CHECK_INT(node.mode, S_IFREG | 0610);
	CHECK_INT(shale_live_getxattr(rig->live, rig_ino(rig, "g"),
				      "system.posix_acl_access", &value),
		  0);
	CHECK_INT(value.data[4 + 3 * 8 + 2], 1); /* the mask */
	CHECK_INT(value.data[4 + 2 * 8 + 2], 4); /* the group stays */
	shale_buf_release(&value);
	rig_free(rig);
}

TEST(a_default_acl_is_inherited_in_place_of_the_umask)
{
	struct rig *rig = rig_sample();
	struct shale_caller who = {.umask = 077};
	struct shale_make file = {.mode = S_IFREG | 0666};
	struct shale_make dir = {.mode = S_IFDIR | 0777};
	struct shale_node node;
	uint64_t e = rig_ino(rig, "e");

	CHECK_INT(shale_live_make(rig->live, &who, e, "u", 1, &file, &node), 0);
	CHECK_INT(node.mode, S_IFREG | 0600);
	set_acl(rig, "e", "system.posix_acl_default", "u7U5g5m7o0");
	CHECK_INT(shale_live_make(rig->live, &who, e, "a", 1, &file, &node), 0);
	CHECK_INT(node.mode, S_IFREG | 0660);
	CHECK_INT(acl_size(rig, "e/a", "system.posix_acl_access"), 44);
	CHECK_INT(acl_size(rig, "e/a", "system.posix_acl_default"), 0);
	CHECK_INT(shale_live_make(rig->live, &who, e, "d", 1, &dir, &node), 0);
	CHECK_INT(node.mode, S_IFDIR | 0770);
	CHECK_INT(acl_size(rig, "e/d", "system.posix_acl_default"), 44);
	rig_free(rig);
}

TEST(xattrs_are_set_replaced_removed_and_committed)
{
	struct rig *rig = rig_sample();
	uint64_t f = rig_ino(rig, "f");
	struct shale_buf names = {0};

	CHECK_INT(shale_live_setxattr(rig->live, &rig_caller, f, "user.b", "1",
				      1, 0, false),
		  0);
	CHECK_INT(shale_live_setxattr(rig->live, &rig_caller, f, "user.b", "1",
				      1, 1, false),
		  -EEXIST);
	CHECK_INT(shale_live_setxattr(rig->live, &rig_caller, f, "user.a", "",
				      0, 2, false),
		  -ENODATA);
	CHECK_INT(shale_live_setxattr(rig->live, &rig_caller, f, "user.a", "",
				      0, 1, false),
		  0);
	rig_commit(rig);
	rig_remount(rig);
	CHECK_INT(shale_live_listxattr(rig->live, f, &names), 0);
	CHECK_INT(names.len, 14);
	CHECK_MEM(names.data, "user.a\0user.b", 14);
	CHECK_INT(shale_live_removexattr(rig->live, &rig_caller, f, "user.b"),
		  0);
	CHECK_INT(shale_live_removexattr(rig->live, &rig_caller, f, "user.b"),
		  -ENODATA);
	names.len = 0;
	rig_remount(rig);
	CHECK_INT(shale_live_listxattr(rig->live, f, &names), 0);
	CHECK_INT(names.len, 7);
	shale_buf_release(&names);
	rig_free(rig);
}

TEST(a_write_by_an_ordinary_user_takes_privileges_away)
{
	struct rig *rig = rig_sample();
	uint64_t f = rig_ino(rig, "f");
	struct shale_set set = {.what = SHALE_SET_MODE, .mode = 06755};
	struct shale_node node;

	CHECK_INT(shale_live_setattr(rig->live, &rig_caller, f, &set, &node),
		  0);
	CHECK_INT(shale_live_setxattr(rig->live, &rig_caller, f,
				      "security.capability", "c", 1, 0, false),
		  0);
	CHECK_INT(shale_live_write(rig->live, &rig_caller, f, 0, "x", 1, false),
		  0);
	CHECK_INT(rig_stat(rig, "f").mode, S_IFREG | 06755);
	CHECK_INT(shale_live_write(rig->live, &rig_caller, f, 0, "x", 1, true),
		  0);
	CHECK_INT(rig_stat(rig, "f").mode, S_IFREG | 0755);
	CHECK_INT(acl_size(rig, "f", "security.capability"), 0);
	rig_free(rig);
}

TEST(times_keep_nanoseconds_and_may_lie_before_1970)
{
	struct rig *rig = rig_sample();
	struct shale_set set = {
		.what = SHALE_SET_MTIME | SHALE_SET_ATIME,
		.mtime = {-1000000000, 123456789},
		.atime = {4102444800, 1},
	};
	struct shale_node node;

	CHECK_INT(shale_live_setattr(rig->live, &rig_caller, rig_ino(rig, "e"),
				     &set, &node),
		  0);
	rig_remount(rig);
	node = rig_stat(rig, "e");
	CHECK_INT(node.mtime.tv_sec, -1000000000);
	CHECK_INT(node.mtime.tv_nsec, 123456789);
	CHECK_INT(node.atime.tv_sec, 4102444800);
	rig_commit(rig);
	rig_remount(rig);
	CHECK_INT(rig_stat(rig, "e").mtime.tv_sec, -1000000000);
	set.mtime.tv_nsec = 1000000000;
	CHECK_INT(shale_live_setattr(rig->live, &rig_caller, rig_ino(rig, "e"),
				     &set, &node),
		  -EINVAL);
	rig_free(rig);
}

TEST(a_quota_stops_writes_but_not_deletions)
{
	struct rig *rig = rig_sample();
	char data[4096] = {1};
	int r = 0;

	rig->opts.quota_bytes = 64 << 10;
	rig_remount(rig);
	for (uint64_t off = 0; r == 0 && off < 1 << 20; off += sizeof(data))
		r = shale_live_write(rig->live, &rig_caller,
				     rig_ino(rig, "d/a"), off, data,
				     sizeof(data), false);
	CHECK_INT(r, -EDQUOT);
	struct shale_live_counts counts;
	CHECK_INT(shale_live_counts(rig->live, &counts), 0);
	CHECK_INT(counts.data_bytes, 60 << 10);
	CHECK_INT(rig_unlink(rig, "d/b"), 0);
	CHECK_INT(rig_unlink(rig, "d/a"), 0);
	CHECK_INT(shale_live_counts(rig->live, &counts), 0);
	CHECK_INT(counts.data_bytes, 0);
	rig_write(rig, "f", 0, "fits");
	rig_free(rig);
}

TEST(a_workspace_refuses_a_base_that_is_not_its_own)
{
	struct rig *rig = rig_sample();
	struct shale_rec_image other = {.n = 1};
	struct shale_live *live;
	struct shale_err err;

	shale_live_close(rig->live);
	CHECK_INT(shale_live_open(&live, rig->ws, rig->handles, rig->base,
				  &other, &rig->opts, &err),
		  -ESTALE);
	CHECK_OK(shale_live_open(&rig->live, rig->ws, rig->handles, rig->base,
				 &rig->image[1].which, &rig->opts, &err));
	rig_free(rig);
}
