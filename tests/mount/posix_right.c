/* SPDX-License-Identifier: Apache-2.0 */
/* Who may do what; special bits, ACLs, extended attributes. */
#include "tests/mount/posix.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

/* cap_net_raw+ep, as setcap writes it (struct vfs_cap_data, revision 2). */
static const uint8_t caps[20] = {1, 0, 0, 2, 0, 32};

/* An ACL: u::rwx,u:POSIX_USER:rwx,g::r-x,m::rwx,o::--- */
static const uint8_t acl[] = {
	2,    0,    0,    0,    0x01, 0,    7,    0,    0xff, 0xff, 0xff,
	0xff, 0x02, 0,    7,    0,    0x39, 0x30, 0,    0,    0x04, 0,
	5,    0,    0xff, 0xff, 0xff, 0xff, 0x10, 0,    7,    0,    0xff,
	0xff, 0xff, 0xff, 0x20, 0,    0,    0,    0xff, 0xff, 0xff, 0xff,
};

static int write_byte(void)
{
	int fd = open("file", O_WRONLY);
	int r = fd < 0 || pwrite(fd, "x", 1, 0) != 1 ? -errno : 0;

	close(fd);
	return r;
}

static int truncate_file(void)
{
	return POSIX_R(truncate("file", 5));
}

static int open_truncating(void)
{
	return POSIX_R(open("file", O_WRONLY | O_TRUNC));
}

static int punch_file(void)
{
	int fd = open("file", O_WRONLY);
	return POSIX_R(fallocate(fd, 3, 0, 4096));
}

static int copy_into_file(void)
{
	int from = open("holes", O_RDONLY), fd = open("file", O_WRONLY);
	return POSIX_R(copy_file_range(from, NULL, fd, NULL, 4096, 0));
}

static bool has_caps(void)
{
	return getxattr("file", "security.capability", NULL, 0) > 0;
}

POSIX(whoever_writes_takes_setuid_setgid_and_capabilities_away)
{
	static int (*const ways[])(void) = {write_byte, truncate_file,
					    open_truncating, punch_file,
					    copy_into_file};

	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		POSIX_OK(chmod("file", 06777));
		POSIX_OK(setxattr("file", "security.capability", caps,
				  sizeof(caps), 0));
		CHECK_INT(posix_as(POSIX_USER, POSIX_GROUP, ways[i]), 0);
		CHECK_INT(posix_mode("twin"), 0777);
		CHECK(!has_caps());
	}
	POSIX_OK(chmod("file", 06777));
	POSIX_OK(
		setxattr("file", "security.capability", caps, sizeof(caps), 0));
	CHECK_INT(write_byte(), 0); /* root keeps the bits only */
	CHECK_INT(posix_mode("file"), 06777);
	CHECK(!has_caps());
}

static int append_byte(void)
{
	int fd = open("id", O_WRONLY | O_APPEND);
	int r = fd < 0 || write(fd, "x", 1) != 1 ? -errno : 0;

	close(fd);
	return r;
}

static int grow(void)
{
	int fd = open("id", O_WRONLY);
	int r = fd < 0 || fallocate(fd, 0, 1 << 20, 1) < 0 ? -errno : 0;

	close(fd);
	return r;
}

/* The user as whom `id` runs, which nobody looks at before. */
static unsigned runs_as(void)
{
	unsigned uid = UINT_MAX;
	FILE *out = popen("./id -u", "r");

	CHECK(out && fscanf(out, "%u", &uid) == 1);
	CHECK(out && pclose(out) == 0);
	return uid;
}

static int append_and_run(void)
{
	int r = append_byte();
	return r < 0 ? r : runs_as() == POSIX_USER ? 0 : -EPERM;
}

static int grow_and_run(void)
{
	int r = grow();
	return r < 0 ? r : runs_as() == POSIX_USER ? 0 : -EPERM;
}

POSIX(what_somebody_has_just_written_does_not_run_as_its_owner)
{
	static int (*const ways[])(void) = {append_and_run, grow_and_run};

	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		CHECK_INT(system("cp /usr/bin/id id && chmod 6777 id"), 0);
		CHECK_INT(posix_mode("id"), 06777);
		CHECK_INT(posix_as(POSIX_USER, POSIX_GROUP, ways[i]), 0);
		CHECK_INT(posix_mode("id"), 0777);
	}
}

/* setgid of what the group may not run is for members. */
static int as_member(int (*fn)(void))
{
	static const gid_t groups[] = {7, POSIX_GROUP};
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		if (setgroups(2, groups) < 0 ||
		    setresgid(POSIX_USER, POSIX_USER, POSIX_USER) < 0 ||
		    setresuid(POSIX_USER, POSIX_USER, POSIX_USER) < 0)
			_exit(255);
		_exit(-fn());
	}
	CHECK_INT(waitpid(pid, &status, 0), pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) != 255);
	return -WEXITSTATUS(status);
}

POSIX(setgid_without_execute_stays_when_a_member_writes)
{
	static int (*const ways[])(void) = {write_byte, truncate_file,
					    open_truncating, punch_file,
					    copy_into_file};

	POSIX_OK(chown("file", 0, POSIX_GROUP));
	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		POSIX_OK(chmod("file", 02666));
		CHECK_INT(posix_as(POSIX_USER, POSIX_GROUP, ways[i]), 0);
		CHECK_INT(posix_mode("file"), 02666);
		CHECK_INT(as_member(ways[i]), 0);
		CHECK_INT(posix_mode("file"), 02666);
		CHECK_INT(ways[i](), 0); /* root */
		CHECK_INT(posix_mode("file"), 02666);
		CHECK_INT(posix_as(POSIX_USER, POSIX_USER, ways[i]), 0);
		CHECK_INT(posix_mode("file"), 0666);
	}
}

static int give_to_own_group(void)
{
	return POSIX_R(chown("file", (uid_t)-1, POSIX_USER));
}

POSIX(setgid_without_execute_stays_when_a_member_gives_it_away)
{
	POSIX_OK(chown("file", POSIX_USER, POSIX_GROUP));
	POSIX_OK(chmod("file", 02644));
	CHECK_INT(as_member(give_to_own_group), 0);
	CHECK_INT(posix_mode("file"), 02644);
	POSIX_OK(chown("file", POSIX_USER, POSIX_GROUP)); /* by root */
	CHECK_INT(posix_mode("file"), 02644);
	CHECK_INT(posix_as(POSIX_USER, POSIX_USER, give_to_own_group), 0);
	CHECK_INT(posix_mode("file"), 0644);
}

POSIX(a_new_owner_inherits_no_privilege)
{
	POSIX_OK(chmod("file", 06755));
	POSIX_OK(
		setxattr("file", "security.capability", caps, sizeof(caps), 0));
	POSIX_OK(chown("file", POSIX_USER, (gid_t)-1));
	CHECK_INT(posix_mode("file"), 0755);
	CHECK(!has_caps());
	POSIX_OK(chmod("dir", 06755));
	POSIX_OK(chown("dir", POSIX_USER, POSIX_GROUP));
	CHECK_INT(posix_mode("dir"), 06755);
}

static int make_below(void)
{
	int fd = open("dir/f", O_CREAT | O_EXCL | O_WRONLY, 02775);
	int tmp = open("dir", O_TMPFILE | O_RDWR, 02775);
	struct stat st;

	if (fd < 0 || tmp < 0 || mkdir("dir/d", 0755) < 0 ||
	    symlink("x", "dir/l") < 0 || mkfifo("dir/p", 0644) < 0 ||
	    fstat(tmp, &st) < 0)
		return -errno;
	return st.st_gid == POSIX_GROUP && st.st_mode == (S_IFREG | 0755)
		       ? 0
		       : -EPROTO;
}

POSIX(directories_with_setgid_hand_on_their_group)
{
	static const char *const made[] = {"dir/f", "dir/d", "dir/l", "dir/p"};
	struct stat st;

	POSIX_OK(chown("dir", 0, POSIX_GROUP));
	POSIX_OK(chmod("dir", 02777));
	CHECK_INT(posix_as(POSIX_USER, POSIX_USER, make_below), 0);
	for (size_t i = 0; i < sizeof(made) / sizeof(*made); i++) {
		POSIX_OK(lstat(made[i], &st));
		CHECK_INT(st.st_gid, POSIX_GROUP);
		CHECK_INT(st.st_uid, POSIX_USER);
	}
	CHECK_INT(posix_mode("dir/d"), 02755);
	/* Not a member: no setgid program of that group. */
	CHECK_INT(posix_mode("dir/f"), 0755);
}

static int unlink_inner(void)
{
	return POSIX_R(unlink("dir/inner"));
}

static int rename_inner(void)
{
	return POSIX_R(rename("dir/inner", "dir/mine"));
}

static int replace_inner(void)
{
	int fd = open("dir/new", O_CREAT | O_WRONLY, 0600);
	return fd < 0 ? -EPROTO : POSIX_R(rename("dir/new", "dir/inner"));
}

POSIX(sticky_directories_protect_what_is_others)
{
	POSIX_OK(chmod("dir", 01777));
	CHECK_INT(posix_as(POSIX_USER, POSIX_USER, unlink_inner), -EPERM);
	CHECK_INT(posix_as(POSIX_USER, POSIX_USER, rename_inner), -EPERM);
	CHECK_INT(posix_as(POSIX_USER, POSIX_USER, replace_inner), -EPERM);
	POSIX_OK(chown("dir/inner", POSIX_USER, 0));
	CHECK_INT(posix_as(POSIX_USER, POSIX_USER, rename_inner), 0);
}

static int write_with_acl(void)
{
	int fd = open("dir/sub/f", O_WRONLY);
	return POSIX_R(fd);
}

POSIX(default_acls_are_inherited_and_rule_over_the_umask)
{
	char value[100];

	POSIX_OK(chmod("dir", 0755));
	POSIX_OK(setxattr("dir", "system.posix_acl_default", acl, sizeof(acl),
			  0));
	umask(077);
	POSIX_OK(mkdir("dir/sub", 0777));
	int fd = open("dir/sub/f", O_CREAT | O_WRONLY, 0664);
	umask(022);
	POSIX_OK(fd);
	close(fd);
	CHECK_INT(posix_mode("dir/sub"), 0770);
	CHECK_INT(posix_mode("dir/sub/f"), 0660);
	CHECK_INT(getxattr("dir/sub", "system.posix_acl_default", value,
			   sizeof(value)),
		  sizeof(acl));
	CHECK_MEM(value, acl, sizeof(acl));
	CHECK_INT(posix_as(POSIX_USER, POSIX_USER, write_with_acl), 0);
	CHECK_INT(posix_as(POSIX_USER + 1, POSIX_USER, write_with_acl),
		  -EACCES);
	POSIX_OK(chmod("dir/sub/f", 0640)); /* the mask */
	CHECK_INT(posix_as(POSIX_USER, POSIX_USER, write_with_acl), -EACCES);
	POSIX_OK(removexattr("dir/sub/f", "system.posix_acl_access"));
	CHECK_INT(posix_mode("dir/sub/f"), 0640);
	POSIX_NOT(setxattr("dir/sub/f", "system.posix_acl_default", acl,
			   sizeof(acl), 0),
		  EACCES);
	POSIX_NOT(setxattr("dir", "system.posix_acl_access", acl,
			   sizeof(acl) - 1, 0),
		  EINVAL);
}

static int set_acl(void)
{
	return POSIX_R(setxattr("file", "system.posix_acl_access", acl,
				sizeof(acl), 0));
}

POSIX(an_acl_set_by_an_owner_outside_the_group_takes_setgid_away)
{
	POSIX_OK(chown("file", POSIX_USER, POSIX_GROUP));
	POSIX_OK(chmod("file", 02755));
	CHECK_INT(posix_as(POSIX_USER, POSIX_GROUP, set_acl), 0);
	CHECK_INT(posix_mode("file"), 02770);
	CHECK_INT(posix_as(POSIX_USER, POSIX_USER, set_acl), 0);
	CHECK_INT(posix_mode("file"), 0770);
}

static int chmod_setgid(void)
{
	return POSIX_R(chmod("file", 02750));
}

POSIX(only_members_make_a_file_setgid)
{
	POSIX_OK(chown("file", POSIX_USER, POSIX_GROUP));
	CHECK_INT(posix_as(POSIX_USER, POSIX_USER, chmod_setgid), 0);
	CHECK_INT(posix_mode("file"), 0750);
	CHECK_INT(posix_as(POSIX_USER, POSIX_GROUP, chmod_setgid), 0);
	CHECK_INT(posix_mode("file"), 02750);
	CHECK_INT(posix_as(POSIX_USER + 1, POSIX_GROUP, chmod_setgid), -EPERM);
}

/* What a user without rights sees: user.x, not trusted.x. */
static int list_as_user(void)
{
	char names[100];
	ssize_t n = listxattr("file", names, sizeof(names));

	if (n < 0)
		return -errno;
	for (char *name = names; name < names + n; name += strlen(name) + 1)
		if (strcmp(name, "user.x"))
			return -EPROTO;
	if (getxattr("file", "trusted.x", NULL, 0) >= 0 || errno != ENODATA)
		return -EPROTO;
	return POSIX_R(setxattr("file", "trusted.y", "", 0, 0));
}

POSIX(attributes_of_every_namespace_keep_to_its_rules)
{
	char value[2000] = "v", got[3000];

	POSIX_OK(removexattr("file", POSIX_ODD));
	POSIX_OK(
		setxattr("file", "user.x", value, sizeof(value), XATTR_CREATE));
	POSIX_NOT(setxattr("file", "user.x", "", 0, XATTR_CREATE), EEXIST);
	POSIX_NOT(setxattr("file", "user.y", "", 0, XATTR_REPLACE), ENODATA);
	POSIX_OK(setxattr("twin", "trusted.x", "", 0, 0));
	CHECK_INT(getxattr("file", "trusted.x", got, sizeof(got)), 0);
	CHECK_INT(getxattr("twin", "user.x", NULL, 0), sizeof(value));
	POSIX_NOT(getxattr("file", "user.x", got, 10), ERANGE);
	POSIX_NOT(listxattr("file", got, 3), ERANGE);
	CHECK_INT(listxattr("file", got, sizeof(got)), 17);
	CHECK_INT(posix_as(POSIX_USER, POSIX_USER, list_as_user), -EPERM);
	POSIX_NOT(lsetxattr("link", "user.x", "", 0, 0), EPERM);
	POSIX_OK(lsetxattr("link", "trusted.x", "t", 1, 0));
	POSIX_OK(lsetxattr("link", "security.x", "s", 1, 0));
	CHECK_INT(lgetxattr("link", "security.x", got, sizeof(got)), 1);
	POSIX_OK(removexattr("file", "user.x"));
	POSIX_NOT(removexattr("file", "user.x"), ENODATA);
	POSIX_NOT(setxattr("file", "nowhere.x", "", 0, 0), EOPNOTSUPP);
}

POSIX(a_first_write_changes_nothing_but_content_and_times)
{
	struct stat before, after;
	char value[16];
	int fd = open("file", O_RDWR);

	POSIX_OK(fchown(fd, POSIX_USER, POSIX_GROUP));
	POSIX_OK(fstat(fd, &before));
	CHECK_INT(pwrite(fd, "x", 1, 40000), 1);
	POSIX_OK(fstat(fd, &after));
	CHECK_INT(fgetxattr(fd, POSIX_ODD, value, sizeof(value)), 6);
	CHECK_MEM(value, "odd\0\n\xff", 6);
	CHECK_INT(after.st_ino, before.st_ino);
	CHECK_INT(after.st_mode, before.st_mode);
	CHECK_INT(after.st_uid, POSIX_USER);
	CHECK_INT(after.st_gid, POSIX_GROUP);
	CHECK_INT(after.st_size, before.st_size);
	CHECK_INT(after.st_nlink, 2);
	CHECK_INT(after.st_atim.tv_sec, before.st_atim.tv_sec);
	CHECK_INT(after.st_atim.tv_nsec, before.st_atim.tv_nsec);
	CHECK(posix_pattern(fd, 0, 40000));
	CHECK(posix_pattern(fd, 40001, POSIX_SIZE));
	close(fd);
}

static int read_file(void)
{
	return POSIX_R(open("file", O_RDONLY));
}

static int enter_dir(void)
{
	return POSIX_R(access("dir/inner", F_OK));
}

static int list_dir(void)
{
	return POSIX_R(open("dir", O_RDONLY | O_DIRECTORY));
}

static int take_ownership(void)
{
	return POSIX_R(chown("file", POSIX_USER, (gid_t)-1));
}

static int give_own_group(void)
{
	return POSIX_R(chown("file", (uid_t)-1, POSIX_USER));
}

static int touch_now(void)
{
	return POSIX_R(utimensat(AT_FDCWD, "file", NULL, 0));
}

static int set_times(void)
{
	static const struct timespec times[2] = {{1, 0}, {1, 0}};
	return POSIX_R(utimensat(AT_FDCWD, "file", times, 0));
}

POSIX(modes_and_owners_say_who_may)
{
	POSIX_OK(chmod("file", 0640));
	POSIX_OK(chown("file", 0, POSIX_GROUP));
	CHECK_INT(posix_as(POSIX_USER, POSIX_USER, read_file), -EACCES);
	CHECK_INT(posix_as(POSIX_USER, POSIX_GROUP, read_file), 0);
	CHECK_INT(posix_as(POSIX_USER, POSIX_USER, take_ownership), -EPERM);
	CHECK_INT(posix_as(POSIX_USER, POSIX_USER, touch_now), -EACCES);
	POSIX_OK(chmod("file", 0666));
	CHECK_INT(posix_as(POSIX_USER, POSIX_USER, touch_now), 0);
	CHECK_INT(posix_as(POSIX_USER, POSIX_USER, set_times), -EPERM);
	POSIX_OK(chown("file", POSIX_USER, POSIX_GROUP));
	CHECK_INT(posix_as(POSIX_USER, POSIX_USER, set_times), 0);
	CHECK_INT(posix_as(POSIX_USER, POSIX_USER, give_own_group), 0);
	POSIX_OK(chmod("dir", 0711));
	CHECK_INT(posix_as(POSIX_USER, POSIX_USER, enter_dir), 0);
	CHECK_INT(posix_as(POSIX_USER, POSIX_USER, list_dir), -EACCES);
	POSIX_OK(chmod("dir", 0744));
	CHECK_INT(posix_as(POSIX_USER, POSIX_USER, enter_dir), -EACCES);
	CHECK_INT(posix_as(POSIX_USER, POSIX_USER, list_dir), 0);
}
