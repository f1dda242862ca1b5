/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_HOLDER_POCKET_H
#define SHALE_HOLDER_POCKET_H

/*
 * A place for one descriptor that outlives the process that put it there: two
 * ends of a socket which the holder keeps open, and every daemon inherits.  A
 * daemon puts the lock of its workspace there; while nobody serves the mount it
 * stays locked, and the next daemon finds it.
 */

struct shale_pocket {
	int in, out; /* -1: there is none */
};

/* "IN:OUT", as on shalefs's command line.  -EINVAL. */
int shale_pocket_parse(const char *text, struct shale_pocket *pocket);

/* A copy of `fd` goes there. */
int shale_pocket_put(const struct shale_pocket *pocket, int fd);
/* A copy of what is there, which stays; -ENOENT: it is empty. */
int shale_pocket_peek(const struct shale_pocket *pocket, int *fd);
/* Close what is there. */
void shale_pocket_empty(const struct shale_pocket *pocket);

#endif
