/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_OPS_ALIKE_H
#define SHALE_OPS_ALIKE_H

/*
 * Threads that hold a large file against what the parent image has of it, ahead
 * of the one that reads it: at which places does it still have the very bytes
 * of a chunk of the parent's?  A chunk is read, hashed, decompressed and
 * compared while it is in one core's cache.  What is found depends on the two
 * contents alone; memory is bounded, whatever the size of the file.
 *
 * One thread makes it and takes what was found.
 */

#include "layers/index/image.h"

#include <sys/stat.h>

/* A file of so many bytes is worth the threads. */
enum { SHALE_ALIKE_FROM = 8 << 20 };

/* A place where file and parent have the same chunk. */
struct shale_alike_chunk {
	uint64_t off; /* in the file */
	const struct shale_tree *tree;
	uint32_t number; /* of the chunk, in that tree */
	uint32_t len;    /* SHALE_CHUNK_LONGEST at most */
	bool ends;       /* shale_pack_ends() is true of it */
};

struct shale_alike;

/*
 * Hold the file `fd` (a descriptor of its own is made) against inode `ino` of
 * `parent`, which outlives this, as does `chunks`.  `threads` 0: one a
 * processor.  NULL: it is not worth it (too small, sparse, no file, …), or
 * could not be done: without it everything comes out the same.
 */
struct shale_alike *shale_alike_new(int fd, const struct shale_image *parent,
				    uint64_t ino, struct shale_chunks *chunks,
				    unsigned threads);
/* Stop, whatever was found.  NULL is fine. */
void shale_alike_free(struct shale_alike *alike);

/* What the file was when that was begun. */
const struct stat *shale_alike_stat(const struct shale_alike *alike);

/*
 * Wait for the next place, in the order of the file.  False: there is no
 * further one.  A file that is found to have little in common with its parent
 * is not held against the rest of it.
 */
bool shale_alike_next(struct shale_alike *alike, struct shale_alike_chunk *out);

#endif
