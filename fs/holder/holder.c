/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/holder/holder.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

enum {
	HARDLY_MS = 200, /* a daemon that lived no longer did nothing */
	GIVE_UP = 20,    /* after so many of them in a row */
	ARGS_MAX = 32,
};

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* shalefs, with signals as it had them before we blocked ours. */
static int start(struct shale_holder *h, bool takeover)
{
	char holder[24], pocket[32], program[32], *argv[ARGS_MAX + 8];
	posix_spawnattr_t attr;
	sigset_t none;
	size_t n = 0;

	for (; h->argv[n] && n < ARGS_MAX; n++)
		argv[n] = h->argv[n];
	snprintf(holder, sizeof(holder), "%d", (int)getpid());
	argv[n++] = (char *)"--holder";
	argv[n++] = holder;
	snprintf(pocket, sizeof(pocket), "%d:%d", h->pocket[0], h->pocket[1]);
	argv[n++] = (char *)"--pocket";
	argv[n++] = pocket;
	argv[n++] = (char *)(takeover ? "--takeover" : "--ready");
	argv[n++] = takeover ? NULL : (char *)h->ready;
	argv[n] = NULL;

	sigemptyset(&none);
	int r = posix_spawnattr_init(&attr);
	if (r != 0)
		return -r;
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	posix_spawnattr_setsigmask(&attr, &none);
	snprintf(program, sizeof(program), "/proc/self/fd/%d", h->program);
	r = posix_spawn(&h->child, h->fall_back ? program : argv[0], NULL,
			&attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	return -r;
}

/* Wait for the daemon's end; what asks to unmount is passed on to it. */
static int wait_for_end(const struct shale_holder *h, const sigset_t *signals)
{
	int status, sig;

	for (;;) {
		pid_t got = waitpid(h->child, &status, WNOHANG);
		if (got == h->child)
			return status;
		if (sigwait(signals, &sig) == 0 && sig != SIGCHLD)
			kill(h->child, SIGTERM);
	}
}

/* Is the file system still mounted? */
static bool connected(const struct shale_holder *h)
{
	struct pollfd p = {.fd = h->fuse};

	return poll(&p, 1, 0) == 0 || !(p.revents & (POLLERR | POLLHUP));
}

/* Does this end of a daemon call for another one? */
static bool must_follow(struct shale_holder *h, int status, bool first)
{
	/* Also when it was unmounted since: somebody must flush and tidy up. */
	if (WIFSIGNALED(status))
		return true;
	if (first || WEXITSTATUS(status) == 0 || !connected(h))
		return false;
	/* What was installed meanwhile may be unable; or it lacked memory. */
	bool known = h->fall_back;
	h->fall_back = !known && h->program >= 0;
	return WEXITSTATUS(status) != SHALE_EXIT_NO_TAKEOVER || h->fall_back;
}

/*
 * A request on which each daemon fails must not keep everybody waiting for
 * ever.  SIGKILL comes from outside, and tells nothing.
 */
static bool give_up(struct shale_holder *h, int status, uint64_t lived)
{
	struct timespec pause = {0};

	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		return false;
	h->quick = lived < HARDLY_MS ? h->quick + 1 : 0;
	if (h->quick >= GIVE_UP) {
		syslog(LOG_ERR, "%u daemons in a row failed at once: giving up",
		       h->quick);
		return true;
	}
	if (h->quick > 3) {
		pause.tv_nsec = (long)h->quick * 20 * 1000000;
		nanosleep(&pause, NULL);
	}
	return false;
}

static void say_end(int status)
{
	if (WIFSIGNALED(status))
		syslog(LOG_WARNING, "shalefs ended: %s; another takes over",
		       strsignal(WTERMSIG(status)));
	else
		syslog(LOG_WARNING, "shalefs ended with %d; another tries",
		       WEXITSTATUS(status));
}

int shale_holder_run(struct shale_holder *h)
{
	static const int wanted[] = {SIGCHLD, SIGTERM, SIGINT, SIGHUP};
	sigset_t signals;
	int status;

	sigemptyset(&signals);
	for (size_t i = 0; i < sizeof(wanted) / sizeof(*wanted); i++)
		sigaddset(&signals, wanted[i]);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	h->program = open(h->argv[0], O_PATH | O_CLOEXEC);
	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, h->pocket) < 0) {
		syslog(LOG_ERR, "socketpair: %s", strerror(errno));
		return 1;
	}
	for (bool first = true;; first = false) {
		uint64_t since = now_ms();
		int r = start(h, !first);
		if (first)
			close((int)strtol(h->ready, NULL, 10));
		if (r < 0) {
			syslog(LOG_ERR, "run shalefs: %s", strerror(-r));
			status = 1 << 8;
		} else {
			status = wait_for_end(h, &signals);
		}
		if (!must_follow(h, status, first) ||
		    give_up(h, status, now_ms() - since))
			break;
		say_end(status);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
