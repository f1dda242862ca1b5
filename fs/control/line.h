/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_CONTROL_LINE_H
#define SHALE_CONTROL_LINE_H

/*
 * JSON objects, one a line, over a stream socket.  One thread at a time.
 */

#include "layers/base/buf.h"
#include "layers/base/err.h"

#include <jansson.h>

enum { SHALE_LINE_MAX = 1 << 20 };

struct shale_line {
	int fd;
	struct shale_buf in; /* read, not yet taken */
};

/*
 * The next line, without its newline, appended to `out` (cleared first).
 * Returns 1; 0 at the end of the stream; -EMSGSIZE: too long; -errno.
 */
int shale_line_read(struct shale_line *line, struct shale_buf *out);

/* Send an object and a newline. */
int shale_line_write(struct shale_line *line, const json_t *object);

/* Is the process at the other end of the same user, or root's?  -EPERM. */
int shale_line_check_peer(int fd);

#endif
