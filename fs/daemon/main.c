/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shalefs: the daemon of one mount.  `shale mount` (tools/mounting.c) mounts,
 * starts it with the descriptor of the connection, and waits for "ok" or
 * "ERRNO MESSAGE" on the pipe `--ready`.  Called as mount(8) calls helpers, it
 * is one (helper.h).
 */
#include "fs/control/left.h"
#include "fs/daemon/daemon.h"
#include "fs/daemon/helper.h"
#include "fs/daemon/log.h"
#include "fs/holder/holder.h"
#include "layers/base/cleanup.h"

#include <fcntl.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>

extern char **environ;

static const struct option options[] = {
	{"store", required_argument, NULL, 's'},
	{"state", required_argument, NULL, 'i'},
	{"fd", required_argument, NULL, 'd'},
	{"ready", required_argument, NULL, 'r'},
	{"lock", required_argument, NULL, 'l'},
	{"quota-bytes", required_argument, NULL, 'b'},
	{"quota-inodes", required_argument, NULL, 'n'},
	{"foreground", no_argument, NULL, 'f'},
	{"debug", no_argument, NULL, 'D'},
	{"writeback", no_argument, NULL, 'W'},
	{"passthrough", no_argument, NULL, 'T'},
	{"holder", required_argument, NULL, 'h'},
	{"pocket", required_argument, NULL, 'p'},
	{"takeover", no_argument, NULL, 't'},
	{"no-ahead", no_argument, NULL, 'A'},
	{"no-push", no_argument, NULL, 'P'},
	{"lean", no_argument, NULL, 'L'},
	{"no-direct", no_argument, NULL, 'C'},
	{NULL, 0, NULL, 0},
};

/* A descriptor that we were given; it is not for our children. */
static int inherited(const char *text)
{
	int fd = (int)strtol(text, NULL, 10);
	return fd > 2 && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 ? fd : -1;
}

static int parse(struct shale_daemon_opts *o, int argc, char **argv)
{
	int c;

	*o = (struct shale_daemon_opts){
		.fd = -1, .ready = -1, .lock = -1, .pocket = {-1, -1}};
	while ((c = getopt_long(argc, argv, "f", options, NULL)) != -1) {
		switch (c) {
		case 's':
			o->store = optarg;
			break;
		case 'i':
			o->id = optarg;
			break;
		case 'd':
			o->fd = inherited(optarg);
			break;
		case 'r':
			o->ready = inherited(optarg);
			break;
		case 'l':
			o->lock = inherited(optarg);
			break;
		case 'b':
			o->quota = true;
			o->quota_bytes = strtoull(optarg, NULL, 10);
			break;
		case 'n':
			o->quota_inodes = strtoull(optarg, NULL, 10);
			break;
		case 'f':
			o->foreground = true;
			break;
		case 'D':
			o->debug = true;
			break;
		case 'W':
			o->writeback = true;
			break;
		case 'T':
			o->passthrough = true;
			break;
		case 'h':
			o->holder = (int)strtol(optarg, NULL, 10);
			break;
		case 'p':
			if (shale_pocket_parse(optarg, &o->pocket) < 0)
				return -EINVAL;
			break;
		case 't':
			o->takeover = true;
			break;
		case 'A':
			o->reading.no_ahead = true;
			break;
		case 'P':
			o->reading.no_push = true;
			break;
		case 'L':
			o->lean = true;
			break;
		case 'C':
			o->no_direct = true;
			break;
		default:
			return -EINVAL;
		}
	}
	return o->store && o->id && o->fd >= 0 && optind == argc ? 0 : -EINVAL;
}

static void say_ready(int *pipe, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void say_ready(int *pipe, const char *fmt, ...)
{
	va_list ap;

	if (*pipe < 0)
		return;
	va_start(ap, fmt);
	vdprintf(*pipe, fmt, ap);
	va_end(ap);
	close(steal_fd(pipe));
}

/* Where `status` finds out who we are. */
static void write_pid(int lock)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "%d\n", (int)getpid());

	/* The lock's description is shared: so is its position. */
	if (lock >= 0 && pwrite(lock, text, (size_t)n, 0) == n)
		(void)!ftruncate(lock, n);
}

static void leave_terminal(void)
{
	int null = open("/dev/null", O_RDWR);

	setsid();
	if (chdir("/") < 0 || null < 0)
		return;
	for (int fd = 0; fd < 3; fd++)
		dup2(null, fd);
	if (null > 2)
		close(null);
}

/* Few arenas and all descriptors: memory is for the chunks that are read. */
static void set_limits(void)
{
	struct rlimit limit;

	mallopt(M_ARENA_MAX, 2);
	mallopt(M_TRIM_THRESHOLD, 1 << 20);
	/* Chunks come and go: fresh pages for each would cost as much as its
	 * decompression. */
	mallopt(M_MMAP_THRESHOLD, 1 << 20);
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

int shale_daemon_unmount(const struct shale_daemon *d)
{
	char program[] = "fusermount3", u[] = "-u", z[] = "-z", q[] = "-q";
	char *argv[] = {program, u, z, q, d->info.mountpoint, NULL};
	pid_t pid;
	int status;

	if (umount2(d->info.mountpoint, MNT_DETACH) == 0)
		return 0;
	if (posix_spawnp(&pid, program, NULL, NULL, argv, environ) != 0 ||
	    waitpid(pid, &status, 0) < 0 || status != 0)
		return -1;
	return 0;
}

/* Who watches over a mount in the foreground starts it again himself. */
static bool comes_again(const struct shale_daemon *d)
{
	return !d->opts.foreground && !d->info.ephemeral;
}

static void *signal_thread(void *arg)
{
	const struct shale_daemon *d = arg;
	struct shale_err err;
	sigset_t set;
	int sig;

	/* Here, since nobody waits for this thread. */
	if (comes_again(d) && shale_left_flush(d->dirfd, d->info.id, &err) < 0)
		shale_log("--recover will not know of this mount: %s", err.msg);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR1); /* nothing is served any more */
	while (sigwait(&set, &sig) == 0 && sig != SIGUSR1) {
		shale_log("%s: unmounting", strsignal(sig));
		if (comes_again(d))
			(void)shale_left_mark(d->dirfd, d->info.id, NULL);
		if (shale_daemon_unmount(d) < 0) {
			shale_log("it cannot be unmounted");
			shale_left_unmark(d->dirfd, d->info.id);
		}
	}
	return NULL;
}

static void block_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static int serve(struct shale_daemon *d, struct shale_daemon_opts *opts,
		 struct shale_err *err)
{
	int r = shale_daemon_open(d, opts, err);
	if (r == 0)
		r = opts->takeover ? shale_session_resume(d->session, err)
				   : shale_session_start(d->session, err);
	if (r == 0 && comes_again(d))
		r = shale_left_settle(d->dirfd, d->info.id, err);
	if (r < 0)
		return r;
	write_pid(opts->lock);

	/* Signals are for one thread, which may take locks and run programs. */
	pthread_t thread;
	r = pthread_create(&thread, NULL, signal_thread, d);
	if (r != 0)
		return shale_err_set(err, r, "start a thread");
	if (shale_daemon_lend(d, err) < 0) {
		shale_log("%s", err->msg);
		say_ready(&opts->ready, "ok %s\n", err->msg);
	}
	say_ready(&opts->ready, "ok\n");
	r = shale_session_run(d->session, err);
	if (r < 0)
		shale_log("%s", err->msg);
	pthread_kill(thread, SIGUSR1);
	pthread_join(thread, NULL);
	return 0;
}

int main(int argc, char **argv)
{
	struct shale_daemon_opts opts;
	struct shale_daemon daemon;
	struct shale_err err = {0};

	if (shale_helper_asked(argc, argv))
		return shale_helper_run(argc, argv);
	if (parse(&opts, argc, argv) < 0) {
		fprintf(stderr,
			"shalefs is started by `shale mount`, and by mount(8) "
			"as shalefs REF DIR [-o OPTIONS]\n");
		return 2;
	}
	set_limits();
	block_signals();
	shale_log_open(opts.foreground, "shalefs");
	if (!opts.foreground)
		leave_terminal();

	int failed = serve(&daemon, &opts, &err);
	if (failed < 0 && opts.takeover) {
		/* As it is: the next one may have more luck. */
		shale_log("%s", err.msg);
		return failed == -ENOENT || failed == -EPROTO
			       ? SHALE_EXIT_NO_TAKEOVER
			       : 1;
	}
	if (failed < 0)
		say_ready(&opts.ready, "%d %s\n", -failed, err.msg);
	int r = shale_daemon_close(&daemon, &err);
	if (r < 0)
		shale_log("%s", err.msg);
	return failed < 0 || r < 0;
}
