/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/crash/call.h"

#include "layers/base/cleanup.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>

/* clang-format off */
#define FD(call, kind, fd) \
	{__NR_##call, #call, CALL_##kind, fd, -1, -1, -1}
#define AT(call, kind, dir, path) \
	{__NR_##call, #call, CALL_##kind, -1, dir, path, -1}
#define OPEN(call, dir, path, flags) \
	{__NR_##call, #call, CALL_MAKE, -1, dir, path, flags}

const struct call_kind call_kinds[] = {
	FD(write, WRITE, 0), FD(pwrite64, WRITE, 0), FD(writev, WRITE, 0),
	FD(pwritev, WRITE, 0), FD(pwritev2, WRITE, 0),
	FD(copy_file_range, WRITE, 2), FD(sendfile, WRITE, 0),
	FD(splice, WRITE, 2), FD(fallocate, WRITE, 0),
	FD(ftruncate, SIZE, 0), AT(truncate, SIZE, -1, 0),
	OPEN(openat, 0, 1, 2), AT(mkdirat, MAKE, 0, 1),
	AT(linkat, MAKE, 2, 3), AT(symlinkat, MAKE, 1, 2),
	AT(mknodat, MAKE, 0, 1),
	AT(renameat, RENAME, 2, 3), AT(renameat2, RENAME, 2, 3),
	AT(unlinkat, REMOVE, 0, 1),
	FD(fsync, SYNC, 0), FD(fdatasync, SYNC, 0), FD(syncfs, SYNC, 0),
	FD(sync_file_range, SYNC, 0),
	FD(fchmod, ATTR, 0), AT(fchmodat, ATTR, 0, 1),
	FD(fchown, ATTR, 0), AT(fchownat, ATTR, 0, 1),
	AT(utimensat, ATTR, 0, 1), FD(fsetxattr, ATTR, 0),
	FD(fremovexattr, ATTR, 0),
	FD(read, READ, 0), FD(pread64, READ, 0), FD(getdents64, READ, 0),
#ifdef __NR_open
	OPEN(open, -1, 0, 1), AT(creat, MAKE, -1, 0), AT(mkdir, MAKE, -1, 0),
	AT(link, MAKE, -1, 1), AT(symlink, MAKE, -1, 1),
	AT(mknod, MAKE, -1, 0), AT(rename, RENAME, -1, 1),
	AT(unlink, REMOVE, -1, 0), AT(rmdir, REMOVE, -1, 0),
#endif
};
/* clang-format on */
const size_t call_kinds_n = sizeof(call_kinds) / sizeof(*call_kinds);

static const char *const words[] = {"write", "make", "rename", "remove",
				    "sync",  "attr", "size",   "read"};

const char *call_kind_word(unsigned bit)
{
	return bit < sizeof(words) / sizeof(*words) ? words[bit] : NULL;
}

unsigned call_kinds_parse(const char *text)
{
	unsigned kinds = 0;
	for (const char *at = text; at; at = strchr(at, ',')) {
		at += *at == ',';
		size_t len = strcspn(at, ",");
		unsigned kind =
			len == 3 && !strncmp(at, "all", 3) ? CALL_ALL : 0;
		for (unsigned i = 0; i < sizeof(words) / sizeof(*words); i++)
			if (strlen(words[i]) == len &&
			    !strncmp(at, words[i], len))
				kind = 1U << i;
		if (!kind)
			return 0;
		kinds |= kind;
	}
	return kinds;
}

size_t call_memory(pid_t process, uint64_t at, void *data, size_t len)
{
	struct iovec here = {data, len}, there = {(void *)(uintptr_t)at, len};
	ssize_t n = process_vm_readv(process, &here, 1, &there, 1, 0);
	return n < 0 ? 0 : (size_t)n;
}

/* A string, which may end short of a page that is not there. */
static void read_text(pid_t process, uint64_t at, char *out, size_t size)
{
	size_t have = 0;
	while (have + 1 < size) {
		size_t page = 4096 - (at + have) % 4096;
		size_t want = page < size - 1 - have ? page : size - 1 - have;
		size_t got = call_memory(process, at + have, out + have, want);
		have += got;
		if (got < want || memchr(out + have - got, '\0', got))
			break;
	}
	out[have] = '\0';
}

/* Where a link of /proc/THREAD points. */
static void read_proc(pid_t thread, const char *what, char *out, size_t size)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/%s", thread, what);
	ssize_t n = readlink(path, out, size - 1);
	out[n < 0 ? 0 : n] = '\0';
}

static void path_of_fd(pid_t thread, int fd, char *out, size_t size)
{
	char what[32];
	snprintf(what, sizeof(what), "fd/%d", fd);
	read_proc(thread, what, out, size);
}

/* The absolute path of a name below a directory's descriptor. */
static void path_of_name(pid_t thread, int dir, uint64_t name, char *out,
			 size_t size)
{
	char text[PATH_MAX];
	read_text(thread, name, text, sizeof(text));
	if (text[0] == '/') {
		snprintf(out, size, "%s", text);
		return;
	}
	if (dir == AT_FDCWD)
		read_proc(thread, "cwd", out, size);
	else
		path_of_fd(thread, dir, out, size);
	size_t len = strlen(out);
	if (text[0])
		snprintf(out + len, size - len, "/%s", text);
}

static pid_t process_of(pid_t thread)
{
	char path[64], text[4096];
	snprintf(path, sizeof(path), "/proc/%d/status", thread);
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n < 0)
		return -1;
	text[n] = '\0';
	const char *at = strstr(text, "\nTgid:");
	return at ? (pid_t)strtol(at + 6, NULL, 10) : -1;
}

bool call_read(const struct seccomp_notif *req, struct call *out)
{
	const struct call_kind *k = call_kinds;
	while (k < call_kinds + call_kinds_n && k->nr != req->data.nr)
		k++;
	if (k == call_kinds + call_kinds_n)
		return false;

	const __u64 *args = req->data.args;
	pid_t thread = (pid_t)req->pid;
	*out = (struct call){.kind = k, .thread = thread, .fd = -1};
	out->process = process_of(thread);
	if (k->fd >= 0) {
		out->fd = (int)args[k->fd];
		path_of_fd(thread, out->fd, out->path, sizeof(out->path));
	} else {
		int dir = k->dir < 0 ? AT_FDCWD : (int)args[k->dir];
		path_of_name(thread, dir, args[k->path], out->path,
			     sizeof(out->path));
	}
	if (k->kind == CALL_RENAME)
		path_of_name(thread, k->dir < 0 ? AT_FDCWD : (int)args[0],
			     args[k->dir < 0 ? 0 : 1], out->from,
			     sizeof(out->from));
	return out->process > 0;
}

int call_open_file(const struct call *call, int flags)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", call->thread, call->fd);
	return call->fd < 0 ? -1 : open(path, flags | O_CLOEXEC);
}

int call_take_fd(const struct call *call)
{
	cleanup_fd int process = (int)syscall(SYS_pidfd_open, call->process, 0);
	if (process < 0 || call->fd < 0)
		return -1;
	return (int)syscall(SYS_pidfd_getfd, process, call->fd, 0);
}
