/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_BLOB_CHUNKS_H
#define SHALE_BLOB_CHUNKS_H

/*
 * Contents of chunks: read, decompressed and checked against their XXH3-128,
 * through a bounded cache of decompressed chunks.  A flipped bit is -EUCLEAN
 * with a message that names the blob and the offset, never wrong data.
 * Thread-safe; two threads that want one chunk decompress it once.
 */

#include "layers/blob/blobs.h"
#include "layers/blob/tree.h"

struct shale_chunks;

/* `cache` bytes of decompressed content are kept (0: nothing is). */
int shale_chunks_new(struct shale_chunks **out, struct shale_blobs *blobs,
		     size_t cache, struct shale_err *err);
void shale_chunks_free(struct shale_chunks *chunks);

/*
 * Copy `len` bytes at `off` of a chunk.  Where that is the whole chunk and it
 * is not cached, it is decompressed straight into `out` and not kept.
 */
int shale_chunks_read(struct shale_chunks *chunks,
		      const struct shale_chunk *chunk, uint32_t off,
		      uint32_t len, void *out, struct shale_err *err);

/*
 * Are the `chunk->len` bytes at `data` a chunk's content?  What is equal need
 * not be held against its checksum, too; what cannot be read is not equal.
 */
bool shale_chunks_equal(struct shale_chunks *chunks,
			const struct shale_chunk *chunk, const void *data);

/* What was found in the cache and what was not, since it was made. */
struct shale_chunks_stats {
	uint64_t hits, misses; /* of reads */
	uint64_t prefetched;   /* chunks brought in ahead of reads */
	uint64_t bytes, limit; /* kept now, and at most */
};
void shale_chunks_stats(struct shale_chunks *chunks,
			struct shale_chunks_stats *out);

/*
 * Copy `len` bytes from offset `off` of the first of `n` chunks (at most
 * SHALE_CHUNKS_LIST) on, and through those that follow.  As above; and what
 * lies in a row in a blob is read at once.  With `view`, what is in the cache
 * is not copied: the content is what was appended to the view (view.h).
 */
struct shale_view;
enum { SHALE_CHUNKS_LIST = 24 };
int shale_chunks_read_list(struct shale_chunks *chunks,
			   const struct shale_chunk *list, size_t n,
			   uint32_t off, size_t len, void *out,
			   struct shale_view *view, struct shale_err *err);

/*
 * Bring chunks (at most SHALE_CHUNKS_LIST) into the cache; errors are left for
 * the read to find.  `once`: nobody will want them again soon, so they are read
 * past the kernel's cache of stored bytes where that is possible.
 */
void shale_chunks_prefetch(struct shale_chunks *chunks,
			   const struct shale_chunk *list, size_t n, bool once);

#endif
