/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_BASE_CLEANUP_H
#define SHALE_BASE_CLEANUP_H

/*
 * Owned locals.  Declare with cleanup_*, hand on with steal_*.  These are for
 * the paths that already failed: what must succeed (close of a written file,
 * fsync, rename) is checked by hand, see layers/base/io.h.
 */

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define SHALE_CLEANUP(fn) __attribute__((cleanup(fn)))

/* Defines cleanup function shale_cleanup_NAME(type **) calling `fn`. */
#define SHALE_DEFINE_CLEANUP(name, type, fn)                                   \
	static inline void shale_cleanup_##name(type *p)                       \
	{                                                                      \
		if (*p)                                                        \
			fn(*p);                                                \
	}                                                                      \
	struct shale_require_semicolon

static inline void shale_cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void shale_cleanup_fd(int *fd)
{
	if (*fd >= 0) {
		int saved = errno;
		close(*fd);
		errno = saved;
	}
}

#define cleanup_free SHALE_CLEANUP(shale_cleanup_free)
#define cleanup_fd   SHALE_CLEANUP(shale_cleanup_fd)

static inline int steal_fd(int *fd)
{
	int taken = *fd;
	*fd = -1;
	return taken;
}

static inline void *shale_steal_ptr(void *pp)
{
	void **p = (void **)pp;
	void *taken = *p;
	*p = NULL;
	return taken;
}

#define steal_ptr(pp) ((__typeof__(*(pp)))shale_steal_ptr(pp))

#endif
