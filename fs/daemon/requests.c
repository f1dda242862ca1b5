/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/daemon/daemon.h"

#include "layers/base/cleanup.h"
#include "layers/base/clock.h"

#include <string.h>

enum { IMAGE_MAX = 32 };

/* What one connection holds. */
struct session {
	bool commits;                    /* it has frozen */
	bool paused;                     /* the applier waits for "opened" */
	struct shale_listener *listener; /* it traces */
};

static struct session *session_of(void **place, int *r, struct shale_err *err)
{
	if (!*place)
		*place = calloc(1, sizeof(struct session));
	if (!*place)
		*r = shale_err_set(err, ENOMEM, "answer");
	return *place;
}

enum { FILES_SHOWN = 8 };

/* "…; not on disk: /a /b and 3 more", for who asked for a flush. */
static int say_what_failed(const struct shale_daemon *d, int r,
			   struct shale_err *err)
{
	cleanup_buf struct shale_buf list = {0};
	cleanup_free uint64_t *inos = NULL;
	size_t n = 0;

	if (shale_files_failed(d->ws->files, &inos, &n) < 0 || n == 0)
		return r;
	for (size_t i = 0; i < n && i < FILES_SHOWN; i++) {
		cleanup_buf struct shale_buf path = {0};
		const char *name = NULL;
		if (shale_live_path(d->live, inos[i], true, &path) == 0)
			name = shale_buf_str(&path);
		if (name)
			(void)shale_buf_printf(&list, " %s", name);
		else /* it is open, and has no name */
			(void)shale_buf_printf(&list, " inode %llu",
					       (unsigned long long)inos[i]);
	}
	if (n > FILES_SHOWN)
		(void)shale_buf_printf(&list, " and %zu more", n - FILES_SHOWN);
	const char *text = shale_buf_str(&list);
	struct shale_err why = *err;
	return shale_err_say(err, -r, "%s; not on disk:%s", why.msg,
			     text ? text : " ?");
}

static json_t *do_sync(const struct shale_daemon *d, int *r,
		       struct shale_err *err)
{
	*r = d->live ? shale_db_advance(d->ws->db, err) : 0;
	if (*r < 0)
		*r = say_what_failed(d, *r, err);
	return *r < 0 ? NULL : json_object();
}

/* Be who commits or discards, unless somebody is. */
static bool become_committer(struct shale_daemon *d, void *who)
{
	pthread_mutex_lock(&d->lock);
	bool free_now = d->committer == NULL;
	if (free_now)
		d->committer = who;
	pthread_mutex_unlock(&d->lock);
	return free_now;
}

/*
 * What is open for writing may lie in the kernel's cache.  The kernel says that
 * a file is closed a little after it was: who asks tries again.
 */
static int check_writers(const struct shale_daemon *d, struct shale_err *err)
{
	uint32_t n = d->opts.writeback ? shale_live_writers(d->live) : 0;

	return n ? shale_err_say(err, EBUSY,
				 "%u files are open for writing, and with -o "
				 "writeback the kernel has some of what was "
				 "written; close them, or unmount first",
				 n)
		 : 0;
}

static json_t *do_freeze(struct shale_daemon *d, void **place, int *r,
			 struct shale_err *err)
{
	uint32_t epoch;
	uint64_t position;

	struct session *c = session_of(place, r, err);
	if (!c)
		return NULL;
	*r = check_writers(d, err);
	if (*r < 0)
		return NULL;
	if (c->commits || !become_committer(d, c)) {
		*r = shale_err_say(err, EBUSY,
				   "another commit, or a discard, of this "
				   "workspace is running");
		return NULL;
	}
	c->commits = true;

	uint64_t start = shale_clock_ns();
	*r = shale_live_freeze(d->live, &epoch, &position, err);
	uint64_t frozen_ns = shale_clock_ns() - start;
	if (*r == 0)
		*r = shale_db_pause_at(d->ws->db, position, err);
	if (*r < 0)
		return NULL;
	c->paused = true;
	json_t *doc = json_object();
	shale_add_number(doc, "epoch", epoch);
	shale_add_number(doc, "position", position);
	shale_add_number(doc, "frozen_us", frozen_ns / 1000);
	return doc;
}

static json_t *do_opened(const struct shale_daemon *d, void *const *place,
			 int *r, struct shale_err *err)
{
	struct session *c = *place;

	if (!c || !c->paused) {
		*r = shale_err_say(err, EINVAL, "nothing is frozen");
		return NULL;
	}
	c->paused = false;
	shale_db_resume(d->ws->db);
	return json_object();
}

static int read_committed(const json_t *request, uint32_t *epoch,
			  struct shale_rec_image *which, struct shale_err *err)
{
	const json_t *list = json_object_get(request, "manifests");
	json_int_t n = json_integer_value(json_object_get(request, "epoch"));
	size_t size = json_array_size(list);

	if (n <= 0 || n > UINT32_MAX || size == 0 || size > IMAGE_MAX)
		return shale_err_say(err, EINVAL,
				     "an epoch and manifests are needed");
	for (size_t i = 0; i < size; i++) {
		const char *s = json_string_value(json_array_get(list, i));
		if (!s || shale_digest_parse(s, &which->manifest[i]) < 0)
			return shale_err_say(err, EINVAL,
					     "manifest %zu is no digest", i);
	}
	which->n = (uint32_t)size;
	*epoch = (uint32_t)n;
	return 0;
}

static json_t *do_committed(struct shale_daemon *d, const json_t *request,
			    int *r, struct shale_err *err)
{
	struct shale_rec_image which = {0};
	uint32_t epoch = 0;

	*r = read_committed(request, &epoch, &which, err);
	/* First the lease: from then on contents may point there. */
	if (*r == 0)
		*r = shale_daemon_lease(d, which.manifest, which.n, err);
	if (*r == 0)
		*r = shale_live_committed(d->live, epoch, &which, err);
	return *r < 0 ? NULL : json_object();
}

/* ---------------------------------------------------------------- discard */

enum { PATHS_MAX = 65536 };

struct paths {
	char **v;
	size_t n;
};

static void release_paths(struct paths *p)
{
	for (size_t i = 0; i < p->n; i++)
		free(p->v[i]);
	free(p->v);
}

static int read_paths(const json_t *list, struct paths *out,
		      struct shale_err *err)
{
	size_t n = json_array_size(list);

	if ((list && !json_is_array(list)) || n > PATHS_MAX)
		return shale_err_say(err, EINVAL, "\"paths\" is a list");
	out->v = calloc(n + 1, sizeof(*out->v));
	if (!out->v)
		return shale_err_set(err, ENOMEM, "discard");
	for (; out->n < n; out->n++) {
		int r = shale_control_bytes(json_array_get(list, out->n),
					    &out->v[out->n]);
		if (r < 0)
			return shale_err_say(err, -r, "path %zu is not hex",
					     out->n);
	}
	return 0;
}

static void forget_name(void *arg, uint64_t dir, const char *name, size_t len)
{
	const struct shale_daemon *d = arg;
	shale_session_forget_name(d->session, dir, name, len);
}

static void forget_inode(void *arg, uint64_t ino)
{
	const struct shale_daemon *d = arg;
	shale_session_forget_inode(d->session, ino);
}

static json_t *do_discard(struct shale_daemon *d, const json_t *request, int *r,
			  struct shale_err *err)
{
	SHALE_CLEANUP(release_paths) struct paths paths = {0};
	struct shale_live_forget forget = {forget_name, forget_inode, d};
	struct shale_live_discarded done = {0};

	*r = read_paths(json_object_get(request, "paths"), &paths, err);
	if (*r < 0)
		return NULL;
	if (d->opts.writeback) {
		*r = shale_err_say(err, EBUSY,
				   "with -o writeback the kernel keeps the "
				   "sizes of files; unmount first");
		return NULL;
	}
	/* A commit under way would say that the image has what goes now. */
	if (!become_committer(d, d)) {
		*r = shale_err_say(err, EBUSY,
				   "a commit of this workspace is running");
		return NULL;
	}
	*r = shale_live_discard(d->live, (const char *const *)paths.v, paths.n,
				&forget, &done, err);
	pthread_mutex_lock(&d->lock);
	d->committer = NULL;
	pthread_mutex_unlock(&d->lock);
	if (*r < 0)
		return NULL;
	json_t *doc = json_object();
	shale_add_number(doc, "inodes", done.inodes);
	return doc;
}

/* ------------------------------------------------------------------ trace */

enum { TRACE_WAIT_MS = 200 };

static json_t *lines_json(struct shale_buf *text)
{
	json_t *lines = json_array();
	char *at = shale_buf_str(text), *end;

	for (; at && (end = strchr(at, '\n')); at = end + 1) {
		*end = '\0';
		json_array_append_new(lines, json_string(at));
	}
	return lines;
}

/* The lines since the connection asked last; the first time it begins. */
static json_t *do_trace(const struct shale_daemon *d, void **place, int *r,
			struct shale_err *err)
{
	cleanup_buf struct shale_buf lines = {0};
	struct session *c = session_of(place, r, err);
	uint64_t lost = 0;

	*r = c ? 0 : *r;
	if (c && !c->listener)
		*r = shale_session_listen(d->session, &c->listener, err);
	else if (c)
		*r = shale_listener_take(c->listener, TRACE_WAIT_MS, &lines,
					 &lost);
	if (*r < 0)
		return NULL;
	json_t *doc = json_object();
	json_object_set_new(doc, "lines", lines_json(&lines));
	shale_add_number(doc, "lost", lost);
	return doc;
}

static json_t *on_request(void *arg, void **session, const char *what,
			  const json_t *request, int *r, struct shale_err *err)
{
	struct shale_daemon *d = arg;

	if (!strcmp(what, "alive"))
		return json_object();
	if (!strcmp(what, "status"))
		return shale_daemon_status(d, r, err);
	if (!strcmp(what, "trace"))
		return do_trace(d, session, r, err);
	if (!strcmp(what, "sync"))
		return do_sync(d, r, err);
	if (!d->live) {
		*r = shale_err_say(err, EPERM, "the mount is read-only");
		return NULL;
	}
	if (!strcmp(what, "freeze"))
		return do_freeze(d, session, r, err);
	if (!strcmp(what, "opened"))
		return do_opened(d, session, r, err);
	if (!strcmp(what, "committed"))
		return do_committed(d, request, r, err);
	if (!strcmp(what, "discard"))
		return do_discard(d, request, r, err);
	*r = shale_err_say(err, EOPNOTSUPP, "this daemon does not know '%s'",
			   what);
	return NULL;
}

static void on_end(void *arg, void *session)
{
	struct shale_daemon *d = arg;
	struct session *c = session;

	if (!c)
		return;
	shale_listener_close(c->listener);
	if (c->paused)
		shale_db_resume(d->ws->db);
	pthread_mutex_lock(&d->lock);
	if (c->commits)
		d->committer = NULL;
	pthread_mutex_unlock(&d->lock);
	free(c);
}

static void spare_descriptors(void *arg)
{
	const struct shale_daemon *d = arg;

	if (d->ws)
		shale_files_spare(d->ws->files);
}

const struct shale_control_ops shale_daemon_requests = {
	.request = on_request,
	.end = on_end,
	.spare = spare_descriptors,
};
