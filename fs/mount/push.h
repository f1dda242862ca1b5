/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_MOUNT_PUSH_H
#define SHALE_MOUNT_PUSH_H

/*
 * Small files that a reader will want next, put into the kernel's page cache
 * before it asks.  Who reads all files of a tree reads them in the order of
 * their inode numbers, which is the order of their contents in the image too.
 * Once some were read in a row, workers read the next contents at once and push
 * whole files, in windows that grow; the first file of each window is left out,
 * so its request tells that the reader has come there.  A pushed file costs its
 * reader no request.
 *
 * Only for images that nobody changes: what is pushed must be true for ever.
 * The contents pushed are checked like those that are asked for.  Thread-safe.
 */

#include "layers/index/image.h"

struct shale_push;

/*
 * Have the kernel keep `len` bytes at `off` (a multiple of its pages) of inode
 * `ino`, up to such a place or the end of the content.  May wait for requests
 * to be answered, so it is called by workers only.  0; -ENOENT: the kernel does
 * not know the inode; other errors end all pushing.
 */
typedef int shale_push_fn(void *arg, uint64_t ino, uint64_t off,
			  const void *data, size_t len);

/* `image` stays the caller's.  Nothing is pushed before shale_push_to(). */
int shale_push_new(struct shale_push **out, const struct shale_image *image,
		   struct shale_err *err);
void shale_push_free(struct shale_push *p);

/* Push with `fn` from now on; NULL: no more, and none is under way. */
void shale_push_to(struct shale_push *p, shale_push_fn *fn, void *arg);

/*
 * `ino` is about to be read from its start.  Never blocks, never fails.  NULL
 * is fine.
 */
void shale_push_note(struct shale_push *p, uint64_t ino);

#endif
