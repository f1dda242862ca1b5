/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_MOUNT_RAW_H
#define SHALE_MOUNT_RAW_H

/*
 * What of the kernel's protocol (linux/fuse.h) libfuse 3.14 does not hand on:
 * the request's key, the flag to clear setuid, feature bits of INIT that it
 * does not know, O_TMPFILE, and files that are lent to the kernel.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct shale_session;
struct shale_receiver;
struct fuse_in_header; /* linux/fuse.h */

/* The head of the request in a receiver's buffer, and what is behind it: NULL
 * if that is less than `size` bytes. */
const struct fuse_in_header *shale_raw_header(const struct shale_receiver *r);
const void *shale_raw_body(const struct shale_receiver *r, size_t size);

/* The node that it names first: a directory, where it is about a name. */
uint64_t shale_raw_node(const struct shale_receiver *r);

/* Key of that request, without the bit of a resend. */
uint64_t shale_raw_unique(const struct shale_receiver *r);

/* Was it sent before, to a daemon that has died? */
bool shale_raw_resent(const struct shale_receiver *r);

/*
 * Can the kernel that sent this INIT send requests again, so that a daemon that
 * dies may be followed by another?
 */
bool shale_raw_resends(const void *init, size_t len);

/* Ask it to.  -EINVAL: it cannot. */
int shale_raw_resend(int fd);

/* Does this SETATTR, OPEN, CREATE or WRITE ask to clear setuid and setgid? */
bool shale_raw_kills(const struct shale_receiver *r);

/*
 * The kernel sends SETXATTR in the long form, which alone says when an ACL
 * takes setgid away: bring it into the form that libfuse knows, and note that.
 */
void shale_raw_fold(struct shale_receiver *r);

/* Note what INIT offers.  False: the request is no whole INIT. */
bool shale_raw_see_init(struct shale_session *s,
			const struct shale_receiver *r);

/*
 * Called with every reply on its way out: INIT's gets the features added that
 * libfuse does not know.  `room` holds the changed body.  True: it is INIT's.
 */
struct shale_raw_room {
	uint8_t body[256];
};
bool shale_raw_patch(struct shale_session *s, struct iovec *iov, int n,
		     struct shale_raw_room *room);

/* Has the kernel offered to read and write files itself (Linux 6.9)? */
bool shale_raw_offers_passthrough(const struct shale_session *s);

/* --------------------------------------------------------- opens (raw_open.c)
 */

/* Answer a request that libfuse does not know.  False: it is none of those. */
bool shale_raw_handle(struct shale_receiver *r);

/*
 * Have the kernel know an open file of the host by a number, not 0, and forget
 * it.  -EPERM: it needs CAP_SYS_ADMIN; -ELOOP: that lies on a stacked file
 * system; -EOPNOTSUPP.
 */
int shale_raw_backing_open(int fuse, int fd, uint32_t *id);
void shale_raw_backing_close(int fuse, uint32_t id);

/* Reply to OPEN and CREATE, as fuse_reply_open() and fuse_reply_create() do. */
struct fuse_req;
struct shale_node;
struct shale_rw_handle; /* rw.h */
int shale_raw_reply_open(struct fuse_req *req,
			 const struct shale_rw_handle *handle);
int shale_raw_reply_create(struct fuse_req *req, const struct shale_node *node,
			   const struct shale_rw_handle *handle);

/* ------------------------------------------- requests as they are (raw_op.c)
 */

/* Of what kind is the request in the buffer, among SHALE_OPCOUNT_KINDS; 0: of
 * one that is not known. */
unsigned shale_raw_kind(const struct shale_receiver *r);
/* "lookup"; NULL: there is no such kind. */
const char *shale_raw_name(unsigned kind);

/* Bytes of content that it brings; that this reply to a kind takes away. */
uint64_t shale_raw_brings(const struct shale_receiver *r);
uint64_t shale_raw_takes(unsigned kind, const struct iovec *iov, int n);
bool shale_raw_failed(const struct iovec *iov, int n);
/* It is no reply: it tells the kernel something unasked. */
bool shale_raw_unasked(const struct iovec *iov, int n);

/*
 * Append what a request asks ("4711 read /dir/file 4096@8192": the process, the
 * operation, on what), and what it was answered ("4096", "inode 12", "ENOENT").
 * Names are escaped.  No reply: `n` is 0.
 */
struct shale_buf;
void shale_raw_describe(const struct shale_receiver *r, struct shale_buf *out);
void shale_raw_outcome(unsigned kind, const struct iovec *iov, int n,
		       struct shale_buf *out);

#endif
