/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_CONTROL_MOUNTINFO_H
#define SHALE_CONTROL_MOUNTINFO_H

/*
 * What /proc/PID/mountinfo says (proc(5)).  Pure: the text comes from the
 * caller.  Lines that cannot be understood are passed over.
 */

#include "layers/base/err.h"

#include <stddef.h>
#include <stdint.h>

struct shale_mountinfo {
	char *point, *type, *source; /* unescaped */
	unsigned major, minor;
};
void shale_mountinfo_release(struct shale_mountinfo *m);

/*
 * The mount on top at `dir` (absolute, without "." or ".."): the last line that
 * names it.  -ENOENT; -ENOMEM.
 */
int shale_mountinfo_find(const char *text, size_t len, const char *dir,
			 struct shale_mountinfo *out, struct shale_err *err);

/*
 * The lowest mount there whose source begins with `source`: the first line.
 * -ENOENT; -ENOMEM.
 */
int shale_mountinfo_first(const char *text, size_t len, const char *dir,
			  const char *source, struct shale_mountinfo *out,
			  struct shale_err *err);

/* As shale_mountinfo_find(), of this process, from /proc/self/mountinfo. */
int shale_mountinfo_here(const char *dir, struct shale_mountinfo *out,
			 struct shale_err *err);
/* The lowest Shale mount of this process at `dir`. */
int shale_mountinfo_lowest(const char *dir, struct shale_mountinfo *out,
			   struct shale_err *err);

/*
 * `dir` as an absolute path without symlinks.  Works for the root of a mount
 * that does not answer.  Allocated; NULL with errno.
 */
char *shale_mountinfo_path(const char *dir);

/*
 * Take the source of a Shale mount, "shale:<store>/mounts/<id>", apart; both
 * are allocated.  -ENOENT: it is not one.
 */
int shale_mountinfo_source(const char *source, char **store, char **id);

#endif
