/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_MOUNT_OPS_H
#define SHALE_MOUNT_OPS_H

/*
 * Private to the room: what the callbacks of ro.c and rw.c share.  A callback
 * resolves, makes one call, sends one reply.
 */

#define FUSE_USE_VERSION 314
#include "fs/mount/lean.h"
#include "fs/mount/op.h"
#include "fs/mount/opcount.h"
#include "fs/mount/receivers.h"
#include "fs/mount/session.h"
#include "fs/mount/trace.h"

#include <fuse_lowlevel.h>
#include <stdatomic.h>

enum {
	SHALE_FUSE_MAX_IO = 1 << 20,    /* bytes of one read or write */
	SHALE_FUSE_HEADROOM = 4096 * 2, /* headers around them */
	SHALE_FUSE_BUF = SHALE_FUSE_MAX_IO + SHALE_FUSE_HEADROOM,
	SHALE_FUSE_GREETING = 65536, /* room for INIT */
};

struct shale_session {
	struct shale_session_opts opts;
	struct fuse_session *fuse;
	struct shale_receivers receivers;
	struct shale_lean *lean; /* NULL: no listing is */
	pthread_key_t op; /* this thread's struct shale_op, while it has one */
	struct shale_opcount *counts;
	struct shale_trace *trace;
	bool greeted;            /* INIT is answered */
	int unsent;              /* … or why that did not reach the kernel */
	struct shale_err *said;  /* where that is told */
	bool replaying;          /* … and libfuse is told once more */
	bool differs;            /* it answered the replay in another way */
	uint64_t init_unique;    /* of the INIT request */
	uint64_t init_flags;     /* what it offered, flags2 above bit 31 */
	_Atomic uint64_t errors; /* times that damage was met */
	_Atomic int64_t log_second; /* of the last messages … */
	atomic_int log_count;       /* … and how many there were in it */
};

extern const struct fuse_lowlevel_ops shale_ro_ops;
extern const struct fuse_lowlevel_ops shale_rw_ops;

/* For ever: one kernel is the only writer. */
#define SHALE_TIMEOUT 31536000.0
/* A made-up tree changes with the store. */
#define SHALE_TIMEOUT_SHORT 1.0

static inline struct shale_session *shale_req_session(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

/* The receiver that runs this callback, until it lets go. */
static inline struct shale_receiver *shale_req_receiver(fuse_req_t req)
{
	return shale_receivers_own(&shale_req_session(req)->receivers);
}

/*
 * Reply with what `r` (0 or -errno) means to an application: damage is EIO.
 * Words in `err` are logged with the path of `id`.
 */
void shale_reply_error(fuse_req_t req, int r, uint64_t id,
		       const struct shale_err *err);

/* Is it root who asks?  To be asked rarely: it may take a look at /proc. */
bool shale_req_is_root(fuse_req_t req);

/* Reply to getxattr: `size` 0 asks for the length. */
void shale_reply_xattr(fuse_req_t req, const struct shale_buf *value,
		       size_t size);

/*
 * Reply to listxattr with what the caller may know of: names in trusted. are
 * root's, as on other file systems.
 */
void shale_reply_names(fuse_req_t req, const struct shale_buf *names,
		       size_t size);

/* Common to both kinds of mounts. */
void shale_op_init(void *userdata, struct fuse_conn_info *conn);
void shale_op_opendir(fuse_req_t req, fuse_ino_t ino,
		      struct fuse_file_info *fi);
void shale_op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void shale_op_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned cmd, void *arg,
		    struct fuse_file_info *fi, unsigned flags, const void *in,
		    size_t in_size, size_t out_size);

/*
 * Append "/path/of/node", or "inode N" if it has none or that would take long
 * to find; `search`: take long.
 */
void shale_session_path(struct shale_session *s, uint64_t id, bool search,
			struct shale_buf *out);

/* May another line go to the log?  At most ten a second may. */
bool shale_session_may_log(struct shale_session *s);
void shale_session_log(const struct shale_session *s, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
