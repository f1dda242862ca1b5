/* SPDX-License-Identifier: Apache-2.0 */
/* What is open and has no name, or another one. */
#include "tests/mount/posix.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

static void proc_path(int fd, char *out, size_t size)
{
	snprintf(out, size, "/proc/self/fd/%d", fd);
}

/* Every call that takes a descriptor, on a file of POSIX_SIZE bytes. */
static void use_nameless(int fd)
{
	static const struct timespec times[2] = {{1, 2}, {3, 4}};
	off_t from = 0, to = POSIX_SIZE;
	char path[64], text[8] = {0};
	struct stat st;

	CHECK(posix_pattern(fd, 0, POSIX_SIZE));
	CHECK_INT(pwrite(fd, "x", 1, 100), 1);
	POSIX_OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096,
			   4096));
	CHECK_INT(copy_file_range(fd, &from, fd, &to, 5000, 0), 5000);
	CHECK_INT(lseek(fd, 0, SEEK_HOLE), 4096);
	POSIX_OK(fsetxattr(fd, "user.x", "y", 1, 0));
	CHECK_INT(fgetxattr(fd, "user.x", text, sizeof(text)), 1);
	POSIX_OK(fremovexattr(fd, "user.x"));
	POSIX_OK(fchown(fd, POSIX_USER, POSIX_GROUP));
	POSIX_OK(fchmod(fd, 0640));
	POSIX_OK(ftruncate(fd, 50000));
	POSIX_OK(futimens(fd, times));
	POSIX_OK(fsync(fd));
	POSIX_OK(flock(fd, LOCK_EX | LOCK_NB));
	POSIX_OK(fstat(fd, &st));
	CHECK_INT(st.st_nlink, 0);
	CHECK_INT(st.st_size, 50000);
	CHECK_INT(st.st_mode & 07777, 0640);
	CHECK_INT(st.st_uid, POSIX_USER);
	CHECK_INT(st.st_mtim.tv_nsec, 4);
	uint8_t *map =
		mmap(NULL, 50000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(map != MAP_FAILED);
	CHECK_INT(map[100], 'x');
	map[101] = 'y';
	POSIX_OK(munmap(map, 50000));
	proc_path(fd, path, sizeof(path));
	POSIX_NOT(linkat(AT_FDCWD, path, AT_FDCWD, "again", AT_SYMLINK_FOLLOW),
		  ENOENT);
	int again = open(path, O_RDWR);
	POSIX_OK(again);
	CHECK_INT(pread(again, text, 2, 100), 2);
	CHECK_STR(text, "xy");
	close(fd);
	CHECK_INT(pread(again, text, 2, 100), 2);
	CHECK_INT(write(again, "z", 1), 1);
	close(again);
}

POSIX(an_unlinked_file_lives_through_every_call)
{
	int fd = open("file", O_RDWR);

	POSIX_OK(unlink("twin"));
	POSIX_OK(unlink("file"));
	POSIX_NOT(open("file", O_RDONLY), ENOENT);
	use_nameless(fd);
}

POSIX(a_file_that_another_replaces_lives_while_it_is_open)
{
	int fd = open("file", O_RDWR), other = posix_make("new", 0600);

	CHECK_INT(write(other, "other", 5), 5);
	POSIX_OK(unlink("twin"));
	POSIX_OK(rename("new", "file"));
	use_nameless(fd);
	CHECK_INT(posix_links("file"), 1);
	close(other);
}

POSIX(an_unlinked_directory_is_empty_and_takes_nothing)
{
	int fd = open("dir", O_RDONLY | O_DIRECTORY);
	struct stat st;

	POSIX_OK(unlink("dir/inner"));
	POSIX_OK(rmdir("dir"));
	POSIX_OK(fstat(fd, &st));
	CHECK_INT(st.st_nlink, 0);
	POSIX_NOT(openat(fd, "new", O_CREAT | O_WRONLY, 0600), ENOENT);
	POSIX_NOT(mkdirat(fd, "new", 0700), ENOENT);
	POSIX_NOT(symlinkat("file", fd, "new"), ENOENT);
	POSIX_NOT(linkat(AT_FDCWD, "file", fd, "new", 0), ENOENT);
	POSIX_NOT(renameat(AT_FDCWD, "file", fd, "new"), ENOENT);
	POSIX_OK(fchmod(fd, 0700));
	POSIX_OK(fsync(fd));
	POSIX_OK(mkdir("dir", 0755)); /* made again: it is another one */
	POSIX_NOT(unlink("dir/inner"), ENOENT);
	close(fd);
}

POSIX(a_file_without_a_name_gets_one)
{
	int fd = open("dir", O_TMPFILE | O_RDWR, 0640);
	struct stat st;
	char path[64];

	POSIX_OK(fd);
	CHECK_INT(write(fd, "no name yet", 11), 11);
	POSIX_OK(fsetxattr(fd, "user.x", "y", 1, 0));
	POSIX_OK(fstat(fd, &st));
	CHECK_INT(st.st_nlink, 0);
	CHECK_INT(st.st_mode & 07777, 0640);
	proc_path(fd, path, sizeof(path));
	POSIX_NOT(linkat(AT_FDCWD, path, AT_FDCWD, "file", AT_SYMLINK_FOLLOW),
		  EEXIST);
	POSIX_OK(linkat(AT_FDCWD, path, AT_FDCWD, "dir/named",
			AT_SYMLINK_FOLLOW));
	POSIX_OK(linkat(fd, "", AT_FDCWD, "named", AT_EMPTY_PATH));
	close(fd);
	CHECK_INT(posix_links("dir/named"), 2);
	CHECK_INT(getxattr("named", "user.x", path, sizeof(path)), 1);
	POSIX_OK(lstat("named", &st));
	CHECK_INT(st.st_size, 11);

	fd = open("dir", O_TMPFILE | O_RDWR | O_EXCL, 0600);
	POSIX_OK(fd);
	proc_path(fd, path, sizeof(path));
	POSIX_NOT(linkat(AT_FDCWD, path, AT_FDCWD, "never", AT_SYMLINK_FOLLOW),
		  ENOENT);
	close(fd);
	POSIX_NOT(open("file", O_TMPFILE | O_RDWR, 0600), ENOTDIR);
}

POSIX(locks_hold_between_processes)
{
	int fd = open("file", O_RDWR), again = open("twin", O_RDWR);
	struct flock mine = {.l_type = F_WRLCK, .l_start = 10, .l_len = 10};
	struct flock other = {.l_type = F_RDLCK, .l_start = 15, .l_len = 1};

	POSIX_OK(flock(fd, LOCK_SH));
	POSIX_OK(flock(again, LOCK_SH));
	POSIX_NOT(flock(again, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	POSIX_OK(flock(fd, LOCK_UN));
	POSIX_OK(flock(again, LOCK_EX | LOCK_NB));
	POSIX_OK(fcntl(fd, F_OFD_SETLK, &mine));
	POSIX_NOT(fcntl(again, F_OFD_SETLK, &other), EAGAIN);
	POSIX_OK(fcntl(again, F_OFD_GETLK, &other));
	CHECK_INT(other.l_type, F_WRLCK);
	CHECK_INT(other.l_start, 10);
	other = (struct flock){.l_type = F_WRLCK, .l_start = 20, .l_len = 0};
	POSIX_OK(fcntl(again, F_OFD_SETLK, &other));
	close(fd); /* lets go of its locks */
	mine.l_len = 5;
	POSIX_OK(fcntl(again, F_OFD_SETLK, &mine));
	close(again);
}

static int lock_from_outside(void)
{
	struct flock lock = {.l_type = F_WRLCK, .l_start = 0, .l_len = 1};
	int fd = open("file", O_RDWR);

	return fcntl(fd, F_SETLK, &lock) < 0 ? -errno : 0;
}

POSIX(a_process_keeps_its_record_locks_from_others)
{
	struct flock lock = {.l_type = F_WRLCK, .l_start = 0, .l_len = 1};
	int fd = open("file", O_RDWR);

	POSIX_OK(fcntl(fd, F_SETLK, &lock));
	CHECK_INT(posix_as(0, 0, lock_from_outside), -EAGAIN);
	close(open("file", O_RDONLY)); /* POSIX: any close lets go of all */
	CHECK_INT(posix_as(0, 0, lock_from_outside), 0);
	close(fd);
}
