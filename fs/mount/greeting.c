/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/mount/greeting.h"

#include "layers/base/cleanup.h"
#include "layers/base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>

enum { GREETING_MAX = 64 << 10 };

#define GREETING_MAGIC UINT64_C(0x31656c6168736967)

/* The file: this, the request, the reply. */
struct head {
	uint64_t magic, connection;
	uint32_t request_len, reply_len;
};

int shale_greeting_init(struct shale_greeting *g, int dirfd,
			struct shale_err *err)
{
	*g = (struct shale_greeting){.dirfd = dirfd};
	if (getrandom(&g->connection, sizeof(g->connection), 0) !=
	    sizeof(g->connection))
		return shale_err_set(err, errno, "random number");
	return 0;
}

int shale_greeting_load(struct shale_greeting *g, int dirfd,
			struct shale_err *err)
{
	cleanup_buf struct shale_buf file = {0};
	struct head head;

	*g = (struct shale_greeting){.dirfd = dirfd};
	int r = shale_read_file(dirfd, "greeting", GREETING_MAX, &file, err);
	if (r < 0)
		return r;
	if (file.len < sizeof(head))
		return shale_err_say(err, EUCLEAN, "'greeting' is cut off");
	memcpy(&head, file.data, sizeof(head));
	if (head.magic != GREETING_MAGIC ||
	    file.len !=
		    sizeof(head) + (uint64_t)head.request_len + head.reply_len)
		return shale_err_say(err, EUCLEAN, "'greeting' is damaged");
	g->connection = head.connection;
	const uint8_t *at = file.data + sizeof(head);
	r = shale_buf_append(&g->request, at, head.request_len);
	if (r == 0)
		r = shale_buf_append(&g->reply, at + head.request_len,
				     head.reply_len);
	if (r < 0) {
		shale_greeting_release(g);
		return shale_err_set(err, -r, "read 'greeting'");
	}
	return 0;
}

int shale_greeting_keep(const struct shale_greeting *g, struct shale_err *err)
{
	cleanup_buf struct shale_buf file = {0};
	struct head head = {
		.magic = GREETING_MAGIC,
		.connection = g->connection,
		.request_len = (uint32_t)g->request.len,
		.reply_len = (uint32_t)g->reply.len,
	};

	int r = shale_buf_append(&file, &head, sizeof(head));
	if (r == 0)
		r = shale_buf_append(&file, g->request.data, g->request.len);
	if (r == 0)
		r = shale_buf_append(&file, g->reply.data, g->reply.len);
	if (r < 0)
		return shale_err_set(err, -r, "keep the kernel's greeting");
	/* It need not outlive the machine, so it is not flushed. */
	cleanup_fd int fd = openat(g->dirfd, "greeting",
				   O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
				   0600);
	if (fd < 0)
		return shale_err_set(err, errno, "make 'greeting'");
	return shale_write_full(fd, file.data, file.len, "greeting", err);
}

void shale_greeting_release(struct shale_greeting *g)
{
	shale_buf_release(&g->request);
	shale_buf_release(&g->reply);
}
