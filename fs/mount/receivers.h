/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_MOUNT_RECEIVERS_H
#define SHALE_MOUNT_RECEIVERS_H

/*
 * Who reads requests.  A *receiver* is a buffer for a request and one for its
 * reply; there are as many as processors, since more make one client slower.
 * Threads are more: one that has a receiver reads and serves with it.  Before
 * it waits for a disk it lets go of its receiver and waits on its own, and
 * another thread goes on reading.  So a flush is done by the thread that read
 * the request, without a wake-up in between, and requests are read meanwhile.
 *
 *     take a receiver -> read -> serve ----------------------> read …
 *                                  `-> let go -> wait, reply -> take …
 *
 * A receiver that nobody has rests while another thread waits for requests:
 * who reads the next one wakes a thread for it.
 */

#include "layers/base/err.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct shale_session;

struct shale_receiver {
	struct shale_session *session;
	int fd;                      /* requests come from there */
	struct shale_receiver *next; /* that nobody has */
	size_t size;                 /* bytes of each buffer */
	uint8_t *in;                 /* resident */
	uint8_t *out;
	size_t len;     /* of the request in `in` */
	bool kill_sgid; /* it is a SETXATTR that takes setgid away */
};

struct shale_receivers {
	/* Serve the request in a receiver's buffer. */
	void (*serve)(struct shale_receiver *r);
	pthread_key_t key; /* the receiver that this thread has */
	pthread_mutex_t lock;
	pthread_cond_t wake;         /* a receiver is free, or the end */
	struct shale_receiver *free; /* under the lock */
	atomic_uint n_free;          /* written under it, as … */
	atomic_bool ended;
	atomic_uint reading; /* threads that wait for a request */
	atomic_int failure;  /* errno that ended one */
};

/*
 * Populated, so that it is resident: a process that is killed while the kernel
 * copies a request into a page that is not there loses that request.  -ENOMEM
 */
int shale_receiver_init(struct shale_receiver *r, struct shale_session *s,
			int fd, size_t size);
void shale_receiver_release(struct shale_receiver *r);

/*
 * Read one request.  Returns its length, 0 when there was none this time,
 * -ENODEV when the file system is unmounted, -errno.
 */
int shale_receiver_read(struct shale_receiver *r);

int shale_receivers_init(struct shale_receivers *all,
			 void (*serve)(struct shale_receiver *r),
			 struct shale_err *err);
void shale_receivers_release(struct shale_receivers *all);

/* The receiver that this thread has; NULL once it has let go. */
struct shale_receiver *shale_receivers_own(struct shale_receivers *all);
/* Have this one for a while; NULL: none. */
void shale_receivers_set_own(struct shale_receivers *all,
			     struct shale_receiver *r);

/*
 * Called while serving a request, before waiting for a disk: from here on its
 * bytes are gone, and what is left is to reply.
 */
void shale_receivers_let_go(struct shale_receivers *all);

/*
 * Serve what comes from `fd` with `n` receivers of `size` bytes, and up to
 * `waiting` threads more that may wait, until reading fails: 0 if that is
 * because the file system was unmounted.
 */
struct shale_receivers_opts {
	struct shale_session *session;
	int fd;
	unsigned n, waiting;
	size_t size;
};
int shale_receivers_run(struct shale_receivers *all,
			const struct shale_receivers_opts *opts,
			struct shale_err *err);

#endif
