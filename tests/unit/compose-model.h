/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_TESTS_COMPOSE_MODEL_H
#define SHALE_TESTS_COMPOSE_MODEL_H

/*
 * Trees are made of random layers over a small world, and read by the simplest
 * reader there can be: it applies record after record.  Composing any
 * neighbours must not change what it sees.
 */

#include "layers/blob/tree_build.h"

enum { INOS = 24, NAMES = 6, SIZE = 300, LAYERS = 6, CHUNKS = 8 };

/* One byte of content: which blob, where in it; 0: a zero. */
typedef uint32_t cell;

struct node {
	bool alive, dead; /* dead: was there once, and comes back never */
	struct shale_attr attr;
	char target[8];
	char xattr[8]; /* value of user.x; "": none */
	cell content[SIZE];
};

struct world {
	struct node node[INOS]; /* by inode number */
	uint64_t name[INOS][NAMES];
};

/* The layer being made, and the world as it will be. */
struct maker {
	struct shale_tree_build *build;
	struct world *world;
	struct world *before; /* the world below this layer */
	uint8_t layer;
	uint32_t chunk[CHUNKS];
	uint32_t len[CHUNKS], off[CHUNKS];
};

/* A number below `n`. */
unsigned below(unsigned n);

/* Have the layer's chunks made; have an extent. */
void make_chunks(struct maker *m);
void put_extent(struct maker *m, uint64_t ino, uint64_t off, uint32_t len,
		unsigned chunk, uint32_t chunk_off, bool packed);

/* A random layer over the world, which becomes what it says. */
struct shale_tree *make_layer(struct world *world, uint8_t layer);

/* What one extent says, into a content of SIZE cells. */
void read_extent(const struct shale_tree *t, const struct world *before,
		 const struct shale_extent *e, cell *out);

/* What the trees say, bottom first. */
void read_world(struct shale_tree *const *trees, size_t n, struct world *out);
void same_world(const struct world *got, const struct world *want);

#endif
