/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/control/control.h"

#include "fs/control/line.h"
#include "layers/base/cleanup.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

enum { MAX_CONNECTIONS = 32, RETRY_MS = 20 };

struct shale_control_server {
	struct shale_control_ops ops;
	int listener, stop; /* stop: an eventfd */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t ended;
	int fds[MAX_CONNECTIONS]; /* of open connections; -1: free */
};

struct connection {
	struct shale_control_server *server;
	int slot;
	struct shale_line line;
};

int shale_control_parse(const char *line, size_t len, json_t **request,
			const char **what, struct shale_err *err)
{
	json_error_t why;
	json_t *doc = json_loadb(line, len, JSON_REJECT_DUPLICATES, &why);
	if (!doc)
		return shale_err_say(err, EINVAL, "not JSON: %s", why.text);

	const char *text = json_string_value(json_object_get(doc, "do"));
	if (!text) {
		json_decref(doc);
		return shale_err_say(err, EINVAL, "a request has a \"do\"");
	}
	*request = doc;
	*what = text;
	return 0;
}

static json_t *error_reply(int r, const struct shale_err *err)
{
	/* what users named may not be UTF-8 */
	json_t *text = json_string(err->msg);
	if (!text)
		text = json_string(strerror(-r));
	return json_pack("{s:b,s:i,s:o}", "ok", 0, "errno", -r, "message",
			 text);
}

static json_t *answer(struct connection *c, void **session,
		      const struct shale_buf *text)
{
	const struct shale_control_ops *ops = &c->server->ops;
	struct shale_err err = {0};
	json_t *request, *reply = NULL;
	const char *what;

	int r = shale_control_parse((const char *)text->data, text->len,
				    &request, &what, &err);
	if (r == 0) {
		r = -EIO;
		reply = ops->request(ops->arg, session, what, request, &r,
				     &err);
		json_decref(request);
	}
	if (!reply)
		return error_reply(r, &err);
	json_object_set_new(reply, "ok", json_true());
	return reply;
}

static void serve(struct connection *c)
{
	cleanup_buf struct shale_buf text = {0};
	void *session = NULL;

	while (shale_line_read(&c->line, &text) == 1) {
		json_t *reply = answer(c, &session, &text);
		int r = reply ? shale_line_write(&c->line, reply) : -ENOMEM;
		json_decref(reply);
		if (r < 0)
			break;
	}
	if (c->server->ops.end)
		c->server->ops.end(c->server->ops.arg, session);
}

static void *connection_thread(void *arg)
{
	struct connection *c = arg;
	struct shale_control_server *s = c->server;

	serve(c);
	pthread_mutex_lock(&s->lock);
	close(c->line.fd);
	s->fds[c->slot] = -1;
	pthread_cond_signal(&s->ended);
	pthread_mutex_unlock(&s->lock);
	shale_buf_release(&c->line.in);
	free(c);
	return NULL;
}

static int free_slot(const struct shale_control_server *s)
{
	for (int i = 0; i < MAX_CONNECTIONS; i++)
		if (s->fds[i] < 0)
			return i;
	return -1;
}

static void start_connection(struct shale_control_server *s, int fd)
{
	pthread_attr_t attr;
	pthread_t thread;
	struct connection *c = calloc(1, sizeof(*c));
	bool taken = false, started = false;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_mutex_lock(&s->lock);
	int slot = free_slot(s);
	if (c && slot >= 0 && shale_line_check_peer(fd) == 0) {
		taken = true;
		c->server = s;
		c->slot = slot;
		c->line.fd = fd;
		s->fds[slot] = fd;
		started = pthread_create(&thread, &attr, connection_thread,
					 c) == 0;
	}
	pthread_mutex_unlock(&s->lock);
	pthread_attr_destroy(&attr);
	if (taken && !started) /* no memory for a thread: others wait */
		connection_thread(c);
	if (!taken) {
		free(c);
		close(fd);
	}
}

/* One more connection; `*kept` is a descriptor for when there is no other. */
static int accept_one(struct shale_control_server *s, int *kept)
{
	int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0)
		return fd;
	if (s->ops.spare)
		s->ops.spare(s->ops.arg);
	if (*kept >= 0)
		close(*kept);
	*kept = -1;
	return accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
}

static void *accept_thread(void *arg)
{
	struct shale_control_server *s = arg;
	struct pollfd p[2] = {{.fd = s->listener, .events = POLLIN},
			      {.fd = s->stop, .events = POLLIN}};
	int kept = -1;

	while (!(p[1].revents & POLLIN)) {
		if (kept < 0)
			kept = fcntl(s->stop, F_DUPFD_CLOEXEC, 0);
		if (poll(p, 2, -1) < 0 || !(p[0].revents & POLLIN))
			continue;
		int fd = accept_one(s, &kept);
		if (fd >= 0)
			start_connection(s, fd);
		else /* who waits stays in the queue, which does not sleep */
			(void)poll(&p[1], 1, RETRY_MS);
	}
	if (kept >= 0)
		close(kept);
	return NULL;
}

static int listen_at(int statedir, struct shale_err *err)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};

	cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return shale_err_set(err, errno, "socket");
	if (unlinkat(statedir, "ctl", 0) < 0 && errno != ENOENT)
		return shale_err_set(err, errno, "remove an old socket");
	snprintf(at.sun_path, sizeof(at.sun_path), "/proc/self/fd/%d/ctl",
		 statedir);
	/* Nobody can connect before listen(), so not before the mode is set. */
	if (bind(fd, (const struct sockaddr *)&at, sizeof(at)) < 0 ||
	    fchmodat(statedir, "ctl", 0600, 0) < 0 || listen(fd, 16) < 0)
		return shale_err_set(err, errno, "make the control socket");
	return steal_fd(&fd);
}

int shale_control_serve(struct shale_control_server **out, int statedir,
			const struct shale_control_ops *ops,
			struct shale_err *err)
{
	int listener = listen_at(statedir, err);
	if (listener < 0)
		return listener;

	struct shale_control_server *s = calloc(1, sizeof(*s));
	int stop = eventfd(0, EFD_CLOEXEC);
	if (!s || stop < 0) {
		free(s);
		close(listener);
		return shale_err_set(err, s ? errno : ENOMEM,
				     "serve the control socket");
	}
	s->ops = *ops;
	s->listener = listener;
	s->stop = stop;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->ended, NULL);
	for (int i = 0; i < MAX_CONNECTIONS; i++)
		s->fds[i] = -1;
	int r = pthread_create(&s->thread, NULL, accept_thread, s);
	if (r != 0) {
		close(listener);
		close(stop);
		free(s);
		return shale_err_set(err, r, "serve the control socket");
	}
	*out = s;
	return 0;
}

static bool any_open(const struct shale_control_server *s)
{
	for (int i = 0; i < MAX_CONNECTIONS; i++)
		if (s->fds[i] >= 0)
			return true;
	return false;
}

static void shut_all(struct shale_control_server *s)
{
	pthread_mutex_lock(&s->lock);
	for (int i = 0; i < MAX_CONNECTIONS; i++)
		if (s->fds[i] >= 0)
			shutdown(s->fds[i], SHUT_RD);
	pthread_mutex_unlock(&s->lock);
}

void shale_control_stop(struct shale_control_server *s)
{
	if (!s)
		return;
	bool told = eventfd_write(s->stop, 1) == 0;
	shut_all(s); /* the thread that accepts may serve one */
	if (told)
		pthread_join(s->thread, NULL);
	shut_all(s);

	pthread_mutex_lock(&s->lock);
	while (any_open(s))
		pthread_cond_wait(&s->ended, &s->lock);
	pthread_mutex_unlock(&s->lock);

	close(s->listener);
	close(s->stop);
	pthread_cond_destroy(&s->ended);
	pthread_mutex_destroy(&s->lock);
	free(s);
}
