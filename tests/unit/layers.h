/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_TESTS_LAYERS_H
#define SHALE_TESTS_LAYERS_H

/*
 * Layers written by hand, for tests of what reads them: up to LAYERS_MAX trees
 * in memory, bottom first, and the index of them.  Any failure fails the test.
 */

#include "layers/blob/tree_build.h"
#include "layers/index/index.h"

#include <sys/stat.h>

enum { LAYERS_MAX = 80 };

struct layers {
	struct shale_tree_build *top; /* the layer being written, or NULL */
	struct shale_tree *tree[LAYERS_MAX];
	struct shale_digest digest[LAYERS_MAX];
	size_t n;
	uint64_t next_ino;
	struct shale_err err;
};

/* An unlinked file in memory. */
int layers_memfd(void);

/* Layers whose inode numbers are all below `next_ino`; pairs with _end. */
struct layers layers_begin(uint64_t next_ino);
void layers_end(struct layers *l);

/* Write on in the layer on top; layers_push() ends it. */
void layers_inode(struct layers *l, uint64_t ino, uint32_t mode);
void layers_symlink(struct layers *l, uint64_t ino, const char *target);
void layers_content(struct layers *l, uint64_t ino,
		    enum shale_content_kind kind, uint64_t size,
		    uint64_t limit);
void layers_hole(struct layers *l, uint64_t ino, uint64_t off, uint64_t len);
void layers_gone(struct layers *l, uint64_t ino);
void layers_full(struct layers *l, const struct shale_inode *in);
void layers_name(struct layers *l, uint64_t dir, const char *name, uint64_t ino,
		 uint32_t type);
void layers_no_name(struct layers *l, uint64_t dir, const char *name);
void layers_push(struct layers *l);

/* A layer that holds the root directory only. */
void layers_push_root(struct layers *l);

/* Merge all layers; `prefix` as in shale_index_merge(). */
int layers_try_index(struct layers *l, const struct shale_index *prefix,
		     int *fd);
struct shale_index *layers_index(struct layers *l);

/* Open an index and check all of it. */
struct shale_index *layers_open_index(int fd);

/* All bytes of a file, freshly allocated. */
void *layers_bytes(int fd, size_t *len);

#endif
