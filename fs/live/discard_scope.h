/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_LIVE_DISCARD_SCOPE_H
#define SHALE_LIVE_DISCARD_SCOPE_H

/*
 * Some paths of a live tree, and what is at and below them, now and in the last
 * committed image.  Each question costs what lies above the inode that it is
 * about, nothing what lies below the paths.
 */

#include "fs/live/discard.h"

/* One path: a name in a directory that is the same now and in the image. */
struct shale_top {
	uint64_t dir;
	const char *name; /* within the path that was given */
	size_t len;
	uint64_t now, image; /* inodes there; 0: none */
};

struct shale_scope {
	struct shale_live *live;
	const struct shale_index *last;
	struct shale_top *tops;
	size_t n;
	uint64_t dir; /* private: asked last, and the answer */
	bool dir_in;
};

/*
 * Look up `paths`, which stay; `live` and `last` are given, the rest is zeros.
 * -EINVAL: no path; -EXDEV: what is above one has moved; -ENOKEY: neither has
 * it.  Release it also after an error.
 */
int shale_scope_open(struct shale_scope *s, const char *const *paths, size_t n,
		     struct shale_err *err);
void shale_scope_release(struct shale_scope *s);

/* Is that name one of the paths?  Is the directory one that has one? */
bool shale_scope_is_top(const struct shale_scope *s, uint64_t dir,
			const char *name, size_t len);
bool shale_scope_is_parent(const struct shale_scope *s, uint64_t dir);

/* Is the directory at or below one of them, in the image, now, or now below
 * what is there in the image? */
bool shale_scope_holds(struct shale_scope *s, uint64_t dir);

/* Does the image have the inode there, under any name? */
bool shale_scope_image_has(const struct shale_scope *s, uint64_t ino);

#endif
