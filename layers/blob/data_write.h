/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_BLOB_DATA_WRITE_H
#define SHALE_BLOB_DATA_WRITE_H

/*
 * A data blob on its way: a temporary file that begins with the header and
 * takes stored chunks, one after another.  Its digest is computed and its
 * writing to the disk begun as it grows.  One thread at a time.
 */

#include "layers/blob/blobs.h"

struct shale_data_write {
	struct shale_blobs *blobs;
	struct shale_blob_tmp tmp; /* fd -1: not begun */
	struct shale_sha256 *sha256;
	uint64_t size;   /* bytes so far; where the next chunk will lie */
	uint64_t synced; /* bytes whose writing to disk was begun */
};

void shale_data_write_init(struct shale_data_write *w,
			   struct shale_blobs *blobs);
/* The temporary file goes, unless it was finished. */
void shale_data_write_release(struct shale_data_write *w);

/* Make the file; whatever was begun before goes. */
int shale_data_write_begin(struct shale_data_write *w, struct shale_err *err);
int shale_data_write_append(struct shale_data_write *w, const void *data,
			    size_t len, struct shale_err *err);

/* The file with its digest is the caller's, descriptor and all; `fd` -1: it was
 * never begun. */
void shale_data_write_finish(struct shale_data_write *w,
			     struct shale_blob_tmp *out, uint64_t *size);

#endif
