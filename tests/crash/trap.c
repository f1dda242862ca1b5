/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/crash/trap.h"

#include "layers/base/cleanup.h"
#include "tests/crash/call.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

enum { MOST = 256 };

static void say(struct sock_filter *code, unsigned short *n,
		struct sock_filter one)
{
	code[(*n)++] = one;
}

/* One watched call: four instructions at most, then on to the next. */
static void watch(struct sock_filter *code, unsigned short *n,
		  const struct call_kind *k)
{
	struct sock_filter notify =
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);

	if (k->flags < 0) {
		say(code, n,
		    (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
						 (unsigned)k->nr, 0, 1));
		say(code, n, notify);
		return;
	}
	unsigned at = (unsigned)(offsetof(struct seccomp_data, args) +
				 sizeof(__u64) * (unsigned)k->flags);
	say(code, n,
	    (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
					 (unsigned)k->nr, 0, 4));
	say(code, n,
	    (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, at));
	say(code, n,
	    (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K,
					 CALL_OPEN_FLAGS, 0, 1));
	say(code, n, notify);
	say(code, n, allow);
}

/* The listener's descriptor, or -1. */
static int install(unsigned kinds)
{
	struct sock_filter code[MOST];
	struct sock_fprog program = {.filter = code};

	/* (no program of ours uses another ABI of the same processor) */
	say(code, &program.len,
	    (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
					 offsetof(struct seccomp_data, nr)));
	for (size_t i = 0; i < call_kinds_n; i++)
		if (call_kinds[i].kind & kinds)
			watch(code, &program.len, &call_kinds[i]);
	say(code, &program.len,
	    (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));

	if (geteuid() != 0)
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	/* A signal must not make a call that waits for us appear twice. */
	unsigned long flags = SECCOMP_FILTER_FLAG_NEW_LISTENER |
			      SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags,
			    &program);
}

/* ------------------------------------------------------- passing it over */

union message {
	struct cmsghdr align;
	char data[CMSG_SPACE(sizeof(int))];
};

static int send_fd(int socket, int fd)
{
	char byte = 0;
	struct iovec iov = {&byte, 1};
	union message control = {0};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = control.data,
			   .msg_controllen = sizeof(control.data)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(int));
	return sendmsg(socket, &m, 0) == 1 ? 0 : -1;
}

static int receive_fd(int socket)
{
	char byte;
	int fd = -1;
	struct iovec iov = {&byte, 1};
	union message control = {0};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = control.data,
			   .msg_controllen = sizeof(control.data)};
	ssize_t n;
	do {
		n = recvmsg(socket, &m, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n != 1)
		return -1;
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	if (c && c->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(c), sizeof(int));
	return fd;
}

/* From here to exec the child makes no call that is watched. */
static void run_child(int socket, char **argv, unsigned kinds)
{
	setpgid(0, 0);
	int fd = install(kinds);
	if (fd < 0 || send_fd(socket, fd) < 0)
		_exit(126);
	close(fd);
	close(socket);
	execvp(argv[0], argv);
	_exit(127);
}

pid_t trap_run(char **argv, unsigned kinds, int *listener)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	pid_t child = fork();
	if (child == 0)
		run_child(pair[1], argv, kinds);
	close(pair[1]);
	*listener = child < 0 ? -1 : receive_fd(pair[0]);
	close(pair[0]);
	return *listener < 0 ? -ENOSYS : child;
}
