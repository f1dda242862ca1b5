/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_OPS_IMAGEDOC_H
#define SHALE_OPS_IMAGEDOC_H

/*
 * The metadata document of a whole image (docs/format.md 8.1): a line for each
 * path, composed from the index as a stream.  Memory does not grow with the
 * number of files.
 */

#include "layers/index/image.h"

#include <stdbool.h>

struct shale_imagedoc_opts {
	bool digests;     /* SHA-256 of each file's content, which is read */
	unsigned threads; /* 0: one a processor */

	/* Each may be NULL.  `cancelled` is asked by several threads. */
	bool (*cancelled)(void *arg);
	void (*progress)(void *arg, uint64_t bytes, uint64_t files);
	/* A content is damaged; the document says so too and goes on. */
	void (*damaged)(void *arg, const char *path, const char *what);
	void *arg;
};

/*
 * Write to `fd`.  `manifest` names the image.  Returns how many files are
 * damaged, or -errno: -EPIPE when whoever read it has gone; -EINTR.  A document
 * that was cut off is no valid JSON.
 */
int64_t shale_imagedoc_write(const struct shale_image *image,
			     const struct shale_digest *manifest, int fd,
			     const struct shale_imagedoc_opts *opts,
			     struct shale_err *err);

#endif
