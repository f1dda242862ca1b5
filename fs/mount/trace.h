/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_MOUNT_TRACE_H
#define SHALE_MOUNT_TRACE_H

/*
 * Lines for whoever listens, such as one a request: any thread tells, each
 * listener takes what came since it last did.  Telling never waits: who does
 * not take in time loses lines, and is told how many.  While nobody listens,
 * telling is one load.  Thread-safe; knows nothing of FUSE.
 */

#include "layers/base/buf.h"
#include "layers/base/err.h"

#include <stdbool.h>

struct shale_trace;
struct shale_listener;

int shale_trace_new(struct shale_trace **out, struct shale_err *err);
/* Nobody tells or listens any more.  NULL is fine. */
void shale_trace_free(struct shale_trace *trace);

/* Is a line worth making? */
bool shale_trace_wanted(const struct shale_trace *trace);
/* `line` without a newline in it. */
void shale_trace_tell(struct shale_trace *trace, const char *line);

/* Hear what is told from now on. */
int shale_trace_listen(struct shale_trace *trace, struct shale_listener **out,
		       struct shale_err *err);
/*
 * Append the lines that came, each with a newline, and say how many were lost
 * behind them; waits up to `ms` for the first.
 */
int shale_listener_take(struct shale_listener *listener, unsigned ms,
			struct shale_buf *lines, uint64_t *lost);
/* NULL is fine. */
void shale_listener_close(struct shale_listener *listener);

#endif
