/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_TESTS_DIFF_MODEL_H
#define SHALE_TESTS_DIFF_MODEL_H

/*
 * Random chains of layers, and what differs between two of them as a walk of
 * both whole trees says.  Contents are single chunks that are told apart by
 * their hashes, so that nothing is ever read.
 */

#include "layers/base/buf.h"
#include "layers/index/image.h"
#include "tests/unit/layers.h"

enum { INODES = 400, NAMES = 10 };

struct model_inode {
	uint32_t mode;  /* 0: none */
	uint32_t value; /* content of a file, target of a symlink */
	uint32_t uid;
	uint64_t mtime;
	bool touched, rewritten;
};

struct model {
	struct layers layers;
	size_t borrowed; /* trees that are another model's */
	struct model_inode in[INODES];
	uint64_t name[INODES][NAMES];
	bool said[INODES][NAMES];
	uint64_t next;
};

/* A number below `n`. */
uint64_t pick(uint64_t n);

/* One layer of random things; some more. */
struct model *new_model(void);
void grow(struct model *m, int layers);
/* Go on from the same layers. */
struct model *branch(const struct model *from);
void free_model(struct model *m);

/* Its index is the caller's, the rest the model's. */
struct shale_image image_of(struct model *m);

/* Append a line for each path that differs, as shale_diff() tells it. */
void expect(const struct model *a, const struct model *b,
	    struct shale_buf *out);

#endif
