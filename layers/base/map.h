/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_BASE_MAP_H
#define SHALE_BASE_MAP_H

/*
 * A file mapped read-only that may fail under us: an I/O error or a truncation
 * by somebody else raises SIGBUS at the access.  While a shale_map is open,
 * such an access yields zeros, and the map is *poisoned* for good: whoever
 * reads through it asks shale_map_poisoned() before believing what was read.
 * Any number of threads may read one map.
 *
 * The handler is installed at the first open and passes on a SIGBUS that is
 * not ours.  The table of open maps, and where each thread stands in
 * shale_map_try(), are the only mutable globals of the library: a signal
 * handler has no other way to find them.
 */

#include "layers/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct shale_map {
	const uint8_t *data;
	size_t size;  /* bytes of the file */
	int slot;     /* private */
	bool foreign; /* private */
};

/*
 * Map all of `fd` (which may be closed afterwards).  An empty file is -EUCLEAN.
 * `what` names it in messages.
 */
int shale_map_open(struct shale_map *map, int fd, const char *what,
		   struct shale_err *err);
/*
 * Watch over a mapping that somebody else made (LMDB) and will unmap after
 * shale_map_close().
 */
int shale_map_watch(struct shale_map *map, const void *data, size_t size,
		    const char *what, struct shale_err *err);
void shale_map_close(struct shale_map *map);

/*
 * Let go of the pages that are in memory; an access brings them back.  For who
 * reads a large map once from end to end.
 */
void shale_map_relax(const struct shale_map *map);

/* Have the kernel read a part that will be wanted; does not wait for it. */
void shale_map_want(const struct shale_map *map, size_t off, size_t len);

/*
 * Run `fn` for code of others that would not bear zeros: at an access to this
 * map that fails, or where it calls shale_map_leave(), it ends there, in the
 * middle, with what it had allocated and locked.  The map is not poisoned: the
 * access may go well the next time.  Not to be nested.
 *
 * Returns 0 when `fn` has ended, -EIO for the access, or what it left with.
 */
int shale_map_try(const struct shale_map *map, void (*fn)(void *arg),
		  void *arg);
/* Returns only to who is not within shale_map_try(). */
void shale_map_leave(int error);

/* Did any access fail since the map was opened? */
bool shale_map_poisoned(const struct shale_map *map);

#endif
