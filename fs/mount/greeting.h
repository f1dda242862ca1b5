/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_MOUNT_GREETING_H
#define SHALE_MOUNT_GREETING_H

/*
 * How the kernel and the first daemon of a connection greeted each other: the
 * INIT request, the reply to it, and the connection's random id.  Kept in the
 * file `greeting` of the mount's state, so that the next daemon on the same
 * connection starts libfuse as the first one did.  The file never outlives the
 * boot: native integers.
 */

#include "layers/base/buf.h"
#include "layers/base/err.h"

#include <stdint.h>

struct shale_greeting {
	int dirfd;           /* of the state; the caller's */
	uint64_t connection; /* tells this connection's requests from others' */
	struct shale_buf request, reply; /* empty until the kernel greeted */
};

/* A new connection: nothing is kept yet. */
int shale_greeting_init(struct shale_greeting *g, int dirfd,
			struct shale_err *err);
/*
 * The greeting that an earlier daemon kept.  -ENOENT: there is none, so nobody
 * can take this connection over; -EUCLEAN.
 */
int shale_greeting_load(struct shale_greeting *g, int dirfd,
			struct shale_err *err);
/* Write it down, before the kernel gets the reply. */
int shale_greeting_keep(const struct shale_greeting *g, struct shale_err *err);
void shale_greeting_release(struct shale_greeting *g);

#endif
