/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_LIVE_SOURCE_H
#define SHALE_LIVE_SOURCE_H

/*
 * Contents of images by number: the pinned base, and those that were committed
 * since or that content was copied from, opened at first need.  Keeps resolved
 * contents of the inodes read last.  Thread-safe.
 */

#include "fs/live/live.h"

struct shale_source;

int shale_source_new(struct shale_source **out, struct shale_db *db,
		     const struct shale_image *base,
		     const struct shale_live_opts *opts, struct shale_err *err);
void shale_source_free(struct shale_source *source);

/* This is the base's number now. */
void shale_source_pin(struct shale_source *source, uint32_t number);

/* The content of an inode of image `number`, and what reads its chunks. */
int shale_source_content(struct shale_source *source, uint32_t number,
			 uint64_t ino, struct shale_content *out,
			 struct shale_chunks **chunks, struct shale_err *err);

/*
 * Bytes of [off, off + len) of it that are not holes, as shale_content_data()
 * finds; those of a whole file are kept.  What cannot be opened counts in full.
 */
uint64_t shale_source_data(struct shale_source *source, uint32_t number,
			   uint64_t ino, uint64_t off, uint64_t len);

/*
 * Read exactly `len` bytes at `off` of it; zeros past its end.  Follows
 * sequential readers.
 */
int shale_source_read(struct shale_source *source, uint32_t number,
		      uint64_t ino, uint64_t off, void *data, size_t len,
		      struct shale_err *err);

#endif
