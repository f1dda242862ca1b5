/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_OPS_LOAD_BLOBS_H
#define SHALE_OPS_LOAD_BLOBS_H

/*
 * Blobs that come in from a saved file, in any order: temporary files of the
 * store until it is known which of them are wanted.  One thread.
 */

#include "layers/base/buf.h"
#include "layers/store/store.h"

struct shale_load_blob {
	struct shale_digest digest;
	uint64_t size;
	char name[64]; /* under tmp/; "": the store has it already */
	bool wanted;
};

struct shale_load_blobs {
	struct shale_store *store;
	struct shale_buf list; /* struct shale_load_blob; by digest, once all
				* are there */
	uint64_t published, bytes;

	/* The blob that is coming. */
	struct shale_sha256 *sha;
	struct shale_load_blob now;
	int fd;
};

/* What was not published goes. */
void shale_load_blobs_release(struct shale_load_blobs *blobs);

int shale_load_blob_begin(struct shale_load_blobs *blobs,
			  const struct shale_digest *digest,
			  struct shale_err *err);
int shale_load_blob_data(struct shale_load_blobs *blobs, const void *data,
			 size_t len, struct shale_err *err);
/* -EBADMSG: its content has another digest. */
int shale_load_blob_end(struct shale_load_blobs *blobs, struct shale_err *err);

/* All are there.  -EBADMSG: one came twice. */
int shale_load_blobs_sort(struct shale_load_blobs *blobs,
			  struct shale_err *err);

/* After the sort; NULL: it did not come. */
struct shale_load_blob *
shale_load_blobs_find(const struct shale_load_blobs *blobs,
		      const struct shale_digest *digest);

/* Want a blob that came, or that the store has; `size` UINT64_MAX: any.
 * -EBADMSG: neither. */
int shale_load_blobs_want(struct shale_load_blobs *blobs,
			  const struct shale_digest *digest, uint64_t size,
			  struct shale_err *err);

/* The whole of a document, its digest checked; it is wanted from now on. For
 * shale_oci_version_read(); `blobs` is a struct shale_load_blobs. */
int shale_load_blobs_read(void *blobs, const struct shale_digest *digest,
			  size_t limit, struct shale_buf *out,
			  struct shale_err *err);

/* Make what is wanted durable blobs of the store. */
int shale_load_blobs_publish(struct shale_load_blobs *blobs,
			     struct shale_err *err);

#endif
