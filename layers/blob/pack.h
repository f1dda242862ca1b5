/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_BLOB_PACK_H
#define SHALE_BLOB_PACK_H

/*
 * The packer: file contents in, a data blob and the tree's extents and chunks
 * out.
 *
 * One thread feeds it, file by file.  A file is a row of data segments and
 * holes: every all-zero run that is aligned to 4 KiB is a hole.  A segment of
 * at least SHALE_PACK_SMALL bytes is cut into chunks; a shorter one joins, in
 * order of arrival, a shared chunk (a *pack*) of up to SHALE_PACK_MAX bytes and
 * never spans two; a pack ends when the next segment would not fit, when it is
 * full, or when 8192 extents refer to it.  What is a duplicate, and what goes
 * into which pack, is decided in the feeding thread; compressing and hashing of
 * stored bytes run on workers, writing on a thread of its own, in order.  So
 * the blob's bytes depend on content, order and codec alone.  At most a few MiB
 * are in flight, whatever the size of the data.
 *
 * Content that comes in the row in which a lower tree has its chunks is
 * followed there: no cut is sought in it.  The cuts are the same.  Where the
 * caller has seen that content is that of a chunk of a lower tree, it need not
 * even be brought (shale_pack_same()).
 *
 * Sharing: a chunk or packed segment with the XXH3-128 of one in `lower` or of
 * an earlier one of this packer is referred to if its bytes are equal too; a
 * candidate that cannot be read is stored anew.
 *
 * An error of any thread is returned by the next call and by all after it; such
 * a packer can only be freed.
 */

#include "layers/blob/blobs.h"
#include "layers/blob/chunks.h"
#include "layers/blob/tree_build.h"

#define SHALE_PACK_SMALL (32u << 10)
#define SHALE_PACK_MAX   (128u << 10)

struct shale_pack_opts {
	struct shale_codec_choice codec;
	unsigned threads;                /* 0: one a processor */
	struct shale_tree *const *lower; /* where to look for duplicates, any
					  * order; open for the packer's life */
	size_t n_lower;
};

struct shale_pack_stats {
	uint64_t content;  /* bytes fed, holes included */
	uint64_t stored;   /* bytes of the data blob */
	uint64_t shared;   /* content bytes that were referred to */
	uint64_t followed; /* content bytes that came in a lower tree's row, in
			    * which no cut had to be sought */
	uint64_t new_chunks;
};

struct shale_pack;

/*
 * `chunks` reads candidates; `build` gets extents, chunks and blobs.  Both and
 * `blobs` outlive the packer.
 */
int shale_pack_new(struct shale_pack **out, struct shale_blobs *blobs,
		   struct shale_chunks *chunks, struct shale_tree_build *build,
		   const struct shale_pack_opts *opts, struct shale_err *err);

/*
 * Stop, at any moment, and drop what was written if it was not finished.  NULL
 * is fine.
 */
void shale_pack_free(struct shale_pack *pack);

/* Begin the content of inode `ino` at offset 0.  One file at a time. */
int shale_pack_begin(struct shale_pack *pack, uint64_t ino,
		     struct shale_err *err);
/* The next bytes of the file, at the current offset. */
int shale_pack_write(struct shale_pack *pack, const void *data, size_t len,
		     struct shale_err *err);
/* `len` zeros at the current offset, however many: costs nothing. */
int shale_pack_hole(struct shale_pack *pack, uint64_t len,
		    struct shale_err *err);
/*
 * Leave [offset, offset + len) unsaid (a patch that does not touch it): no
 * extent at all.
 */
int shale_pack_skip(struct shale_pack *pack, uint64_t len,
		    struct shale_err *err);
/*
 * Refer to `len` bytes at `chunk_off` of a chunk of another tree blob, without
 * reading it.  `packed` as in shale_tree_build_extent().
 */
int shale_pack_refer(struct shale_pack *pack, const struct shale_chunk *chunk,
		     uint32_t chunk_off, uint32_t len,
		     const struct shale_hash128 *packed, struct shale_err *err);
/*
 * Is `data`, at `off` of a file, cut off as a chunk whatever lies behind it, if
 * one begins here?  So there is no hole in it, nor may one begin at its end.
 * For content of a chunk of a lower tree, which has no cut within.
 */
bool shale_pack_ends(const uint8_t *data, size_t len, uint64_t off);
/*
 * The next bytes of the file are those of `chunk`, of a lower tree: each was
 * compared, its hash is theirs, and shale_pack_ends() is true of them.  Returns
 * 1: they were referred to, and cuts are as if they had been written; 0: where
 * they begin no chunk does, or it is not known yet, so they are to be written.
 */
int shale_pack_same(struct shale_pack *pack, const struct shale_chunk *chunk,
		    struct shale_err *err);
/*
 * Clone `len` bytes at `off` of inode `ino` of the image below the layer
 * (struct shale_disk_clone): no chunk is named.
 */
int shale_pack_clone(struct shale_pack *pack, uint64_t ino, uint64_t off,
		     uint64_t len, struct shale_err *err);
/*
 * End the file.  An all-zero tail shorter than a block is a hole as well.
 */
int shale_pack_end(struct shale_pack *pack, struct shale_err *err);

/*
 * Call after shale_pack_begin(): this file is a *patch*, so its holes, those
 * found in what is written among them, are said with extents of their own.
 * Without this call content is *replaced*: what no extent covers is hole.
 */
void shale_pack_patch(struct shale_pack *pack);

/*
 * Wait for everything, give the data blob's number its digest in `build`, and
 * hand over the temporary file, ready for shale_blobs_publish().  `out->fd` is
 * -1 when nothing new was stored (no blob).
 */
int shale_pack_finish(struct shale_pack *pack, struct shale_blob_tmp *out,
		      uint64_t *size, struct shale_pack_stats *stats,
		      struct shale_err *err);

/* What has been done so far, for progress.  Any thread. */
void shale_pack_progress(const struct shale_pack *pack,
			 struct shale_pack_stats *stats);

#endif
