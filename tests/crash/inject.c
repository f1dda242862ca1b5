/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Run a command, and have something happen to it at its N-th call that changes
 * (or reads) files below a directory; with -b only those of that name.  Calls
 * of its threads and children count too.
 *
 *     inject -d DIR [-c KINDS] [-n N] [-a ACTION] [-f COUNT] [-w MS]
 *            [-b NAME] [-o REPORT] COMMAND…
 *
 * KINDS: write, size, make, rename, remove, sync, attr, with commas; or all of
 * these; and read, which stands for itself.
 * ACTION: kill, torn, lose, int (strike.h), or an error: ENOSPC, EIO, which
 * COUNT calls get (1; 0: all from there on); or `meanwhile:COMMAND`, which runs
 * at as many, and is waited for MS milliseconds (300).  Without -n calls are
 * only counted, and the report lists what was never synced.
 *
 * The exit code is the command's (128 + signal), 137 where it was killed here.
 * Lines of the report: `calls N`, `kind WORD N`, `struck N CALL PATH` when it
 * came so far, `meanwhile CODE`, `unsynced …`.
 */
#include "tests/crash/strike.h"
#include "tests/crash/trap.h"
#include "tests/crash/unsynced.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SLICE_MS = 10, MOMENT_MS = 300 };

struct injection {
	/* asked for */
	char *dir;        /* absolute, without links */
	const char *name; /* of the files that count; NULL: all */
	unsigned kinds;
	unsigned long at, failures, moment;
	enum strike strike;
	int error;
	const char *meanwhile;
	/* going on */
	pid_t child;
	int listener, status;
	unsigned long calls, failed, of_kind[32];
	bool struck, killed;
	char what[PATH_MAX + 64];
	pid_t other; /* the command that runs meanwhile */
	int other_status;
	struct unsynced *unsynced;
};

static bool is_below(const char *path, const char *dir)
{
	size_t len = strlen(dir);
	return !strncmp(path, dir, len) && (path[len] == '/' || !path[len]);
}

/* --------------------------------------------------------------- one call */

static void answer(const struct injection *x, const struct seccomp_notif *req,
		   int error, long value)
{
	struct seccomp_notif_resp resp = {
		.id = req->id, .error = -error, .val = value};
	if (error == 0 && value < 0) {
		resp.val = 0;
		resp.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	}
	ioctl(x->listener, SECCOMP_IOCTL_NOTIF_SEND, &resp);
}
enum { GO_ON = -1 };

static void kill_here(struct injection *x)
{
	strike_kill_all();
	if (x->strike == STRIKE_LOSE)
		unsynced_lose(x->unsynced);
	x->killed = true;
}

/* The chosen call: true when it has been answered. */
static bool strike(struct injection *x, const struct seccomp_notif *req,
		   const struct call *call)
{
	size_t half;
	x->struck = true;
	snprintf(x->what, sizeof(x->what), "%s %s", call->kind->name,
		 call->path);
	switch (x->strike) {
	case STRIKE_TORN:
		strike_half(req, call);
		kill_here(x);
		return true;
	case STRIKE_KILL:
	case STRIKE_LOSE:
		kill_here(x);
		return true;
	case STRIKE_INT:
		kill(-x->child, SIGINT);
		return false;
	case STRIKE_MEANWHILE:
		x->other = strike_meanwhile(x->meanwhile, x->moment,
					    &x->other_status);
		return false;
	case STRIKE_FAIL:
		half = strike_half(req, call);
		if (half)
			answer(x, req, 0, (long)half);
		return half != 0;
	default:
		return false;
	}
}

static bool fails(struct injection *x)
{
	if (x->strike != STRIKE_FAIL || !x->struck ||
	    (x->failures && x->failed == x->failures))
		return false;
	x->failed++;
	return true;
}

static bool is_of_name(const struct call *call, const char *name)
{
	const char *slash = strrchr(call->path, '/');
	return !name || (slash && !strcmp(slash + 1, name));
}

/* Is this call the chosen one, or one more of those? */
static bool is_chosen(const struct injection *x)
{
	if (!x->at || x->calls < x->at)
		return false;
	return x->calls == x->at ||
	       (x->strike == STRIKE_MEANWHILE &&
		(!x->failures || x->calls - x->at < x->failures));
}

static void serve(struct injection *x, const struct seccomp_notif *req)
{
	struct call call;
	if (!call_read(req, &call) ||
	    !(is_below(call.path, x->dir) || is_below(call.from, x->dir))) {
		answer(x, req, 0, GO_ON);
		return;
	}
	if (call.kind->kind & x->kinds && is_of_name(&call, x->name)) {
		x->calls++;
		x->of_kind[__builtin_ctz(call.kind->kind)]++;
		if (is_chosen(x) && strike(x, req, &call))
			return;
		if (fails(x)) {
			answer(x, req, x->error, 0);
			return;
		}
	}
	unsynced_note(x->unsynced, &call);
	answer(x, req, 0, GO_ON);
}

/* ---------------------------------------------------------------- the run */

static int code_of(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Children that ended, adopted ones among them. */
static void reap(struct injection *x, int flags)
{
	int status;
	pid_t pid;
	while ((pid = waitpid(-1, &status, flags)) > 0 ||
	       (pid < 0 && errno == EINTR)) {
		if (pid == x->child)
			x->status = status;
		if (pid == x->other)
			x->other_status = status;
	}
}

/* Serve until nobody is left who could call. */
static void serve_all(struct injection *x)
{
	struct pollfd p = {.fd = x->listener, .events = POLLIN};
	while (!x->killed) {
		struct seccomp_notif req = {0};
		int n = poll(&p, 1, SLICE_MS);
		if (n < 0 && errno != EINTR)
			return;
		if (n <= 0) /* only a process that was waited for lets go */
			reap(x, WNOHANG);
		else if (p.revents & POLLIN &&
			 ioctl(x->listener, SECCOMP_IOCTL_NOTIF_RECV, &req) ==
				 0)
			serve(x, &req);
		else if (p.revents & POLLHUP)
			return;
	}
}

static void on_child(int sig)
{
	(void)sig; /* poll() ends early, that is all */
}

static int report(const struct injection *x, const char *path)
{
	FILE *out = path ? fopen(path, "w") : NULL;
	if (!out)
		return path ? -errno : 0;
	fprintf(out, "calls %lu\n", x->calls);
	for (unsigned i = 0; call_kind_word(i); i++)
		fprintf(out, "kind %s %lu\n", call_kind_word(i), x->of_kind[i]);
	if (x->struck)
		fprintf(out, "struck %lu %s\n", x->at, x->what);
	if (x->struck && x->meanwhile)
		fprintf(out, "meanwhile %d\n", code_of(x->other_status));
	unsynced_list(x->unsynced, out);
	return fclose(out) == 0 ? 0 : -errno;
}

/* --------------------------------------------------------------- options */

static bool parse_action(struct injection *x, const char *text)
{
	static const struct {
		const char *word;
		enum strike strike;
		int error;
	} words[] = {
		{"kill", STRIKE_KILL, 0},        {"torn", STRIKE_TORN, 0},
		{"lose", STRIKE_LOSE, 0},        {"int", STRIKE_INT, 0},
		{"ENOSPC", STRIKE_FAIL, ENOSPC}, {"EIO", STRIKE_FAIL, EIO},
		{"EDQUOT", STRIKE_FAIL, EDQUOT},
	};
	if (!strncmp(text, "meanwhile:", 10)) {
		x->strike = STRIKE_MEANWHILE;
		x->meanwhile = text + 10;
		return true;
	}
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (!strcmp(words[i].word, text)) {
			x->strike = words[i].strike;
			x->error = words[i].error;
			return true;
		}
	return false;
}

static bool parse(struct injection *x, int argc, char **argv, const char **out)
{
	int c;
	while ((c = getopt(argc, argv, "+b:d:c:n:a:f:w:o:")) != -1)
		switch (c) {
		case 'b':
			x->name = optarg;
			break;
		case 'd':
			x->dir = realpath(optarg, NULL);
			break;
		case 'c':
			x->kinds = call_kinds_parse(optarg);
			break;
		case 'n':
			x->at = strtoul(optarg, NULL, 10);
			break;
		case 'a':
			if (!parse_action(x, optarg))
				return false;
			break;
		case 'f':
			x->failures = strtoul(optarg, NULL, 10);
			break;
		case 'w':
			x->moment = strtoul(optarg, NULL, 10);
			break;
		case 'o':
			*out = optarg;
			break;
		default:
			return false;
		}
	return x->dir && x->kinds && optind < argc;
}

int main(int argc, char **argv)
{
	struct injection x = {
		.kinds = CALL_ALL, .failures = 1, .moment = MOMENT_MS};
	const char *out = NULL;

	if (!parse(&x, argc, argv, &out)) {
		fprintf(stderr, "usage: inject -d DIR [-c KINDS] [-n N] "
				"[-a ACTION] [-f COUNT] [-w MS] [-b NAME] "
				"[-o REPORT] COMMAND...\n");
		return 125;
	}
	x.unsynced = unsynced_new();
	struct sigaction sa = {.sa_handler = on_child};
	sigaction(SIGCHLD, &sa, NULL);
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	x.child = x.unsynced ? trap_run(argv + optind, x.kinds | CALL_ALL,
					&x.listener)
			     : -ENOMEM;
	if (x.child < 0) {
		fprintf(stderr, "inject: cannot watch system calls: %s\n",
			strerror(-x.child));
		return 125;
	}
	serve_all(&x);
	reap(&x, 0);
	int code = x.killed ? 137 : code_of(x.status);
	int r = report(&x, out);
	unsynced_free(x.unsynced);
	free(x.dir);
	if (r < 0)
		fprintf(stderr, "inject: %s: %s\n", out, strerror(-r));
	return r < 0 ? 125 : code;
}
