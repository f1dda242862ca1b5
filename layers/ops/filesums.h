/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_OPS_FILESUMS_H
#define SHALE_OPS_FILESUMS_H

/*
 * SHA-256 of the contents of an image's files, each content once: files that
 * consist of the same chunks (further names, copies) are found without reading
 * them.  What was found is kept in a table of bounded size that prefers large
 * contents.  Any number of threads may ask; two that want the same content
 * read it once.
 */

#include "layers/index/image.h"

#include <stdbool.h>

struct shale_filesums;

/* `cancelled` (may be NULL) is asked between pieces of a content. */
int shale_filesums_new(struct shale_filesums **out,
		       const struct shale_image *image,
		       bool (*cancelled)(void *arg), void *arg,
		       struct shale_err *err);
void shale_filesums_free(struct shale_filesums *sums);

/*
 * Of regular file `ino`.  -EUCLEAN: its content is damaged; -EINTR: the
 * caller wants to stop.
 */
int shale_filesums_of(struct shale_filesums *sums, uint64_t ino,
		      struct shale_digest *out, struct shale_err *err);

/* Bytes that were told so far, and how many of them had to be read. */
void shale_filesums_bytes(const struct shale_filesums *sums, uint64_t *told,
			  uint64_t *read);

#endif
