/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_OPS_SAME_BYTES_H
#define SHALE_OPS_SAME_BYTES_H

/* A file of the host against what an image has.  Thread-safe. */

#include "layers/index/image.h"

/*
 * 1: the regular file `name` in `dirfd` has the content of `ino`, byte for
 * byte; 0: it has another, or cannot be read.  No symlink is followed.
 * -EUCLEAN: the image is damaged there.
 */
int shale_same_bytes(const struct shale_image *image, uint64_t ino, int dirfd,
		     const char *name, struct shale_err *err);

#endif
