/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_BLOB_BLOBS_SWEEP_H
#define SHALE_BLOB_BLOBS_SWEEP_H

/*
 * What gc asks of a directory of blobs: what is there, and to take some away,
 * but only the very files that it has seen: a blob that somebody has published
 * again meanwhile is another file, and stays.
 */

#include "layers/base/buf.h"
#include "layers/blob/blobs.h"

#include <sys/types.h>
#include <time.h>

/* A file as it was seen. */
struct shale_blob_seen {
	struct shale_digest digest;
	uint64_t size; /* bytes */
	ino_t ino;
	struct timespec time; /* of the last change of content or name */
};

/*
 * All blobs, struct shale_blob_seen appended to `out`.  What has no blob's name
 * or is no file is not ours.
 */
int shale_blobs_list(struct shale_blobs *blobs, struct shale_buf *out,
		     struct shale_err *err);

/*
 * Remove these, together; `removed[i]` says whether that one went.  Who puts
 * blobs there waits meanwhile.
 */
int shale_blobs_remove(struct shale_blobs *blobs,
		       const struct shale_blob_seen *seen, size_t n,
		       bool *removed, struct shale_err *err);

/* The later of a file's two times: what counts as its age. */
struct stat;
struct timespec shale_blob_time(const struct stat *st);

#endif
