/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/daemon/daemon.h"

#include "fs/control/left.h"
#include "fs/daemon/history.h"
#include "fs/daemon/log.h"
#include "fs/daemon/mounted.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Decompressed chunks that are kept. */
enum { CHUNK_CACHE = 12 << 20 };

static void log_line(void *arg, const char *message)
{
	const struct shale_daemon *d = arg;
	shale_log("%s: %s", d->label ? d->label : "?", message);
}

/* It tells who calls fsync, too; but perhaps nobody does. */
static void log_failure(void *arg, const struct shale_err *err)
{
	log_line(arg, err->msg);
}

static void trace_line(void *arg, const char *line)
{
	(void)arg;
	shale_log_debug(line);
}

static int open_session(struct shale_daemon *d, struct shale_err *err)
{
	shale_mounted_label(d);
	if (d->ws)
		shale_db_on_failure(d->ws->db, log_failure, d);
	struct shale_session_opts opts = {
		.fd = d->opts.fd,
		.forest = d->forest,
		.live = d->live,
		.space = d->ws ? d->ws->dirfd : -1,
		.lean = d->opts.lean,
		.slow_lookups = d->history != NULL,
		.writeback = d->opts.writeback && d->live,
		.passthrough = d->opts.passthrough && d->live,
		.greeting = &d->greeting,
		.log = log_line,
		.trace = d->opts.debug ? trace_line : NULL,
		.arg = d,
	};
	return shale_session_new(&d->session, &opts, err);
}

/* The state directory: what is mounted, and what the kernel was told. */
static int open_state(struct shale_daemon *d, struct shale_err *err)
{
	char path[64];

	int r = shale_mount_read(d->dirfd, d->opts.id, &d->info, err);
	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "mounts/%s", d->info.id);
	d->state = openat(d->dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (d->state < 0)
		return shale_err_set(err, errno, "open '%s'", path);
	return d->opts.takeover
		       ? shale_greeting_load(&d->greeting, d->state, err)
		       : shale_greeting_init(&d->greeting, d->state, err);
}

int shale_daemon_lend(struct shale_daemon *d, struct shale_err *err)
{
	const struct shale_live_lender lender = {
		.open = shale_session_lend,
		.close = shale_session_take_back,
		.changed = shale_session_lent_changed,
		.arg = d->session,
	};

	if (!d->opts.passthrough || !d->live)
		return 0;
	int r = shale_live_lend(d->live, &lender, err);
	if (r == -EOPNOTSUPP)
		(void)shale_err_say(err, -r, "it needs Linux 6.9 or newer");
	if (r < 0) {
		struct shale_err why = *err;
		(void)shale_err_say(err, -r, "without -o passthrough: %s",
				    why.msg);
	}
	return r;
}

int shale_daemon_open(struct shale_daemon *d,
		      const struct shale_daemon_opts *opts,
		      struct shale_err *err)
{
	*d = (struct shale_daemon){.opts = *opts, .state = -1};
	d->since = time(NULL);
	pthread_mutex_init(&d->lock, NULL);
	int r = shale_store_open(&d->store, opts->store, false, err);
	if (r < 0)
		return r;
	d->dirfd = shale_store_dirfd(d->store);
	shale_blobs_scatter(shale_store_blobs(d->store), !opts->no_direct);
	r = shale_store_chunks(d->store, CHUNK_CACHE, &d->chunks, err);
	if (r == 0)
		r = open_state(d, err);
	if (r == 0)
		r = shale_mounted_open(d, err);
	if (r == 0)
		r = shale_mount_write(d->dirfd, &d->info, err);
	if (r == 0)
		r = open_session(d, err);
	if (r == 0) {
		struct shale_control_ops ops = shale_daemon_requests;
		ops.arg = d;
		r = shale_control_serve(&d->control, d->state, &ops, err);
	}
	return r;
}

int shale_daemon_close(struct shale_daemon *d, struct shale_err *err)
{
	int r = 0;

	shale_control_stop(d->control);
	shale_session_free(d->session);
	shale_greeting_release(&d->greeting);
	shale_live_close(d->live);
	shale_handles_close(d->handles);
	if (d->ws)
		r = shale_workspace_close(d->ws, err);
	shale_pocket_empty(&d->opts.pocket);
	shale_forest_free(d->forest);
	shale_history_free(d->history);
	shale_image_close(d->image);
	if (d->info.ephemeral && d->info.workspace && d->ws)
		(void)shale_workspace_remove(d->dirfd, d->info.workspace, NULL);
	if (d->state >= 0) {
		shale_left_end(d->dirfd, d->info.id);
		close(d->state);
	}
	shale_mount_info_release(&d->info);
	free(d->label);
	shale_store_close(d->store);
	pthread_mutex_destroy(&d->lock);
	return r;
}

int shale_daemon_lease(struct shale_daemon *d,
		       const struct shale_digest *manifests, size_t n,
		       struct shale_err *err)
{
	char text[SHALE_DIGEST_STR];
	int r = 0;

	pthread_mutex_lock(&d->lock);
	for (size_t i = 0; r == 0 && i < n; i++) {
		bool there = false;
		shale_digest_str(&manifests[i], text);
		for (size_t j = 0; j < d->info.n_leased && !there; j++)
			there = !strcmp(d->info.leased[j], text);
		if (there)
			continue;
		char **grown = realloc(d->info.leased,
				       (d->info.n_leased + 1) * sizeof(*grown));
		if (grown)
			d->info.leased = grown;
		char *copy = grown ? strdup(text) : NULL;
		if (copy)
			grown[d->info.n_leased++] = copy;
		else
			r = shale_err_set(err, ENOMEM, "keep an image");
	}
	if (r == 0)
		r = shale_mount_write(d->dirfd, &d->info, err);
	pthread_mutex_unlock(&d->lock);
	return r;
}
