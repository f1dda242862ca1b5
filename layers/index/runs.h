/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_INDEX_RUNS_H
#define SHALE_INDEX_RUNS_H

/*
 * The names of a directory that several images of a stack share: a run of
 * entries an image, walked together.  One thread.
 */

#include "layers/index/index.h"

struct shale_buf;

/* An inode of one image (*part*) of the stack, as one number. */
static inline uint64_t shale_part_ino(uint32_t part, uint64_t ino)
{
	return (uint64_t)part << 40 | ino;
}

static inline uint32_t shale_part_of(uint64_t part_ino)
{
	return (uint32_t)(part_ino >> 40);
}

static inline uint64_t shale_ino_of(uint64_t part_ino)
{
	return part_ino & SHALE_INO_MAX;
}

/* What is left of one image's directory. */
struct shale_run {
	uint32_t part;
	uint64_t at, end;
	struct shale_entry entry; /* the one at `at`, while a name is sought */
};

/*
 * Append to `runs` a run for each of the `n` directories `dirs` (part_ino,
 * bottom first).  -EUCLEAN: one of them is none.
 */
int shale_runs_open(struct shale_index *const *parts, const uint64_t *dirs,
		    uint64_t n, struct shale_buf *runs, struct shale_err *err);

/*
 * The next name: returns 1 with the entry that stands and the inodes that make
 * it up (part_ino, top first; `found` has room for `n`), 0 after the last.  A
 * directory takes in those right below it; what is no directory hides all
 * below.
 */
int shale_runs_next(struct shale_index *const *parts, struct shale_run *runs,
		    size_t n, struct shale_entry *out, uint64_t *found,
		    size_t *n_found, struct shale_err *err);

#endif
