/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_MOUNT_OP_H
#define SHALE_MOUNT_OP_H

/*
 * One request from when it was read to when it is answered: what is counted of
 * it (fs/mount/opcount.h), and its line of a trace:
 *
 *     12:34:56.789012 read /d/file 4096@8192 = 4096 (35.2 us)
 *
 * A thread has at most one under way: who reads a request answers it.
 */

#include <stdint.h>
#include <sys/uio.h>

struct shale_session;
struct shale_receiver;

struct shale_op {
	unsigned kind;  /* its opcode */
	uint64_t start; /* shale_clock_ns() */
	uint64_t bytes; /* that it brought */
	char *asked;    /* the first half of its line, or NULL */
};

/* This thread has read a request, which libfuse has not seen yet.  `op` stays
 * where it is until the end. */
void shale_op_begin(struct shale_op *op, const struct shale_receiver *r);

/* This thread has sent that reply, or a notification. */
void shale_op_answered(struct shale_session *s, const struct iovec *iov, int n);

/* It is done with its request: one that has no answer yet has none. */
void shale_op_end(struct shale_session *s);

#endif
