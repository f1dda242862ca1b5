/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_TESTS_TREE_SAMPLE_H
#define SHALE_TESTS_TREE_SAMPLE_H

/* A small tree blob with something of everything in it. */

#include "layers/blob/tree_build.h"

/* Inode numbers; what each is. */
enum {
	DIR_INO = 1,
	BIG = 2,    /* three chunks, then a hole, then half a chunk */
	SMALL = 3,  /* packed */
	SMALL2 = 4, /* packed, the same content */
	LINK = 5,
	DEVICE = 6,
	PATCH = 7, /* two holes, joined, a bit of a chunk, two clones, joined */
	DEAD = 8,
	COPY = 9, /* a clone of the beginning of BIG */
	NEXT = 20,
	CHUNK = 1000, /* bytes of content */
};

/* A hash that stands for `n`. */
struct shale_hash128 sample_hash(uint64_t n);

/* The chunk at `off` (0, 500, 1000 or 1500) of the data blob. */
struct shale_chunk sample_chunk(uint64_t off);

/* Parts of the sample, for trees that are to be refused. */
void sample_add_inode(struct shale_tree_build *b, uint64_t ino, uint32_t mode,
		      uint64_t size, enum shale_content_kind content,
		      const struct shale_buf *xattrs);
void sample_add_name(struct shale_tree_build *b, uint64_t dir, const char *name,
		     uint64_t ino, uint32_t mode);
void sample_add_extent(struct shale_tree_build *b, uint64_t ino, uint64_t off,
		       uint64_t len, uint32_t chunk, uint32_t chunk_off,
		       const struct shale_hash128 *packed);

/* All inodes (names): `step` 1: first to last; -1: last to first. */
void sample_add_inodes(struct shale_tree_build *b, int step);
void sample_add_names(struct shale_tree_build *b, int step);
/* All extents of one inode, after all chunks. */
void sample_add_extents(struct shale_tree_build *b, uint64_t ino);
/* Chunks go first: their order is part of what is said. */
void sample_add_chunks(struct shale_tree_build *b);

/* The sample in a file, added in the order of `step`. */
int sample_build(int step, struct shale_digest *digest);
/* Open the tree in `fd`, and close that. */
struct shale_tree *sample_open(int fd);
struct shale_tree *sample_tree(void);

#endif
