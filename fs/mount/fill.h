/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_MOUNT_FILL_H
#define SHALE_MOUNT_FILL_H

/*
 * Long files that are read here and there, as a database reads its tables. Each
 * small read has a whole chunk decompressed; where a second one comes close to
 * an earlier one, a worker puts all that lies around both into the kernel's
 * page cache, and the next ones there make no request.  Who jumps about in much
 * more than he reads is given nothing that he did not ask for.
 *
 * Only for images that nobody changes, as pushing is (push.h).  Thread-safe.
 */

#include "fs/mount/push.h"

enum {
	SHALE_FILL_WINDOW = 64 << 10, /* content that is given at once */
	SHALE_FILL_SMALL = 8 << 10,   /* a longer read is no small one */
	SHALE_FILL_SEEN = 64 << 10,   /* windows that are remembered */
	SHALE_FILL_FEW = 8,           /* one in so many is not most */
};

struct shale_fill;

/* `image` stays the caller's.  Nothing is given before shale_fill_to(). */
int shale_fill_new(struct shale_fill **out, const struct shale_image *image,
		   struct shale_err *err);
void shale_fill_free(struct shale_fill *f);

/* Give with `fn` from now on; NULL: no more, and none is under way. */
void shale_fill_to(struct shale_fill *f, shale_push_fn *fn, void *arg);

/*
 * `len` bytes at `off` of `ino`, which has `size`, are about to be read.  Never
 * blocks, never fails.  NULL is fine.
 *
 * Returns whether this is a small read far from others, as most were of late:
 * nobody will want its chunk again soon.
 */
bool shale_fill_note(struct shale_fill *f, uint64_t ino, uint64_t size,
		     uint64_t off, size_t len);

#endif
