/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_INDEX_CONTENT_H
#define SHALE_INDEX_CONTENT_H

/*
 * Content of a regular file of an image, through the layers that patched it.
 * Nothing is flattened and nothing allocated: a resolved content is a small
 * value, and finding a piece is one binary search a level.
 */

#include "layers/blob/view.h"
#include "layers/index/index.h"

enum { SHALE_CONTENT_LEVELS = 64 };

struct shale_content {
	uint64_t size;
	struct shale_tree *const *trees; /* of the image, bottom first */
	unsigned n;                      /* levels, top first */
	struct {
		const struct shale_tree *tree;
		uint64_t first, count; /* extents */
		uint64_t limit;        /* what lies below shows up to here */
		uint32_t position;     /* of the tree in `trees` */
	} level[SHALE_CONTENT_LEVELS];
};

/* A piece of content: part of one extent, or a hole. */
struct shale_piece {
	uint64_t off, len;             /* in the file */
	const struct shale_tree *tree; /* NULL: hole */
	uint64_t extent;               /* number of the extent in `tree` */
	uint32_t chunk;                /* chunk of the first byte */
	uint32_t chunk_off;            /* its offset there; the piece may go on
					* through the chunks that follow */
};

/*
 * Resolve by looking the inode up in the trees of one image, bottom first; no
 * index needed.  -ENOENT: the image has no such inode; -EINVAL: not a regular
 * file; -EUCLEAN.
 */
int shale_content_resolve(struct shale_content *out,
			  struct shale_tree *const *trees, size_t n,
			  uint64_t ino, struct shale_err *err);

/* Resolve by an index over `trees` (all of the stack's). */
int shale_content_of(struct shale_content *out, const struct shale_index *ix,
		     struct shale_tree *const *trees, uint64_t ino,
		     struct shale_err *err);

/*
 * The piece that starts at `off` (below size), at most `max` bytes long;
 * neighbouring holes may come as several pieces.
 */
int shale_content_piece(const struct shale_content *c, uint64_t off,
			uint64_t max, struct shale_piece *out,
			struct shale_err *err);

/*
 * Read up to `len` bytes at `off`; `*got` is less only at the end of the file.
 * Holes are zeros.  -EUCLEAN: a damaged chunk, named.
 */
int shale_content_read(const struct shale_content *c,
		       struct shale_chunks *chunks, uint64_t off, void *out,
		       size_t len, size_t *got, struct shale_err *err);

/*
 * The same for who only hands it on: all of it is appended to `view`, which is
 * to be released, after an error too; `out` holds what is not in the cache.
 */
int shale_content_view(const struct shale_content *c,
		       struct shale_chunks *chunks, uint64_t off, void *out,
		       size_t len, struct shale_view *view,
		       struct shale_err *err);

/*
 * Content that will be read soon: chunks are gathered, and brought into their
 * cache many at a time.  Errors are left for the read to find.  `once`: as in
 * shale_chunks_prefetch().
 */
struct shale_wanted {
	struct shale_chunks *chunks;
	bool once;
	size_t n;
	uint64_t bytes; /* content of those in the list */
	struct shale_chunk list[SHALE_CHUNKS_LIST];
};

void shale_wanted_add(struct shale_wanted *w, const struct shale_content *c,
		      uint64_t off, uint64_t len);
void shale_wanted_bring(struct shale_wanted *w);

/*
 * SEEK_DATA and SEEK_HOLE: the next offset >= `off` that is data (hole).  The
 * end of the file is a hole.  -ENXIO past the end, or no data.
 */
int shale_content_seek(const struct shale_content *c, uint64_t off, bool data,
		       uint64_t *out, struct shale_err *err);

/*
 * How many bytes of [off, off + len) are not holes, as far as a bounded look
 * tells: exact for the first `steps` pieces (and, where no layer has patched the
 * content, without a look at its chunks); what lies behind them, and what cannot
 * be read, counts in full.  What stat shows as blocks is found with
 * SHALE_DATA_STEPS, from SHALE_HOLES_FROM bytes on: a smaller file is taken to
 * have no holes.
 */
enum { SHALE_HOLES_FROM = 65536, SHALE_DATA_STEPS = 256 };
uint64_t shale_content_data(const struct shale_content *c, uint64_t off,
			    uint64_t len, unsigned steps);

#endif
