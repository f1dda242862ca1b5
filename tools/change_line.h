/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_TOOLS_CHANGE_LINE_H
#define SHALE_TOOLS_CHANGE_LINE_H

/*
 * The line of one path that changed, as `status`, `diff` and `replay` show it:
 * "M /a/b", or with --json {"change":"M","path":"/a/b"}.
 */

#include "tools/cmd.h"

/* What else is known of it; zeros and false: nothing. */
struct shale_change_line {
	char letter;      /* A D M T m */
	const char *path; /* "/a/b" */
	size_t len;
	bool sizes; /* show these: of regular files, 0 for what is none */
	uint64_t old_size, new_size;
};

/* Print it on standard output.  -ENOMEM. */
int shale_change_line(const struct shale_ctx *ctx,
		      const struct shale_change_line *line);

/* What the letters mean, for help texts. */
#define SHALE_CHANGE_LETTERS                                                   \
	"One line a path: A added, D deleted, M content, T type, "             \
	"m attributes only."

#endif
