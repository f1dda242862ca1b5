/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_CONTROL_CONTROL_H
#define SHALE_CONTROL_CONTROL_H

/*
 * How commands talk to a mount's daemon: JSON objects, one a line, over the
 * socket `ctl` (0600; both sides check that the peer is the same user or root)
 * in the mount's state directory, mounts/<id>/ of the store.
 *
 *     {"do":"alive"}                  -> at once: somebody is there
 *     {"do":"status"}                 -> counts, how the mount is doing
 *     {"do":"trace"}                  -> {"lines":[…],"lost":N}: a line for
 *                                        for each request answered since the
 *                                        connection asked last; the first
 *                                        time, none.  Waits a little for one
 *     {"do":"sync"}                   -> everything is on disk
 *     {"do":"freeze"}                 -> {"epoch":E,"position":F,
 *                                        "frozen_us":N}: mutations stood still
 *                                        for N microseconds; the applier is
 *                                        paused until "opened" or the end of
 *                                        the connection
 *     {"do":"opened"}                 -> the committer has its snapshot
 *     {"do":"committed","epoch":E,"manifests":[…]} -> contents point there
 *
 *     {"do":"discard","paths":[HEX,…]} -> {"inodes":N} are back to the last
 *                                        committed image; no paths: all of it.
 *                                        A path is its bytes in hex
 *
 * A reply is {"ok":true, …} or {"ok":false,"errno":N,"message":"…"}.
 */

#include "layers/base/cleanup.h"
#include "layers/base/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

/* ------------------------------------------------------ a mount's state */

/*
 * mounts/<id>/ holds: info.json (what is mounted where), again.json (the same,
 * for who mounts it again: fs/control/left.h), lock (flocked while holder or
 * daemon live; holds the daemon's process id), ctl, index.* (hard links of the
 * indexes in use).  Images that info.json names are leased:
 *
 *     {"mountpoint":DIR,"kind":"image|rw|browse","workspace":NAME,
 *      "repo":REPO,"ephemeral":BOOL,"options":"nosuid,nodev,…","boot":ID,
 *      "refs":[REF,…],"manifests":["sha256:…",…],"leased":["sha256:…",…],
 *      "index":NAME}
 *
 * A mountpoint that is not UTF-8 is "mountpoint_hex", its bytes in hex.
 */
struct shale_mount_info {
	char id[17]; /* hex */
	char *mountpoint;
	char kind[8];    /* "image", "rw", "browse" */
	char *workspace; /* rw */
	char *repo;      /* browse: only this repository, or NULL */
	bool ephemeral;  /* the workspace goes when the mount does */
	char *options;   /* as `-o` takes them: ro, nosuid, … */
	char boot[40];   /* the machine's, when it was mounted */
	char **refs;
	char **manifests; /* "sha256:…", bottom first: what is mounted */
	size_t n;         /* of both */
	char **leased;    /* further images, committed while mounted */
	size_t n_leased;
	char *index;  /* file name under indexes/ or NULL */
	char *base;   /* and of the index that it is a patch of, or NULL */
	int pid;      /* 0: not running */
	time_t since; /* it runs, or was started */
};
void shale_mount_info_release(struct shale_mount_info *info);

/*
 * Make a state directory, with info.json; sets info->id and info->boot. `*lock`
 * is its lock, taken, on a descriptor that is not close-on-exec: the daemon
 * inherits it, and the mount counts as running until the last copy is closed.
 */
int shale_mount_make(int store_dirfd, struct shale_mount_info *info, int *lock,
		     struct shale_err *err);
/* Replace info.json; only who holds the lock does. */
int shale_mount_write(int store_dirfd, const struct shale_mount_info *info,
		      struct shale_err *err);
int shale_mount_read(int store_dirfd, const char *id,
		     struct shale_mount_info *out, struct shale_err *err);
/* -ENOENT, -EUCLEAN: what info.json says, without `id` and `pid`. */
int shale_mount_parse(const void *text, size_t len,
		      struct shale_mount_info *out, struct shale_err *err);
void shale_mount_remove(int store_dirfd, const char *id);

/* Bytes that need not be UTF-8, without a NUL, in JSON: as hex.  The second is
 * allocated; -EUCLEAN: it is not hex. */
json_t *shale_control_hex(const char *bytes);
int shale_control_bytes(const json_t *text, char **out);

/* Wait until nobody holds the mount's lock: its daemon has ended.  -ETIMEDOUT:
 * it has not within `limit_ms`. */
int shale_mount_wait(int store_dirfd, const char *id, unsigned limit_ms,
		     struct shale_err *err);

/*
 * Remove what daemons that died have left: state directories whose lock is
 * free, but not those that are to be mounted again (fs/control/left.h).  `gone`
 * (may be NULL) is called for each before it goes.
 */
void shale_mount_sweep(int store_dirfd,
		       void (*gone)(void *arg,
				    const struct shale_mount_info *info),
		       void *arg);

/*
 * The Shale mount at `dir` of this machine (by /proc/self/mountinfo; the
 * mount's source is "shale:<store>/mounts/<id>").  `store` and `id` are
 * allocated.  -ENOENT: no Shale mount there.
 */
int shale_mount_find(const char *dir, char **store, char **id,
		     struct shale_err *err);

/* Is this mount, and no other on top of it, at its mountpoint?  Asks nobody who
 * may not answer. */
bool shale_mount_stands(const struct shale_mount_info *info);

/*
 * Call `fn` for each mount whose daemon lives (or is being started), or which
 * is to be mounted again (then its `pid` is 0), until it returns other than 0,
 * and return that.  -EUCLEAN: what one of them says cannot be read.
 */
int shale_mount_each(int store_dirfd,
		     int (*fn)(void *arg, const struct shale_mount_info *info,
			       struct shale_err *err),
		     void *arg, struct shale_err *err);

/* The live mount that has workspace `name` open; `id` has 17 bytes.  -ENOENT */
int shale_mount_of_workspace(int store_dirfd, const char *name, char *id,
			     struct shale_err *err);

/* ---------------------------------------------------------------- client */

struct shale_control;
/* -ENOENT, -ECONNREFUSED: nobody is there. */
int shale_control_connect(struct shale_control **out, int store_dirfd,
			  const char *id, struct shale_err *err);
void shale_control_close(struct shale_control *c);
SHALE_DEFINE_CLEANUP(control, struct shale_control *, shale_control_close);
#define cleanup_control SHALE_CLEANUP(shale_cleanup_control)
/* Do not wait longer for a reply: shale_control_call() is then -ETIMEDOUT. */
void shale_control_limit(struct shale_control *c, unsigned seconds);
/* Send `request` (taken over), wait for the reply.  An error of the daemon's
 * comes as its errno and message. */
int shale_control_call(struct shale_control *c, json_t *request, json_t **reply,
		       struct shale_err *err);
/* Connect, ask {"do":`what`}, wait `seconds` at most (0: for ever), close. */
int shale_control_ask(int store_dirfd, const char *id, const char *what,
		      unsigned seconds, json_t **reply, struct shale_err *err);
/* Does `r`, of any of these, mean that nobody is there, or not any more? */
bool shale_control_gone(int r);

/* ---------------------------------------------------------------- server */

/*
 * One request line taken apart; `what` points into `*request` (a new
 * reference).  -EINVAL: not a request.
 */
int shale_control_parse(const char *line, size_t len, json_t **request,
			const char **what, struct shale_err *err);

/*
 * Answers one request; returns a reply object (new reference) or NULL with
 * `err` and errno in `*r`.  `session` is a place for what one connection holds;
 * `end` is called when the connection ends.
 */
struct shale_control_ops {
	json_t *(*request)(void *arg, void **session, const char *what,
			   const json_t *request, int *r,
			   struct shale_err *err);
	void (*end)(void *arg, void *session);
	/* There is no descriptor for another connection; may be NULL. */
	void (*spare)(void *arg);
	void *arg;
};
struct shale_control_server;
/*
 * Listen in the state directory, a thread a connection; at most 32 connections.
 * A line is at most 1 MiB.
 */
int shale_control_serve(struct shale_control_server **out, int statedir,
			const struct shale_control_ops *ops,
			struct shale_err *err);
void shale_control_stop(struct shale_control_server *s);

#endif
