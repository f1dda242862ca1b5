/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/mounting.h"

#include "fs/control/mountinfo.h"
#include "layers/base/cleanup.h"
#include "layers/base/dir.h"
#include "layers/base/io.h"
#include "tools/mounting_fd.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

extern char **environ;

/* A larger window than the kernel's default: decompression likes company. */
#define READ_AHEAD_KB "1024"

/* ------------------------------------------------------------ mountpoint */

static int say_mounted(struct shale_ctx *ctx, const char *path)
{
	return shale_err_say(&ctx->err, EEXIST,
			     "'%s' is mounted already; first: shale umount %s",
			     path, path);
}

/* Ours is refused; on somebody else's a mount may go, but not unsaid. */
static int check_not_mounted(struct shale_ctx *ctx, const char *path)
{
	cleanup_free char *store = NULL, *id = NULL;
	struct shale_mountinfo m;

	if (shale_mountinfo_here(path, &m, NULL) < 0)
		return 0;
	int r = shale_mountinfo_source(m.source, &store, &id);
	if (r < 0 && strcmp(path, "/") != 0)
		shale_warn(ctx,
			   "'%s' has a mount already (%s, '%s'), which is "
			   "hidden until umount",
			   path, m.type, m.source);
	shale_mountinfo_release(&m);
	return r < 0 ? 0 : say_mounted(ctx, path);
}

static void warn_if_full(struct shale_ctx *ctx, const char *path)
{
	cleanup_dir DIR *dir = shale_dir_open(AT_FDCWD, path);

	if (dir && shale_dir_next(dir))
		shale_warn(ctx,
			   "'%s' is not empty; what is in it is hidden "
			   "until umount",
			   path);
}

int shale_mounting_point(struct shale_ctx *ctx, const char *dir, char **out)
{
	struct stat st;

	cleanup_free char *path = shale_mountinfo_path(dir);
	if (!path && errno == ENOENT)
		return shale_err_say(&ctx->err, ENOENT,
				     "no mountpoint '%s'; first: mkdir -p %s",
				     dir, dir);
	if (!path)
		return shale_err_set(&ctx->err, errno, "mountpoint '%s'", dir);
	int r = check_not_mounted(ctx, path);
	if (r < 0)
		return r;
	if (stat(path, &st) < 0 && errno == ENOTCONN)
		return shale_err_say(&ctx->err, ENOTCONN,
				     "'%s' is the mount of a daemon that has "
				     "died; first: umount %s",
				     path, path);
	if (stat(path, &st) < 0)
		return shale_err_set(&ctx->err, errno, "mountpoint '%s'", path);
	if (!S_ISDIR(st.st_mode))
		return shale_err_say(&ctx->err, ENOTDIR,
				     "mountpoint '%s' is not a directory",
				     path);
	warn_if_full(ctx, path);
	*out = steal_ptr(&path);
	return 0;
}

/* ---------------------------------------------------------------- daemon */

/* Descriptors that the daemon inherits, in words and as arguments. */
struct start {
	int fuse, lock, ready;
	char number[6][24];
	char *argv[30];
};

static void add_word(struct start *s, int *n, int slot, uint64_t value)
{
	snprintf(s->number[slot], sizeof(s->number[slot]), "%llu",
		 (unsigned long long)value);
	s->argv[(*n)++] = s->number[slot];
}

static void add_number(struct start *s, int *n, int slot, const char *name,
		       uint64_t value)
{
	s->argv[(*n)++] = (char *)name;
	add_word(s, n, slot, value);
}

/* The holder's: connection, pipe, and what to run. */
static void fill_arguments(struct start *s, const char *holder,
			   const char *program, const char *store,
			   const struct shale_mount_info *info,
			   const struct shale_mounting *how)
{
	int n = 0;

	s->argv[n++] = (char *)holder;
	add_word(s, &n, 0, (uint64_t)s->fuse);
	add_word(s, &n, 1, (uint64_t)s->ready);
	s->argv[n++] = (char *)program;
	s->argv[n++] = (char *)"--store";
	s->argv[n++] = (char *)store;
	s->argv[n++] = (char *)"--state";
	s->argv[n++] = (char *)info->id;
	add_number(s, &n, 2, "--fd", (uint64_t)s->fuse);
	add_number(s, &n, 3, "--lock", (uint64_t)s->lock);
	if (how->quota) {
		add_number(s, &n, 4, "--quota-bytes", how->quota_bytes);
		add_number(s, &n, 5, "--quota-inodes", how->quota_inodes);
	}
	if (how->foreground)
		s->argv[n++] = (char *)"--foreground";
	if (how->debug)
		s->argv[n++] = (char *)"--debug";
	if (how->no_ahead)
		s->argv[n++] = (char *)"--no-ahead";
	if (how->no_push)
		s->argv[n++] = (char *)"--no-push";
	if (how->lean)
		s->argv[n++] = (char *)"--lean";
	if (how->no_direct)
		s->argv[n++] = (char *)"--no-direct";
	if (how->writeback)
		s->argv[n++] = (char *)"--writeback";
	if (how->passthrough)
		s->argv[n++] = (char *)"--passthrough";
	s->argv[n] = NULL;
}

/* dup2 of a descriptor onto itself lets a spawned program inherit it. */
static int spawn(const struct start *s, pid_t *pid)
{
	posix_spawn_file_actions_t actions;

	int r = posix_spawn_file_actions_init(&actions);
	if (r != 0)
		return -r;
	const int fds[] = {s->fuse, s->lock, s->ready};
	for (size_t i = 0; r == 0 && i < sizeof(fds) / sizeof(*fds); i++)
		r = posix_spawn_file_actions_adddup2(&actions, fds[i], fds[i]);
	if (r == 0)
		r = posix_spawn(pid, s->argv[0], &actions, NULL, s->argv,
				environ);
	posix_spawn_file_actions_destroy(&actions);
	return -r;
}

/* What the daemon says on its pipe: "ok", perhaps with what it does without, or
 * an errno and why. */
static int hear(struct shale_ctx *ctx, int ready)
{
	struct shale_err *err = &ctx->err;
	char text[1200];
	size_t n = 0;
	char *end;

	while (n < sizeof(text) - 1) {
		ssize_t got = read(ready, text + n, sizeof(text) - 1 - n);
		if (got < 0 && errno == EINTR && !shale_interrupted())
			continue;
		if (got <= 0)
			break;
		n += (size_t)got;
		if (text[n - 1] == '\n')
			break;
	}
	text[n] = '\0';
	if (n && text[n - 1] == '\n')
		text[n - 1] = '\0';
	if (!strncmp(text, "ok ", 3))
		shale_warn(ctx, "%s", text + 3);
	if (!strncmp(text, "ok", 2))
		return 0;
	if (shale_interrupted())
		return shale_err_say(err, EINTR, "interrupted");
	long code = strtol(text, &end, 10);
	if (code <= 0 || code > 4095 || *end != ' ')
		return shale_err_say(err, EIO,
				     "the daemon ended before it could serve; "
				     "the system's log may say why");
	return shale_err_say(err, (int)code, "%s", end + 1);
}

/* Run the daemon behind a mounted descriptor until it serves. */
static int start_daemon(struct shale_ctx *ctx, struct shale_store *store,
			const struct shale_mount_info *info,
			const struct shale_mounting *how, int fuse, int lock,
			pid_t *pid)
{
	struct shale_err *err = &ctx->err;
	struct start s = {.fuse = fuse, .lock = lock};
	int ends[2];

	cleanup_free char *program = shale_program_path("shalefs");
	cleanup_free char *holder = shale_program_path("shalefs-holder");
	if (!program || !holder)
		return shale_err_say(err, ENOENT, "'%s' is not installed",
				     program ? "shalefs-holder" : "shalefs");
	if (pipe2(ends, O_CLOEXEC) < 0)
		return shale_err_set(err, errno, "pipe");
	cleanup_fd int ready = ends[0];
	s.ready = ends[1];
	fill_arguments(&s, holder, program, shale_store_path(store), info, how);
	int r = spawn(&s, pid);
	close(ends[1]);
	if (r < 0)
		return shale_err_set(err, -r, "run '%s'", program);
	r = hear(ctx, ready);
	if (r < 0) {
		if (r == -EINTR)
			kill(*pid, SIGTERM);
		waitpid(*pid, NULL, 0);
	}
	return r;
}

/* As root: let the kernel read further ahead.  Nobody minds if it does not. */
static void widen_readahead(const char *path)
{
	struct shale_mountinfo m;
	char file[80];

	if (geteuid() != 0 || shale_mountinfo_here(path, &m, NULL) < 0)
		return;
	snprintf(file, sizeof(file), "/sys/class/bdi/%u:%u/read_ahead_kb",
		 m.major, m.minor);
	shale_mountinfo_release(&m);
	cleanup_fd int fd = open(file, O_WRONLY | O_CLOEXEC);
	if (fd >= 0)
		(void)shale_write_full(fd, READ_AHEAD_KB, strlen(READ_AHEAD_KB),
				       file, NULL);
}

/* In the foreground: pass on signals, return when the daemon has ended. */
static int wait_for(pid_t pid, struct shale_err *err)
{
	int status;
	bool told = false;

	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return shale_err_set(err, errno, "wait for shalefs");
		if (shale_interrupted() && !told)
			kill(pid, SIGTERM);
		told = told || shale_interrupted();
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	return shale_err_say(err, EIO, "the daemon failed");
}

/*
 * Of those who mount at one place at the same time the first one stays: each
 * other finds a mount below its own.
 */
static int check_lowest(struct shale_ctx *ctx, const char *path,
			const char *source)
{
	struct shale_mountinfo m;

	if (shale_mountinfo_lowest(path, &m, NULL) < 0)
		return 0;
	bool ours = !strcmp(m.source, source);
	shale_mountinfo_release(&m);
	return ours ? 0 : say_mounted(ctx, path);
}

static int mount_and_start(struct shale_ctx *ctx, struct shale_store *store,
			   const struct shale_mount_info *info,
			   const struct shale_mounting *how, int lock,
			   pid_t *pid)
{
	cleanup_free char *source = NULL;
	if (asprintf(&source, "shale:%s/mounts/%s", shale_store_path(store),
		     info->id) < 0)
		return shale_err_set(&ctx->err, ENOMEM, "mount");

	cleanup_fd int fuse = -1;
	int r = shale_mounting_fd(info->mountpoint, source, how, &fuse,
				  &ctx->err);
	if (r < 0)
		return r;
	r = check_lowest(ctx, info->mountpoint, source);
	if (r == 0)
		r = start_daemon(ctx, store, info, how, fuse, lock, pid);
	if (r < 0)
		(void)shale_mounting_undo(info->mountpoint, true, NULL);
	else
		widen_readahead(info->mountpoint);
	return r;
}

int shale_mounting_start(struct shale_ctx *ctx, struct shale_store *store,
			 struct shale_mount_info *info,
			 const struct shale_mounting *how)
{
	cleanup_buf struct shale_buf options = {0};
	int dirfd = shale_store_dirfd(store), lock;
	pid_t pid;

	if (shale_mounting_spell(how, &options) < 0)
		return shale_err_set(&ctx->err, ENOMEM, "mount");
	info->options = (char *)options.data;
	int r = shale_mount_make(dirfd, info, &lock, &ctx->err);
	info->options = NULL;
	if (r < 0)
		return r;
	r = mount_and_start(ctx, store, info, how, lock, &pid);
	if (r < 0)
		shale_mount_remove(dirfd, info->id);
	close(lock);
	if (r == 0 && how->foreground)
		r = wait_for(pid, &ctx->err);
	return r;
}
