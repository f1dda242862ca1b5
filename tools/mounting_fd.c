/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/mounting_fd.h"

#include "layers/base/buf.h"
#include "layers/base/cleanup.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>

extern char **environ;

static int mount_directly(const char *dir, const char *source,
			  const struct shale_mounting *how, int *fuse,
			  struct shale_err *err)
{
	char data[160];

	cleanup_fd int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (fd < 0 && (errno == ENOENT || errno == ENODEV || errno == ENXIO))
		return shale_err_say(
			err, errno,
			"there is no /dev/fuse: 'modprobe fuse', or "
			"give the container the device (--device "
			"/dev/fuse)");
	if (fd < 0)
		return shale_err_set(err, errno, "open /dev/fuse");
	snprintf(data, sizeof(data),
		 "fd=%d,rootmode=40000,user_id=%u,group_id=%u,"
		 "default_permissions%s",
		 fd, (unsigned)geteuid(), (unsigned)getegid(),
		 how->allow_other ? ",allow_other" : "");
	if (mount(source, dir, "fuse.shale", how->flags, data) < 0)
		return shale_err_set(err, errno, "mount at '%s'", dir);
	*fuse = steal_fd(&fd);
	return 0;
}

/* fusermount3's own options; commas and backslashes in names are escaped. */
static int fusermount_options(struct shale_buf *out, const char *source,
			      const struct shale_mounting *how)
{
	int r = shale_mounting_spell_flags(how->flags, out);
	/* What it would add by itself is told off. */
	if (r == 0)
		r = shale_buf_printf(
			out,
			"%s%s%s%sdefault_permissions,subtype=shale,fsname=",
			out->len ? "," : "",
			how->flags & MS_NOSUID ? "" : "suid,",
			how->flags & MS_NODEV ? "" : "dev,",
			how->allow_other ? "allow_other," : "");
	for (const char *p = source; r == 0 && *p; p++)
		r = shale_buf_printf(out, "%s%c",
				     *p == ',' || *p == '\\' ? "\\" : "", *p);
	return r == 0 && shale_buf_str(out) ? 0 : -ENOMEM;
}

static int receive_fd(int sock)
{
	char byte, control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = {&byte, 1};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	int fd;

	ssize_t n;
	do
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	const struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL;
	if (!c || c->cmsg_type != SCM_RIGHTS)
		return -1;
	memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

static int mount_as_user(const char *dir, const char *source,
			 const struct shale_mounting *how, int *fuse,
			 struct shale_err *err)
{
	cleanup_buf struct shale_buf options = {0};
	int pair[2], status = -1;
	char number[16];
	pid_t pid;

	if (fusermount_options(&options, source, how) < 0)
		return shale_err_set(err, ENOMEM, "mount at '%s'", dir);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return shale_err_set(err, errno, "socketpair");
	cleanup_fd int ours = pair[0], theirs = pair[1];
	snprintf(number, sizeof(number), "%d", theirs);

	posix_spawn_file_actions_t actions;
	char *argv[] = {(char *)"fusermount3", (char *)"-o",
			(char *)options.data,  (char *)"--",
			(char *)dir,           NULL};
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, theirs, theirs);
	setenv("_FUSE_COMMFD", number, 1);
	int r = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
	unsetenv("_FUSE_COMMFD");
	posix_spawn_file_actions_destroy(&actions);
	if (r == ENOENT)
		return shale_err_say(err, ENOENT,
				     "only root may mount without fusermount3, "
				     "which is not here: install the package "
				     "fuse3");
	if (r != 0)
		return shale_err_set(err, r, "run fusermount3");
	close(steal_fd(&theirs));
	*fuse = receive_fd(ours);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (*fuse < 0)
		return shale_err_say(err, EPERM,
				     "fusermount3 did not mount at '%s'; it "
				     "has said why",
				     dir);
	return 0;
}

int shale_mounting_fd(const char *dir, const char *source,
		      const struct shale_mounting *how, int *fuse,
		      struct shale_err *err)
{
	if (geteuid() == 0) {
		int r = mount_directly(dir, source, how, fuse, err);
		if (r != -EPERM)
			return r;
	}
	return mount_as_user(dir, source, how, fuse, err);
}

static int fusermount_undo(const char *dir, bool lazy, struct shale_err *err)
{
	char *argv[] = {(char *)"fusermount3",
			(char *)"-u",
			(char *)(lazy ? "-qz" : "-q"),
			(char *)"--",
			(char *)dir,
			NULL};
	int status = -1;
	pid_t pid;

	int r = posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ);
	if (r != 0)
		return shale_err_set(err, r, "run fusermount3");
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	return shale_err_say(err, EBUSY,
			     "'%s' is in use, or not yours to unmount", dir);
}

int shale_mounting_undo(const char *dir, bool lazy, struct shale_err *err)
{
	if (umount2(dir, lazy ? MNT_DETACH : UMOUNT_NOFOLLOW) == 0)
		return 0;
	if (errno == EPERM)
		return fusermount_undo(dir, lazy, err);
	if (errno == EBUSY)
		return shale_err_say(err, EBUSY,
				     "'%s' is in use; `fuser -vm %s` lists by "
				     "what",
				     dir, dir);
	if (errno == EINVAL)
		return shale_err_say(err, EINVAL, "'%s' is not mounted", dir);
	return shale_err_set(err, errno, "unmount '%s'", dir);
}

bool shale_mounting_abort(const char *dir)
{
	return umount2(dir, MNT_FORCE | UMOUNT_NOFOLLOW) == 0;
}
