/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/store/lock.h"

#include "layers/base/cleanup.h"
#include "layers/base/io.h"
#include "layers/store/store.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>

enum { FIRST_PAUSE_MS = 1, LONGEST_PAUSE_MS = 50 };

/* The first line of a file of the kernel's, without its newline. */
static void read_line(const char *path, char *out, size_t size)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, out, size - 1);
	out[n < 0 ? 0 : n] = '\0';
	out[strcspn(out, "\n")] = '\0';
}

/* Field 22 of /proc/self/stat: start time in ticks since boot. */
static void start_time(char *out, size_t size)
{
	char stat[1024];
	read_line("/proc/self/stat", stat, sizeof(stat));
	const char *at = strrchr(stat, ')'); /* the name may hold spaces */
	for (int field = 2; at && field < 22; field++) {
		at = strchr(at, ' ');
		at = at ? at + 1 : NULL;
	}
	snprintf(out, size, "%.*s", at ? (int)strcspn(at, " ") : 1,
		 at ? at : "?");
}

/* Nobody decides by this text, so that it cannot be written is no failure. */
static void write_holder(int fd)
{
	char host[65] = "?", boot[64], start[32], program[64], text[400];

	gethostname(host, sizeof(host) - 1);
	read_line("/proc/sys/kernel/random/boot_id", boot, sizeof(boot));
	read_line("/proc/self/comm", program, sizeof(program));
	start_time(start, sizeof(start));
	int n = snprintf(text, sizeof(text), "%ld %s %s %s %s\n",
			 (long)getpid(), host, boot, start, program);
	if (n > 0 && (size_t)n < sizeof(text) && ftruncate(fd, 0) == 0)
		shale_pwrite_full(fd, text, (size_t)n, 0, "lock", NULL);
}

static int busy(int fd, struct shale_err *err)
{
	char text[400], host[65], program[64];
	long pid;
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	text[n < 0 ? 0 : n] = '\0';
	if (sscanf(text, "%ld %64s %*s %*s %63[^\n]", &pid, host, program) == 3)
		return shale_err_say(err, EBUSY,
				     "the store is locked by process %ld (%s) "
				     "on %s",
				     pid, program, host);
	return shale_err_say(err, EBUSY,
			     "the store is locked by another process");
}

static int wait_for(int fd, int how, unsigned wait_ms, struct shale_err *err)
{
	unsigned pause = FIRST_PAUSE_MS, waited = 0;

	while (flock(fd, how | LOCK_NB) < 0) {
		if (errno == EINTR)
			continue;
		if (errno != EWOULDBLOCK)
			return shale_err_set(err, errno, "lock the store");
		if (waited >= wait_ms)
			return busy(fd, err);
		struct timespec t = {0, (long)pause * 1000000};
		if (nanosleep(&t, NULL) < 0 && errno == EINTR)
			return shale_err_say(err, EINTR, "interrupted");
		waited += pause;
		pause = pause * 2 < LONGEST_PAUSE_MS ? pause * 2
						     : LONGEST_PAUSE_MS;
	}
	return 0;
}

int shale_lock_take(int dirfd, unsigned wait_ms, int *out,
		    struct shale_err *err)
{
	cleanup_fd int fd =
		openat(dirfd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return shale_err_set(err, errno, "open 'lock'");

	int r = wait_for(fd, LOCK_EX, wait_ms, err);
	if (r < 0)
		return r;
	write_holder(fd);
	*out = steal_fd(&fd);
	return 0;
}

int shale_lock_share(int dirfd, unsigned wait_ms, int *out,
		     struct shale_err *err)
{
	cleanup_fd int fd =
		openat(dirfd, "lock", O_RDONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 && shale_store_read_only(-errno)) {
		*out = -1;
		return 0;
	}
	if (fd < 0)
		return shale_err_set(err, errno, "open 'lock'");

	int r = wait_for(fd, LOCK_SH, wait_ms, err);
	if (r == 0)
		*out = steal_fd(&fd);
	return r;
}

void shale_lock_release(int *fd)
{
	if (*fd < 0)
		return;
	if (ftruncate(*fd, 0) < 0) {
		/* it is for people only */
	}
	/* A child that inherited the descriptor must not keep the lock. */
	flock(*fd, LOCK_UN);
	close(*fd);
	*fd = -1;
}
