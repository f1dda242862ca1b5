/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/control/line.h"

#include "layers/base/cleanup.h"

#include <string.h>
#include <sys/socket.h>

int shale_line_read(struct shale_line *line, struct shale_buf *out)
{
	size_t seen = 0;

	out->len = 0;
	for (;;) {
		const uint8_t *nl = line->in.len > seen
					    ? memchr(line->in.data + seen, '\n',
						     line->in.len - seen)
					    : NULL;
		if (nl) {
			size_t n = (size_t)(nl - line->in.data);
			if (shale_buf_append(out, line->in.data, n) < 0)
				return -ENOMEM;
			line->in.len -= n + 1;
			memmove(line->in.data, nl + 1, line->in.len);
			return 1;
		}
		seen = line->in.len;
		if (seen > SHALE_LINE_MAX)
			return -EMSGSIZE;
		if (shale_buf_reserve(&line->in, 4096) < 0)
			return -ENOMEM;
		ssize_t n = read(line->fd, line->in.data + seen, 4096);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return 0;
		line->in.len += (size_t)n;
	}
}

int shale_line_write(struct shale_line *line, const json_t *object)
{
	cleanup_free char *text = json_dumps(object, JSON_COMPACT);
	size_t len = text ? strlen(text) : 0;
	if (!text)
		return -ENOMEM;
	text[len] = '\n'; /* in place of the NUL */

	for (size_t done = 0; done <= len;) {
		ssize_t n = send(line->fd, text + done, len + 1 - done,
				 MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		done += (size_t)n;
	}
	return 0;
}

int shale_line_check_peer(int fd)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return -errno;
	return cred.uid == 0 || cred.uid == geteuid() ? 0 : -EPERM;
}
