/* SPDX-License-Identifier: Apache-2.0 */
/* Names: renames, links, what has no content, handles, times. */
#include "tests/mount/posix.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <unistd.h>

static ino_t ino_of(const char *name)
{
	struct stat st;

	POSIX_OK(lstat(name, &st));
	return st.st_ino;
}

static int rename2(const char *from, const char *to, unsigned flags)
{
	return renameat2(AT_FDCWD, from, AT_FDCWD, to, flags);
}

POSIX(rename_refuses_replaces_and_exchanges)
{
	ino_t file = ino_of("file"), dir = ino_of("dir");

	POSIX_NOT(rename2("file", "dir", RENAME_NOREPLACE), EEXIST);
	POSIX_NOT(rename("file", "dir"), EISDIR);
	POSIX_NOT(rename("dir", "file"), ENOTDIR);
	POSIX_NOT(rename("dir", "dir/inner/x"), ENOTDIR);
	POSIX_NOT(rename("dir", "dir/x"), EINVAL);
	POSIX_OK(rename2("file", "dir", RENAME_EXCHANGE));
	CHECK_INT(ino_of("file"), dir);
	CHECK_INT(ino_of("dir"), file);
	CHECK_INT(access("file/inner", F_OK), 0);
	POSIX_OK(rename2("file/inner", "twin", RENAME_EXCHANGE));
	CHECK_INT(ino_of("file/inner"), file);
	POSIX_NOT(rename2("file", "file/inner", RENAME_EXCHANGE), EINVAL);
	POSIX_NOT(rename2("file/inner", "file", RENAME_EXCHANGE), EINVAL);
	POSIX_NOT(rename2("file", "none", RENAME_EXCHANGE), ENOENT);
	POSIX_OK(rename2("file", "moved", RENAME_NOREPLACE));
	POSIX_OK(mkdir("empty", 0700));
	POSIX_OK(rename("moved", "empty"));
	CHECK_INT(ino_of("empty"), dir);
	POSIX_OK(mkdir("full", 0700));
	POSIX_OK(mkdir("full/x", 0700));
	POSIX_NOT(rename("empty", "full"), ENOTEMPTY);
	CHECK_INT(posix_links("full"), 3);
	POSIX_OK(rename("full/x", "x"));
	CHECK_INT(posix_links("full"), 2);
}

POSIX(renaming_one_name_of_a_file_onto_another_does_nothing)
{
	POSIX_OK(rename("file", "twin"));
	CHECK_INT(posix_links("file"), 2);
	CHECK_INT(ino_of("file"), ino_of("twin"));
}

POSIX(a_rename_leaves_a_whiteout_when_asked)
{
	struct stat st;

	POSIX_OK(rename2("file", "moved", RENAME_WHITEOUT));
	POSIX_OK(lstat("file", &st));
	CHECK(S_ISCHR(st.st_mode));
	CHECK_INT(st.st_rdev, 0);
	CHECK_INT(st.st_nlink, 1);
	CHECK_INT(posix_links("moved"), 2);
	POSIX_OK(rename2("dir", "over", RENAME_WHITEOUT));
	POSIX_OK(access("over/inner", F_OK));
	POSIX_OK(lstat("dir", &st));
	CHECK(S_ISCHR(st.st_mode));
	POSIX_NOT(rename2("over", "holes", RENAME_WHITEOUT | RENAME_NOREPLACE),
		  EEXIST);
	POSIX_NOT(rename2("over", "holes", RENAME_WHITEOUT | RENAME_EXCHANGE),
		  EINVAL);
	POSIX_OK(unlink("dir"));
	POSIX_OK(mkdir("dir", 0755));
	POSIX_NOT(access("dir/inner", F_OK), ENOENT);
}

POSIX(names_of_one_file_are_one_file)
{
	struct stat a, b;
	int fd = open("file", O_RDWR);

	CHECK_INT(posix_links("twin"), 2);
	CHECK_INT(pwrite(fd, "x", 1, POSIX_SIZE + 9), 1);
	close(fd);
	POSIX_OK(chmod("twin", 0600));
	POSIX_OK(link("twin", "dir/third"));
	POSIX_OK(unlink("twin"));
	POSIX_OK(lstat("file", &a));
	POSIX_OK(lstat("dir/third", &b));
	CHECK_INT(a.st_ino, b.st_ino);
	CHECK_INT(a.st_nlink, 2);
	CHECK_INT(b.st_size, POSIX_SIZE + 10);
	CHECK_INT(b.st_mode & 07777, 0600);
	POSIX_NOT(link("dir", "hard"), EPERM);
	POSIX_OK(link("link", "hard")); /* the symlink, not what it names */
	CHECK_INT(posix_links("link"), 2);
	CHECK_INT(ino_of("hard"), ino_of("link"));
}

POSIX(what_is_deleted_and_made_again_is_new)
{
	struct stat st;

	POSIX_OK(unlink("dir/inner"));
	POSIX_OK(rmdir("dir"));
	POSIX_OK(mkdir("dir", 0755));
	POSIX_NOT(lstat("dir/inner", &st), ENOENT);
	POSIX_OK(unlink("file"));
	close(posix_make("file", 0600));
	POSIX_OK(lstat("file", &st));
	CHECK_INT(st.st_size, 0);
	CHECK_INT(st.st_nlink, 1);
	POSIX_OK(stat("link", &st));
	CHECK_INT(st.st_size, 0);
}

POSIX(names_have_255_bytes_of_any_kind_and_targets_4095)
{
	char name[257], target[4097], got[4097];

	memset(name, '\xff', sizeof(name));
	name[255] = '\0';
	close(posix_make(name, 0600));
	POSIX_OK(rename(name, "dir/back\\\n\001"));
	name[255] = 'x', name[256] = '\0';
	POSIX_NOT(mkdir(name, 0700), ENAMETOOLONG);
	memset(target, 't', sizeof(target));
	target[4095] = '\0';
	POSIX_OK(symlink(target, "long"));
	CHECK_INT(readlink("long", got, sizeof(got)), 4095);
	CHECK_MEM(got, target, 4095);
	target[4095] = 't', target[4096] = '\0';
	POSIX_NOT(symlink(target, "longer"), ENAMETOOLONG);
	POSIX_NOT(symlink("", "empty"), ENOENT);
}

POSIX(fifos_sockets_and_devices_are_as_anywhere)
{
	struct sockaddr_un where = {.sun_family = AF_UNIX, .sun_path = "sock"};
	struct stat st;
	char text[8] = {0};

	POSIX_OK(mkfifo("fifo", 0640));
	POSIX_NOT(open("fifo", O_WRONLY | O_NONBLOCK), ENXIO);
	int fifo = open("fifo", O_RDWR | O_NONBLOCK);
	CHECK_INT(write(fifo, "through", 7), 7);
	CHECK_INT(read(fifo, text, sizeof(text)), 7);
	CHECK_STR(text, "through");
	close(fifo);

	int server = socket(AF_UNIX, SOCK_STREAM, 0);
	int client = socket(AF_UNIX, SOCK_STREAM, 0);
	POSIX_OK(bind(server, (void *)&where, sizeof(where)));
	POSIX_OK(listen(server, 1));
	POSIX_OK(connect(client, (void *)&where, sizeof(where)));
	POSIX_OK(lstat("sock", &st));
	CHECK(S_ISSOCK(st.st_mode));
	POSIX_NOT(open("sock", O_RDONLY), ENXIO);
	close(client);
	close(server);

	POSIX_OK(mknod("device", S_IFBLK | 0600, makedev(259, 70000)));
	POSIX_OK(lstat("device", &st));
	CHECK(S_ISBLK(st.st_mode));
	CHECK_INT(major(st.st_rdev), 259);
	CHECK_INT(minor(st.st_rdev), 70000);
	POSIX_OK(chmod("device", 0660));
	POSIX_OK(rename("device", "dir/device"));
}

/* Open by a handle until that fails; errno.  FUSE tells its server of a close
 * behind it: for as long as that is under way the file is still open. */
static int open_until_gone(int mount, struct file_handle *h)
{
	int fd = open_by_handle_at(mount, h, O_RDONLY);

	for (int tries = 0; fd >= 0 && tries < 500; tries++) {
		close(fd);
		usleep(10000);
		fd = open_by_handle_at(mount, h, O_RDONLY);
	}
	return fd < 0 ? errno : 0;
}

/* A handle outlives names and caches, not the file. */
POSIX(handles_open_what_they_were_made_of)
{
	struct file_handle *h = malloc(sizeof(*h) + MAX_HANDLE_SZ);
	int mount, here = open(".", O_RDONLY | O_DIRECTORY);
	struct stat st;

	h->handle_bytes = MAX_HANDLE_SZ;
	POSIX_OK(name_to_handle_at(AT_FDCWD, "file", h, &mount, 0));
	POSIX_OK(rename("file", "dir/moved"));
	POSIX_OK(unlink("twin"));
	int fd = open_by_handle_at(here, h, O_RDWR);
	POSIX_OK(fd);
	CHECK(posix_pattern(fd, 0, POSIX_SIZE));
	close(fd);
	POSIX_OK(unlink("dir/moved"));
	CHECK_INT(open_until_gone(here, h), ESTALE);

	h->handle_bytes = MAX_HANDLE_SZ;
	POSIX_OK(name_to_handle_at(AT_FDCWD, "dir", h, &mount, 0));
	fd = open_by_handle_at(here, h, O_RDONLY | O_DIRECTORY);
	POSIX_OK(fd);
	POSIX_OK(fstatat(fd, "inner", &st, 0));
	POSIX_OK(fstatat(fd, "../holes", &st, 0));
	close(fd);
	close(here);
	free(h);
}

static void check_time(struct timespec got, int64_t sec, long nsec)
{
	CHECK_INT(got.tv_sec, sec);
	CHECK_INT(got.tv_nsec, nsec);
}

static bool later(struct timespec a, struct timespec b)
{
	return a.tv_sec > b.tv_sec ||
	       (a.tv_sec == b.tv_sec && a.tv_nsec > b.tv_nsec);
}

POSIX(times_have_nanoseconds_before_1970_and_after_2106)
{
	struct timespec times[2] = {{-86400, 999999999}, {5000000000, 1}};
	struct stat st;

	POSIX_OK(utimensat(AT_FDCWD, "file", times, 0));
	POSIX_OK(stat("twin", &st));
	check_time(st.st_atim, -86400, 999999999);
	check_time(st.st_mtim, 5000000000, 1);
	times[0].tv_nsec = UTIME_OMIT;
	times[1] = (struct timespec){-1, 5};
	POSIX_OK(utimensat(AT_FDCWD, "link", times, AT_SYMLINK_NOFOLLOW));
	POSIX_OK(lstat("link", &st));
	check_time(st.st_mtim, -1, 5);
	times[1].tv_nsec = 1000000000;
	POSIX_NOT(utimensat(AT_FDCWD, "file", times, 0), EINVAL);
	POSIX_OK(stat("file", &st));
	check_time(st.st_atim, -86400, 999999999);
}

POSIX(changes_of_content_attributes_and_names_set_their_times)
{
	static const struct timespec old[2] = {{1000, 0}, {1000, 0}};
	struct stat a, b;
	int fd = open("file", O_RDWR);

	POSIX_OK(futimens(fd, old));
	POSIX_OK(fstat(fd, &a));
	POSIX_OK(fchmod(fd, 0600));
	POSIX_OK(fstat(fd, &b));
	check_time(b.st_mtim, 1000, 0);
	CHECK(later(b.st_ctim, a.st_ctim));
	CHECK_INT(pwrite(fd, "x", 1, 0), 1);
	POSIX_OK(fstat(fd, &a));
	CHECK(a.st_mtim.tv_sec > 1000);
	CHECK(later(a.st_ctim, b.st_ctim));
	POSIX_OK(futimens(fd, old));
	POSIX_OK(ftruncate(fd, POSIX_SIZE)); /* no change of size, yet */
	POSIX_OK(fstat(fd, &b));
	CHECK(b.st_mtim.tv_sec > 1000);
	POSIX_OK(utimensat(AT_FDCWD, "dir", old, 0));
	POSIX_OK(rename("file", "dir/file"));
	POSIX_OK(fstat(fd, &a));
	CHECK(later(a.st_ctim, b.st_ctim));
	POSIX_OK(stat("dir", &b));
	CHECK(b.st_mtim.tv_sec > 1000);
	close(fd);
}

POSIX(a_file_that_is_touched_has_one_time)
{
	struct stat st;

	POSIX_OK(utimensat(AT_FDCWD, "file", NULL, 0));
	POSIX_OK(stat("file", &st));
	check_time(st.st_atim, st.st_ctim.tv_sec, st.st_ctim.tv_nsec);
	check_time(st.st_mtim, st.st_ctim.tv_sec, st.st_ctim.tv_nsec);
}

POSIX(statfs_tells_what_there_is)
{
	struct statfs before, after;

	POSIX_OK(statfs(".", &before));
	CHECK(before.f_blocks >= before.f_bfree);
	CHECK(before.f_bfree >= before.f_bavail);
	CHECK(before.f_files >= before.f_ffree);
	CHECK_INT(before.f_namelen, 255);
	CHECK(before.f_bsize >= 512);
	int fd = open("file", O_RDONLY);
	POSIX_OK(fstatfs(fd, &after));
	CHECK_INT(after.f_type, before.f_type);
	close(fd);
}
