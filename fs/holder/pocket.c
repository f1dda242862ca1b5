/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/holder/pocket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int shale_pocket_parse(const char *text, struct shale_pocket *pocket)
{
	int in, out, end = 0;

	if (sscanf(text, "%d:%d%n", &in, &out, &end) != 2 || text[end] ||
	    fcntl(in, F_SETFD, FD_CLOEXEC) < 0 ||
	    fcntl(out, F_SETFD, FD_CLOEXEC) < 0)
		return -EINVAL;
	*pocket = (struct shale_pocket){in, out};
	return 0;
}

int shale_pocket_put(const struct shale_pocket *pocket, int fd)
{
	char byte = 0, control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {&byte, 1};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	if (pocket->in < 0)
		return 0;
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	return sendmsg(pocket->in, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0
		       ? -errno
		       : 0;
}

static int take(const struct shale_pocket *pocket, int flags, int *fd)
{
	char byte, control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = {&byte, 1};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};

	if (pocket->out < 0)
		return -ENOENT;
	ssize_t n = recvmsg(pocket->out, &msg,
			    MSG_DONTWAIT | MSG_CMSG_CLOEXEC | flags);
	if (n < 0)
		return errno == EAGAIN ? -ENOENT : -errno;
	const struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL;
	if (!c || c->cmsg_type != SCM_RIGHTS)
		return -ENOENT;
	memcpy(fd, CMSG_DATA(c), sizeof(*fd));
	return 0;
}

int shale_pocket_peek(const struct shale_pocket *pocket, int *fd)
{
	return take(pocket, MSG_PEEK, fd);
}

void shale_pocket_empty(const struct shale_pocket *pocket)
{
	int fd = -1;

	while (take(pocket, 0, &fd) == 0)
		close(fd);
}
