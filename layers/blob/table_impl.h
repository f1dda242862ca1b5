/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_BLOB_TABLE_IMPL_H
#define SHALE_BLOB_TABLE_IMPL_H

/* The inside of struct shale_table: table.c opens, table_get.c reads. */

#include "layers/base/map.h"
#include "layers/blob/table.h"
#include "layers/blob/table_disk.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

enum {
	SHALE_TABLE_NEAR = 2,   /* blocks: threads overtake each other */
	SHALE_TABLE_AHEAD = 64, /* blocks read ahead at most */
};

struct shale_table_section {
	uint64_t off;
	uint64_t count;
	uint64_t size; /* of a record */
};

/*
 * Where a section is touched for the first time, and how far the kernel was
 * told to read it.  Threads may overwrite each other: these are hints.
 */
struct shale_table_front {
	_Atomic uint64_t last, asked; /* blocks */
	atomic_uint run;              /* blocks in a row up to `last` */
};

/* Another copy of a file that is damaged. */
struct shale_table_backup {
	struct shale_table_spare spare;
	pthread_mutex_t lock;
	_Atomic(struct shale_table *) table;
	bool tried;
};

struct shale_table {
	struct shale_map map;
	const struct shale_table_kind *kind;
	struct shale_table_backup *backup; /* NULL: there can be none */
	char *name;
	const char *noun;
	unsigned sections;
	struct shale_table_section section[SHALE_TABLE_SECTIONS];
	uint64_t field[SHALE_TABLE_FIELDS];
	uint64_t body_end; /* where the checksum table begins */
	uint64_t blocks;
	_Atomic uint64_t *good;           /* a bit a block: its checksum held */
	struct shale_table_front *fronts; /* of each section */
};

/* Bytes that a section takes up in the body, its padding included. */
static inline uint64_t shale_table_extent(const struct shale_table_section *s)
{
	return (s->count * s->size + SHALE_TABLE_ALIGN - 1) /
	       SHALE_TABLE_ALIGN * SHALE_TABLE_ALIGN;
}

/* Compare a block with its checksum, and remember when it holds.  -EUCLEAN. */
int shale_table_check(const struct shale_table *t, uint64_t block,
		      struct shale_err *err);

#endif
