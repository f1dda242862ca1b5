/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_LIVE_BODY_H
#define SHALE_LIVE_BODY_H

/*
 * The content of one regular file, for the time of one operation: its C record
 * and the maps of its data files, changed in memory, stored as part of a
 * change.  Reading and changing below the same inode lock: shared or exclusive.
 *
 * Data is written to the active data file at once (L4); it counts from when the
 * change is committed.  What lies behind the file's size, or in blocks that do
 * not count, may be anything: it is overwritten or zeroed before it shows.
 */

#include "fs/live/blockmap.h"

#include <sys/stat.h>

struct shale_body {
	struct shale_live *live;
	uint64_t ino;
	struct shale_rec_content c;
	bool dirty;      /* c is to be stored */
	bool same_epoch; /* it is not changed by that */
	bool wrote;      /* to a data file, and the last time that went well */
	bool lent;       /* c.size, and all that is below it, is the host's */
	struct stat host; /* of its data file, then */
	struct shale_blockmap map;
	uint64_t old_size;
	uint64_t reserved;     /* blocks that are counted already */
	struct shale_err *err; /* words for damage; NULL unless it is set */
	uint64_t freed;
};
#define cleanup_body __attribute__((cleanup(shale_body_release)))

/* -EINVAL: not a regular file; -ESTALE. */
int shale_body_load(struct shale_body *body, struct shale_live *live,
		    uint64_t ino);
/* The same when the node is known. */
int shale_body_of(struct shale_body *body, struct shale_live *live,
		  const struct shale_live_node *node);
/* What was reserved and not handed to a change is given back. */
void shale_body_release(struct shale_body *body);

/*
 * Size of a regular file, times of one that is lent, and the bytes that it
 * takes: blocks of data files that count, and data of images that shows.  Found
 * by a bounded look: what it did not come to counts as if it had no holes.
 */
int shale_body_stat(struct shale_live *live, const struct shale_live_node *node,
		    struct shale_node *out, uint64_t *space);

/* ---------------------------------------------------------------- reading */

enum shale_piece_kind {
	SHALE_PIECE_HOLE,
	SHALE_PIECE_FILE,
	SHALE_PIECE_RANGE,
};
struct shale_body_piece {
	enum shale_piece_kind kind;
	uint64_t len;
	uint32_t epoch;               /* of the data file */
	struct shale_rec_range range; /* cut to the piece */
};

/* What shows at `off` (below size), up to `max` bytes. */
int shale_body_piece(struct shale_body *body, uint64_t off, uint64_t max,
		     struct shale_body_piece *out);

/* Read exactly `len` bytes; zeros past the end. */
int shale_body_read(struct shale_body *body, uint64_t off, void *data,
		    size_t len);

/*
 * The next data, or the next hole, at or after `off` (below size); there is a
 * hole at the end of every file.  -ENXIO: no more data.
 */
int shale_body_seek(struct shale_body *body, uint64_t off, bool data,
		    uint64_t *out);

/* --------------------------------------------------------------- changing */

/* -EDQUOT, -EFBIG, -ENOSPC, -EIO. */
int shale_body_write(struct shale_body *body, uint64_t off, const void *data,
		     size_t len);
int shale_body_resize(struct shale_body *body, uint64_t size);

/* Zeros, not stored, in [off, end), which ends at or before size. */
int shale_body_punch(struct shale_body *body, uint64_t off, uint64_t end);

/*
 * Show `range` of an image; its offset is that of a block, and so is its end
 * unless it is, or becomes, the end of the file.  `image` of NULL-like ranges
 * (ino 0): a hole.
 */
int shale_body_refer(struct shale_body *body,
		     const struct shale_rec_range *range);

/* Put what changed into the change.  Says whether anything did: nothing that is
 * lent does. */
bool shale_body_store(struct shale_body *body, struct shale_change *ch);

/* All of a node's content counts as changed now: see shale_live_link(). */
int shale_body_renew(struct shale_change *ch,
		     const struct shale_live_node *node);

#endif
