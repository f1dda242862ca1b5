/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/mount_upgrade.h"

#include "layers/base/cleanup.h"
#include "layers/base/clock.h"
#include "tools/target.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { WAIT_MS = 30000, LOOK_MS = 20 };

/* What a daemon says of itself. */
struct served {
	pid_t daemon, holder;
	char version[64];
};

static int ask(struct shale_ctx *ctx, const struct shale_target *t,
	       struct served *out)
{
	json_t *reply = NULL;

	int r = shale_target_ask(ctx, t, "status", &reply);
	if (r < 0)
		return r;
	const char *version =
		json_string_value(json_object_get(reply, "version"));
	*out = (struct served){
		.daemon = (pid_t)json_integer_value(
			json_object_get(reply, "daemon_pid")),
		.holder = (pid_t)json_integer_value(
			json_object_get(reply, "holder_pid")),
	};
	snprintf(out->version, sizeof(out->version), "%s",
		 version ? version : "?");
	json_decref(reply);
	return 0;
}

/* The first daemon of a connection keeps its greeting where it may be followed.
 */
static bool has_greeting(const struct shale_target *t)
{
	char path[64];

	snprintf(path, sizeof(path), "mounts/%s/greeting", t->info.id);
	return faccessat(shale_store_dirfd(t->store), path, R_OK, 0) == 0;
}

static int check(struct shale_ctx *ctx, const struct shale_target *t,
		 const struct served *now)
{
	const char *dir = t->info.mountpoint;

	if (now->holder <= 0 || kill(now->holder, 0) < 0)
		return shale_err_say(&ctx->err, EOPNOTSUPP,
				     "the mount at '%s' has no holder, which "
				     "would keep its connection: umount it, "
				     "and mount it again",
				     dir);
	if (!has_greeting(t))
		return shale_err_say(&ctx->err, EOPNOTSUPP,
				     "the mount at '%s' cannot be taken over "
				     "(that needs Linux 6.9 or newer): umount "
				     "it, and mount it again",
				     dir);
	return 0;
}

/* Wait for another daemon than `before` to answer. */
static int wait_for_next(struct shale_ctx *ctx, const struct shale_target *t,
			 pid_t before, struct served *out)
{
	for (int ms = 0; ms < WAIT_MS; ms += LOOK_MS) {
		if (ask(ctx, t, out) == 0 && out->daemon != before)
			return 0;
		if (shale_interrupted())
			return shale_err_say(&ctx->err, EINTR, "interrupted");
		shale_clock_pause(LOOK_MS);
	}
	return shale_err_say(&ctx->err, ETIMEDOUT,
			     "no daemon took over the mount at '%s'; the "
			     "system's log may say why",
			     t->info.mountpoint);
}

static void report(struct shale_ctx *ctx, const struct shale_target *t,
		   const struct served *before, const struct served *after)
{
	if (ctx->json) {
		json_t *doc = json_object();
		shale_json_path(doc, t->info.mountpoint,
				strlen(t->info.mountpoint));
		json_object_set_new(doc, "from", json_string(before->version));
		json_object_set_new(doc, "version",
				    json_string(after->version));
		json_object_set_new(doc, "daemon_pid",
				    json_integer(after->daemon));
		shale_json_print(doc);
	} else if (!ctx->quiet) {
		fprintf(stderr, "%s: version %s, was %s\n", t->info.mountpoint,
			after->version, before->version);
	}
}

int shale_mount_upgrade(struct shale_ctx *ctx, const char *dir)
{
	SHALE_CLEANUP(shale_target_release) struct shale_target t = {0};
	struct served before, after;

	int r = shale_target_at(ctx, dir, &t);
	if (r == 0 && !t.info.pid)
		r = shale_target_dead(ctx, &t);
	if (r == 0)
		r = ask(ctx, &t, &before);
	if (r == 0)
		r = check(ctx, &t, &before);
	/* The less the next one has to read, the shorter is the pause. */
	if (r == 0)
		r = shale_target_ask(ctx, &t, "sync", NULL);
	/* A daemon is made to be killed: there is no other way to end it. */
	if (r == 0 && kill(before.daemon, SIGKILL) < 0)
		r = shale_err_set(&ctx->err, errno, "end the daemon %d",
				  (int)before.daemon);
	if (r == 0)
		r = wait_for_next(ctx, &t, before.daemon, &after);
	if (r == 0)
		report(ctx, &t, &before, &after);
	return r;
}
