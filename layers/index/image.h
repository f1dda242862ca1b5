/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_INDEX_IMAGE_H
#define SHALE_INDEX_IMAGE_H

/*
 * An image (or stack) opened for reading: its index, its trees, and the reader
 * of chunks.  What mounts, export, ls, cat and commit read from.  Immutable and
 * thread-safe.
 */

#include "layers/index/content.h"

struct shale_image {
	struct shale_index *index; /* NULL: opened for contents only */
	struct shale_tree **trees; /* bottom first */
	size_t n_trees;
	struct shale_chunks *chunks; /* not owned: shared by many images */
};

/* Close the index and trees and free `image`.  NULL is fine. */
void shale_image_close(struct shale_image *image);
SHALE_DEFINE_CLEANUP(image, struct shale_image *, shale_image_close);
#define cleanup_image SHALE_CLEANUP(shale_cleanup_image)

/*
 * Let go of the pages of index and trees that are in memory.  Called now and
 * then, it keeps a walk over all files of an image small.
 */
void shale_image_relax(const struct shale_image *image);

/* Content of a regular file, by index if there is one. */
int shale_image_content(const struct shale_image *image, uint64_t ino,
			struct shale_content *out, struct shale_err *err);

/* Read file content, as shale_content_read(). */
int shale_image_read(const struct shale_image *image, uint64_t ino,
		     uint64_t off, void *out, size_t len, size_t *got,
		     struct shale_err *err);

#endif
