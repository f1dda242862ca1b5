/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_BLOB_PIECES_H
#define SHALE_BLOB_PIECES_H

/*
 * Content of one file while trees are composed: a row of pieces, ascending and
 * not overlapping, in a shale_buf.  Private to this room.
 */

#include "layers/base/buf.h"

struct shale_compose_piece {
	uint64_t off, len; /* in the file */
	uint64_t skip;     /* into chunk `chunk` and those that follow it */
	uint64_t clone;    /* SHALE_CLONE: the inode; `skip` is the offset */
	uint32_t chunk;    /* of the source; SHALE_HOLE; SHALE_CLONE */
	uint32_t source;   /* which tree */
	uint32_t packed;   /* 1 + its number in PACKED there; 0: none.  Goes
			    * when the piece is cut. */
};

/* Lay `upper` over `lower`, the result replacing `lower`.  0 or -ENOMEM. */
int shale_pieces_overlay(struct shale_buf *lower,
			 const struct shale_buf *upper);

/* Cut off what lies at `end` and beyond. */
void shale_pieces_cut(struct shale_buf *list, uint64_t end);

/* Leave holes to be what no piece covers. */
void shale_pieces_drop_holes(struct shale_buf *list);

#endif
