/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_WORKSPACE_PIECES_H
#define SHALE_WORKSPACE_PIECES_H

/*
 * The body of a record DATA of the journal (journal_disk.h): an inode, and
 * bytes of its data files.
 */

#include "layers/base/buf.h"

struct shale_data_piece {
	uint32_t epoch; /* of the data file */
	uint64_t off;
	const uint8_t *data;
	size_t len;
};

/* Begin a body: no pieces yet.  -ENOMEM */
int shale_pieces_begin(struct shale_buf *body, uint64_t ino);
/* Add one of `len` bytes (at least 1), which are for the caller to fill in;
 * NULL: no memory. */
uint8_t *shale_pieces_add(struct shale_buf *body, uint32_t epoch, uint64_t off,
			  size_t len);

/* The inode; `*data` and `*len` are the pieces then.  -EUCLEAN */
int shale_pieces_open(const uint8_t **data, size_t *len, uint64_t *ino);
/*
 * Take the first piece off the `*len` bytes at `*data`, which move on behind
 * it.  Returns 1; 0 at the end; -EUCLEAN.  Points into the data.
 */
int shale_pieces_next(const uint8_t **data, size_t *len,
		      struct shale_data_piece *out);

#endif
