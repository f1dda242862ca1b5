/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_STORE_LOCK_H
#define SHALE_STORE_LOCK_H

/*
 * The lock of a store: whoever reads index.json to change it holds it until
 * the change is in place.  It is a flock on the file `lock`, so it ends with
 * the process that has it, and works between threads too.  The file's text
 * (process, host, boot, start time, program) is for people only.
 */

#include "layers/base/err.h"

/* How long a change waits for another process's. */
enum { SHALE_LOCK_WAIT_MS = 30000 };

/*
 * Take the lock of the store under `dirfd`; closing `*fd` with
 * shale_lock_release() ends it.  -EBUSY after `wait_ms`; the message names the
 * holder.  -EINTR: a signal came that the program handles.
 */
int shale_lock_take(int dirfd, unsigned wait_ms, int *fd,
		    struct shale_err *err);
void shale_lock_release(int *fd);

/*
 * The same, together with others that change nothing: what index.json and gc
 * say stands still.  Released by closing `*fd`.  Where the lock cannot be had
 * because the store cannot be written, `*fd` is -1.
 */
int shale_lock_share(int dirfd, unsigned wait_ms, int *fd,
		     struct shale_err *err);

#define cleanup_lock __attribute__((cleanup(shale_lock_release)))

#endif
