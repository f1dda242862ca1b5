/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_MOUNT_SESSION_H
#define SHALE_MOUNT_SESSION_H

/*
 * A kernel connection: requests from a /dev/fuse descriptor that somebody else
 * mounted, answered from a forest (read-only) or a live tree (read-write).  As
 * many receiving threads as processors; more make one client slower
 * (docs/architecture.md).  What waits for a disk leaves the receivers.
 */

#include "fs/live/live.h"
#include "fs/mount/forest.h"
#include "fs/mount/greeting.h"
#include "fs/mount/opcount.h"
#include "fs/mount/trace.h"

struct shale_session;

struct shale_session_opts {
	int fd; /* of /dev/fuse, mounted; stays the caller's */
	struct shale_forest *forest; /* read-only, or … */
	struct shale_live *live;     /* … read-write */
	int space; /* a directory on the file system that new data goes to; rw
		    */
	bool lean; /* not all listings hold inodes (fs/mount/lean.h); ro */
	bool slow_lookups; /* a lookup may open an image (history mounts) */
	/*
	 * The kernel keeps what is written until it is flushed or closed, and
	 * sizes and times of files meanwhile.  Handles that are opened for
	 * writing are noted (SHALE_HANDLE_WRITES).
	 */
	bool writeback;
	/* The kernel reads and writes files that are lent (fs/live/lend.h). */
	bool passthrough;
	/* Of this connection; kept by the caller, filled in by a first daemon.
	 */
	struct shale_greeting *greeting;
	unsigned threads; /* 0: one a processor */
	/* Damage and other surprises; any thread. */
	void (*log)(void *arg, const char *message);
	/* A line for each request; NULL: only for who listens. */
	void (*trace)(void *arg, const char *line);
	void *arg;
};

int shale_session_new(struct shale_session **out,
		      const struct shale_session_opts *opts,
		      struct shale_err *err);
void shale_session_free(struct shale_session *s);

/* Answer the kernel's INIT: from then on the mount waits only for a thread. */
int shale_session_start(struct shale_session *s, struct shale_err *err);

/*
 * Go on with a connection whose daemon has died: libfuse is greeted as the
 * kernel was, and the kernel sends again what that daemon had read and not
 * answered.  Only when that process is gone: else requests are served twice.
 * -EPROTO: this libfuse would answer the greeting in another way; -EOPNOTSUPP:
 * the kernel cannot send again (before 6.9).
 */
int shale_session_resume(struct shale_session *s, struct shale_err *err);

/*
 * For who lends files (struct shale_live_lender), `arg` being a session that has
 * started: have the kernel know an open file by a number, and forget it.  -EPERM: that needs
 * CAP_SYS_ADMIN; -ELOOP: it lies on a stacked file system; -EOPNOTSUPP: not
 * this kernel (before 6.9).
 */
int shale_session_lend(void *arg, int fd, uint32_t *id);
void shale_session_take_back(void *arg, uint32_t id);
void shale_session_lent_changed(void *arg, uint64_t ino);

/* Serve until the file system is unmounted (0) or the connection fails. */
int shale_session_run(struct shale_session *s, struct shale_err *err);

/*
 * Have the kernel forget a name, or the attributes and pages of an inode.  May
 * wait for requests that the kernel makes meanwhile: not from a thread that
 * serves them, and not with a lock that serving takes (L5).
 */
void shale_session_forget_name(struct shale_session *s, uint64_t dir,
			       const char *name, size_t len);
void shale_session_forget_inode(struct shale_session *s, uint64_t ino);
/* Its attributes only: waits for nothing, so a thread that serves may do it. */
void shale_session_forget_attr(struct shale_session *s, uint64_t ino);

/* Since this process serves. */
struct shale_session_counts {
	uint64_t requests;
	uint64_t errors; /* times that damage was met, and not got round */
	uint64_t bytes_read, bytes_written;
};
/* Add that up, and call `fn` for each kind of requests of which there were
 * some. */
void shale_session_count(struct shale_session *s,
			 struct shale_session_counts *out,
			 void (*fn)(void *arg, const char *name,
				    const struct shale_opcount_sum *sum),
			 void *arg);

/* Hear a line for each request from now on; closed before the session. */
int shale_session_listen(struct shale_session *s, struct shale_listener **out,
			 struct shale_err *err);

#endif
