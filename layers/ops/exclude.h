/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_OPS_EXCLUDE_H
#define SHALE_OPS_EXCLUDE_H

/*
 * Which names an import leaves out: a list of shell patterns (fnmatch; '*'
 * matches '/' and a leading dot too, as in tar).  A pattern with a slash is
 * held against the whole path in its source, another one against the last name.
 * One that ends in '/' matches directories only.  Pure.
 */

#include <stdbool.h>
#include <stddef.h>

struct shale_exclude {
	const char *const *globs;
	size_t n;
};

/* Is this one name excluded?  (What lies above it was not asked.) */
bool shale_exclude_match(const struct shale_exclude *ex, const char *path,
			 bool is_dir);

/* Is it, or any directory above it, excluded? */
bool shale_exclude_match_above(const struct shale_exclude *ex, const char *path,
			       bool is_dir);

#endif
