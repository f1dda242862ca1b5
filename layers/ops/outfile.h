/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_OPS_OUTFILE_H
#define SHALE_OPS_OUTFILE_H

/*
 * A file for the user that appears under its name when it is whole: written
 * beside it, made durable, renamed.  What is no regular file (a pipe, a device,
 * standard output) is written as it is.
 */

#include "layers/base/err.h"

#include <stdbool.h>

struct shale_outfile {
	int fd; /* write here */

	const char *path; /* the caller's; private from here on */
	int dirfd;        /* -1: written as it is */
	char *name;
	char tmp[40];
};

/*
 * Begin to write `path` ("-": standard output); a symlink's target is meant.
 * -EISDIR: it is a directory.
 */
int shale_outfile_open(struct shale_outfile *out, const char *path,
		       struct shale_err *err);

/*
 * It is whole: give it its name.  With `same` not NULL, a file there that holds
 * the same bytes is left as it is, and `*same` set.
 */
int shale_outfile_commit(struct shale_outfile *out, bool *same,
			 struct shale_err *err);

/* Close it; what was not committed goes.  Safe after either. */
void shale_outfile_release(struct shale_outfile *out);

#endif
