/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_BLOB_VIEW_H
#define SHALE_BLOB_VIEW_H

/*
 * Content where it lies, for who only hands it on: parts of chunks in the
 * cache, which stay until the view is released, and between them parts of a
 * buffer, for what is not in the cache.  Belongs to one thread.
 */

#include "layers/blob/chunks.h"

#include <sys/uio.h>

/* A MiB has 65 chunks at the most, if it does not jump about. */
enum { SHALE_VIEW_PARTS = 72 };

struct shale_view {
	struct shale_chunks *chunks; /* of the parts that are chunks' */
	int n;
	struct iovec part[SHALE_VIEW_PARTS];
	struct shale_chunks_entry *held[SHALE_VIEW_PARTS]; /* NULL: buffer */
};

void shale_view_init(struct shale_view *view);
/* What it held may go. */
void shale_view_release(struct shale_view *view);

/*
 * Append `len` bytes at `off` of a chunk; all chunks of one view are of one
 * `chunks`.  -ENOENT: it is not in the cache; -ENOSPC: there are many parts,
 * the rest goes through the buffer; -EUCLEAN: the chunk is not that long.
 */
int shale_view_chunk(struct shale_view *view, struct shale_chunks *chunks,
		     const struct shale_chunk *chunk, uint32_t off,
		     uint32_t len, struct shale_err *err);

/* Append bytes of the buffer, which come there in the order of the content. */
void shale_view_bytes(struct shale_view *view, void *data, size_t len);

#endif
