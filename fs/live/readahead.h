/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_LIVE_READAHEAD_H
#define SHALE_LIVE_READAHEAD_H

/*
 * Decompress ahead of sequential readers, on threads of its own: the next
 * chunks are in the cache when the kernel asks for them.  Contents of images
 * only.  Thread-safe.
 */

#include "layers/index/content.h"

struct shale_readahead;

/* `threads` workers; 0: two. */
int shale_readahead_new(struct shale_readahead **out, unsigned threads,
			struct shale_err *err);

/* Waits for what is being read: call it before images are closed. */
void shale_readahead_free(struct shale_readahead *ra);

/*
 * `len` bytes at `off` of the content are about to be read; `key` tells contents
 * apart.
 * Never blocks, never fails: a reader that is not followed only waits longer.
 * NULL is fine.
 */
void shale_readahead_note(struct shale_readahead *ra, uint64_t key,
			  const struct shale_content *content,
			  struct shale_chunks *chunks, uint64_t off,
			  size_t len);

#endif
