/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/mount/posix.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static void make_files(void)
{
	static uint8_t data[POSIX_SIZE];

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = POSIX_BYTE(i);
	int fd = posix_make("file", 0644);
	CHECK_INT(write(fd, data, sizeof(data)), sizeof(data));
	POSIX_OK(fsetxattr(fd, POSIX_ODD, "odd\0\n\xff", 6, 0));
	close(fd);
	POSIX_OK(link("file", "twin"));

	fd = posix_make("holes", 0644);
	CHECK_INT(pwrite(fd, data, 4096, 0), 4096);
	CHECK_INT(pwrite(fd, data, 4096, POSIX_MIDDLE), 4096);
	POSIX_OK(ftruncate(fd, POSIX_HOLES));
	close(fd);

	POSIX_OK(mkdir("dir", 0755));
	fd = posix_make("dir/inner", 0644);
	CHECK_INT(write(fd, "inner", 5), 5);
	close(fd);
	POSIX_OK(symlink("file", "link"));
}

void posix_enter(const char *test)
{
	const char *top = getenv("POSIX_DIR");

	umask(022);
	if (!top)
		shale_test_skip("no $POSIX_DIR");
	POSIX_OK(chdir(top));
	if (mkdir(test, 0755) == 0) {
		POSIX_OK(chdir(test));
		make_files();
	} else {
		POSIX_OK(chdir(test));
	}
	if (getenv("POSIX_PREPARE"))
		shale_test_skip("prepared");
}

int posix_as(uid_t uid, gid_t gid, int (*fn)(void))
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 ||
		    setresuid(uid, uid, uid) < 0)
			_exit(255);
		_exit(-fn());
	}
	CHECK_INT(waitpid(pid, &status, 0), pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) != 255);
	return -WEXITSTATUS(status);
}

int posix_make(const char *name, mode_t mode)
{
	int fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	POSIX_OK(fd);
	POSIX_OK(fchmod(fd, mode));
	return fd;
}

mode_t posix_mode(const char *name)
{
	struct statx st;

	POSIX_OK(statx(AT_FDCWD, name, AT_SYMLINK_NOFOLLOW, STATX_MODE, &st));
	return st.stx_mode & 07777;
}

nlink_t posix_links(const char *name)
{
	struct stat st;

	POSIX_OK(lstat(name, &st));
	return st.st_nlink;
}

/* All bytes from `from` to `to` are the pattern's, or zero. */
static bool all(int fd, off_t from, off_t to, bool pattern)
{
	uint8_t data[4096];

	while (from < to) {
		size_t len = to - from < (off_t)sizeof(data)
				     ? (size_t)(to - from)
				     : sizeof(data);
		if (pread(fd, data, len, from) != (ssize_t)len)
			return false;
		for (size_t i = 0; i < len; i++) {
			size_t at = (size_t)from + i;
			if (data[i] != (pattern ? POSIX_BYTE(at) : 0))
				return false;
		}
		from += (off_t)len;
	}
	return true;
}

bool posix_pattern(int fd, off_t from, off_t to)
{
	return all(fd, from, to, true);
}

bool posix_zeros(int fd, off_t from, off_t to)
{
	return all(fd, from, to, false);
}
