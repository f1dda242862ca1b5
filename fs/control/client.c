/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/control/control.h"

#include "fs/control/line.h"
#include "layers/base/cleanup.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

struct shale_control {
	struct shale_line line;
};

void shale_control_close(struct shale_control *c)
{
	if (!c)
		return;
	if (c->line.fd >= 0)
		close(c->line.fd);
	shale_buf_release(&c->line.in);
	free(c);
}

int shale_control_connect(struct shale_control **out, int store_dirfd,
			  const char *id, struct shale_err *err)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	char name[64];

	cleanup_control struct shale_control *c = calloc(1, sizeof(*c));
	if (!c)
		return shale_err_set(err, ENOMEM, "talk to mount %s", id);
	c->line.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->line.fd < 0)
		return shale_err_set(err, errno, "socket");

	/* A store's path may be longer than a socket's address. */
	snprintf(name, sizeof(name), "mounts/%.20s", id);
	cleanup_fd int dir =
		openat(store_dirfd, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return shale_err_set(err, errno, "mount %s", id);
	snprintf(to.sun_path, sizeof(to.sun_path), "/proc/self/fd/%d/ctl", dir);
	if (connect(c->line.fd, (const struct sockaddr *)&to, sizeof(to)) < 0)
		return shale_err_set(err, errno,
				     "talk to the daemon of mount "
				     "%s",
				     id);
	int r = shale_line_check_peer(c->line.fd);
	if (r < 0)
		return shale_err_set(err, -r, "mount %s is another user's", id);
	*out = steal_ptr(&c);
	return 0;
}

void shale_control_limit(struct shale_control *c, unsigned seconds)
{
	const struct timeval limit = {.tv_sec = (time_t)seconds};

	(void)setsockopt(c->line.fd, SOL_SOCKET, SO_RCVTIMEO, &limit,
			 sizeof(limit));
	(void)setsockopt(c->line.fd, SOL_SOCKET, SO_SNDTIMEO, &limit,
			 sizeof(limit));
}

/* An error that the daemon answered. */
static int said_error(const json_t *reply, struct shale_err *err)
{
	const json_t *code = json_object_get(reply, "errno");
	const char *msg = json_string_value(json_object_get(reply, "message"));
	json_int_t n = json_integer_value(code);
	if (n <= 0 || n > 4095)
		n = EPROTO;
	return shale_err_say(err, (int)n, "%s",
			     msg ? msg : "the daemon did not say why");
}

int shale_control_call(struct shale_control *c, json_t *request, json_t **reply,
		       struct shale_err *err)
{
	cleanup_buf struct shale_buf text = {0};

	int r = shale_line_write(&c->line, request);
	json_decref(request);
	if (r < 0)
		return shale_err_set(err, -r, "talk to the mount's daemon");
	r = shale_line_read(&c->line, &text);
	if (r == 0)
		return shale_err_say(err, EPIPE, "the mount's daemon has gone");
	if (r == -EAGAIN)
		return shale_err_say(err, ETIMEDOUT,
				     "the mount's daemon does not answer");
	if (r < 0)
		return shale_err_set(err, -r, "talk to the mount's daemon");

	json_t *got = json_loadb((const char *)text.data, text.len, 0, NULL);
	if (!json_is_object(got)) {
		json_decref(got);
		return shale_err_say(err, EPROTO,
				     "the mount's daemon does not make sense");
	}
	if (!json_is_true(json_object_get(got, "ok"))) {
		r = said_error(got, err);
		json_decref(got);
		return r;
	}
	if (reply)
		*reply = got;
	else
		json_decref(got);
	return 0;
}

int shale_control_ask(int store_dirfd, const char *id, const char *what,
		      unsigned seconds, json_t **reply, struct shale_err *err)
{
	cleanup_control struct shale_control *c = NULL;
	int r = shale_control_connect(&c, store_dirfd, id, err);
	if (r < 0)
		return r;
	if (seconds)
		shale_control_limit(c, seconds);
	return shale_control_call(c, json_pack("{s:s}", "do", what), reply,
				  err);
}

bool shale_control_gone(int r)
{
	return r == -ENOENT || r == -ECONNREFUSED || r == -ECONNRESET ||
	       r == -EPIPE;
}
