/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_DAEMON_DAEMON_H
#define SHALE_DAEMON_DAEMON_H

/*
 * One mount's daemon: what it has open, from the store up to the session.
 * Made by main(), used by the threads of the session and of the control
 * socket.
 */

#include "fs/control/control.h"
#include "fs/holder/pocket.h"
#include "fs/mount/session.h"
#include "layers/store/version.h"

#include <pthread.h>

struct shale_history;

struct shale_daemon_opts {
	const char *store, *id;
	int fd;    /* /dev/fuse, mounted */
	int ready; /* where to say that it serves, or why not; -1 */
	int lock;  /* of the state directory, held */
	bool foreground;
	bool debug;     /* a line to the log for each request */
	bool writeback, passthrough; /* rw: as the session's */
	int holder; /* process id of who keeps the connection */
	struct shale_pocket pocket;
	bool takeover; /* a daemon before this one has died */
	bool quota;    /* both were given; else the workspace's own count */
	uint64_t quota_bytes, quota_inodes;
	struct shale_reading reading;
	bool lean;      /* ro: as the session's */
	bool no_direct; /* blobs are read through the page cache */
};

struct shale_daemon {
	struct shale_daemon_opts opts;
	struct shale_store *store;
	struct shale_chunks *chunks;  /* the store's */
	int dirfd;                    /* of the store; the store's */
	int state;                    /* mounts/<id> */
	struct shale_mount_info info; /* under `lock` */
	time_t since;
	struct shale_greeting greeting;
	char *label; /* what is mounted where, for the log */

	struct shale_image *image; /* image, rw */
	struct shale_forest *forest;
	struct shale_history *history; /* browse */
	struct shale_workspace *ws;    /* rw … */
	struct shale_handles *handles;
	struct shale_live *live;
	struct shale_rec_image base;

	struct shale_session *session;
	struct shale_control_server *control;

	pthread_mutex_t lock;
	void *committer; /* who commits or discards: a control session has
			  * frozen, or the daemon itself; or NULL */
};

/* Open what info.json names.  Everything that was opened is closed by
 * shale_daemon_close(), also after an error. */
int shale_daemon_open(struct shale_daemon *d,
		      const struct shale_daemon_opts *opts,
		      struct shale_err *err);
/*
 * When the session has started: lend files to the kernel, if that was asked
 * for.  An error says why not: they are served as ever, then.
 */
int shale_daemon_lend(struct shale_daemon *d, struct shale_err *err);

/* Make everything durable, close, remove the state directory; if the mount is
 * to be mounted again, what that does not need of it. */
int shale_daemon_close(struct shale_daemon *d, struct shale_err *err);

/* Keep an image from being collected while this mount lives. */
int shale_daemon_lease(struct shale_daemon *d,
		       const struct shale_digest *manifests, size_t n,
		       struct shale_err *err);

/* What "status" is answered: a new reference, or NULL with `*r` and `err`. */
json_t *shale_daemon_status(struct shale_daemon *d, int *r,
			    struct shale_err *err);

/* A number of an answer. */
void shale_add_number(json_t *doc, const char *key, uint64_t value);

/* What the control socket answers. */
extern const struct shale_control_ops shale_daemon_requests;

/* Unmount, as SIGTERM asks: who is inside may finish. */
int shale_daemon_unmount(const struct shale_daemon *d); /* -1: it stays */

#endif
