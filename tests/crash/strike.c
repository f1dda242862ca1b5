/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/crash/strike.h"

#include "layers/base/cleanup.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

enum { LARGEST_HALF = 1 << 20 };

/* The parent of a process; 0: gone, or a zombie. */
static pid_t parent_of(pid_t process)
{
	char path[64], text[512], state;
	int parent;
	snprintf(path, sizeof(path), "/proc/%d/stat", process);
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n < 0)
		return 0;
	text[n] = '\0';
	const char *at = strrchr(text, ')');
	if (!at || sscanf(at + 1, " %c %d", &state, &parent) != 2 ||
	    state == 'Z')
		return 0;
	return parent;
}

static bool is_ours(pid_t process)
{
	for (pid_t at = process; at > 1; at = parent_of(at))
		if (at == getpid())
			return process != at;
	return false;
}

/* How many descendants there were. */
static unsigned kill_once(void)
{
	unsigned n = 0;
	DIR *dir = opendir("/proc");
	for (struct dirent *d; dir && (d = readdir(dir));) {
		pid_t process = (pid_t)strtol(d->d_name, NULL, 10);
		if (process > 1 && is_ours(process)) {
			kill(process, SIGKILL);
			n++;
		}
	}
	if (dir)
		closedir(dir);
	return n;
}

void strike_kill_all(void)
{
	/* Orphans become our children (PR_SET_CHILD_SUBREAPER). */
	while (kill_once()) {
		struct timespec t = {0, 1000000};
		nanosleep(&t, NULL);
	}
}

size_t strike_half(const struct seccomp_notif *req, const struct call *call)
{
	bool at_offset = call->kind->nr == __NR_pwrite64;
	if (call->kind->nr != __NR_write && !at_offset)
		return 0;
	size_t half = (size_t)req->data.args[2] / 2;
	cleanup_fd int fd = call_take_fd(call);
	cleanup_free char *data = malloc(half ? half : 1);
	if (half == 0 || half > LARGEST_HALF || fd < 0 || !data ||
	    call_memory(call->process, req->data.args[1], data, half) != half)
		return 0;
	ssize_t n = at_offset ? pwrite(fd, data, half, (off_t)req->data.args[3])
			      : write(fd, data, half);
	return n < 0 ? 0 : (size_t)n;
}

pid_t strike_meanwhile(const char *command, unsigned long ms, int *status)
{
	pid_t child = fork();
	if (child == 0) {
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	for (; child > 0 && ms; ms--) {
		struct timespec t = {0, 1000000};
		if (waitpid(child, status, WNOHANG) == child)
			return 0;
		nanosleep(&t, NULL);
	}
	return child;
}
