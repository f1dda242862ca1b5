/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_TESTS_WORKSHOP_H
#define SHALE_TESTS_WORKSHOP_H

/*
 * For tests of the packer: one store, one image at a time under construction,
 * and all files that were fed, to be compared with what comes back.  Failures
 * end the test.
 */

#include "layers/blob/pack.h"

enum { KIB = 1024, MIB = 1024 * 1024, FILES = 4096 };

extern int dir;
extern struct shale_blobs *blobs;
extern struct shale_chunks *chunks;
extern struct shale_tree_build *build;
extern struct shale_pack *pack;
extern struct shale_err err;

/* What was fed, by inode number. */
extern struct fed {
	uint8_t *data;
	size_t len;
} fed[FILES];

struct image {
	struct shale_tree *tree;
	struct shale_digest tree_digest, data_digest;
	bool has_data;
	uint64_t size;
	struct shale_pack_stats stats;
};

void open_store(void);
void close_store(void);
unsigned tmp_files(void); /* left in the store's tmp/ */

/* Make `build` and `pack`. */
void begin_image(struct shale_tree *const *lower, size_t n, unsigned threads);
void add_inode(uint64_t ino, uint64_t size, bool patch);
/*
 * Feed `data`, which the workshop owns from here on, in pieces of up to `step`
 * bytes.
 */
void add_file(uint64_t ino, uint8_t *data, size_t len, size_t step);
/* Publish what was packed, and open the tree, checked. */
void end_image(struct image *image);

/* One mixed image of 399 files, with duplicates near and far. */
void make_mixed(struct image *image, unsigned threads, size_t step);

/* Content of one extent, through as many chunks as it has. */
void read_extent(const struct shale_tree *tree, const struct shale_extent *e,
		 uint8_t *out);
uint64_t count_extents(const struct shale_tree *tree, uint64_t ino);
struct shale_extent nth_extent(const struct shale_tree *tree, uint64_t ino,
			       uint64_t i);
/* Does every file that was fed come back? */
void compare_files(const struct image *image);

/* Compressible noise that `seed` decides; all of these are the caller's. */
uint8_t *noise(size_t len, uint64_t seed);
uint8_t *copy_of(const uint8_t *data, size_t len);
/* Noise with runs of zeros of all lengths and alignments. */
uint8_t *holey(size_t len, uint64_t seed);

#endif
