/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_BLOB_BLOBS_H
#define SHALE_BLOB_BLOBS_H

/*
 * A directory of blobs named by their SHA-256 (`blobs/sha256/<hex>` of an OCI
 * image layout), and the temporary files that become blobs.  Open descriptors
 * are kept in a bounded cache.  Thread-safe.
 */

#include "layers/base/err.h"
#include "layers/base/hash.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct shale_blobs;

/*
 * `dirfd`: the directory that holds `blobs/sha256` and `tmp`; duplicated.  Both
 * must exist.
 */
int shale_blobs_open(struct shale_blobs **out, int dirfd,
		     struct shale_err *err);
void shale_blobs_close(struct shale_blobs *blobs);

/* Open a blob for reading; the descriptor is the caller's.  -ENOENT. */
int shale_blobs_get(struct shale_blobs *blobs,
		    const struct shale_digest *digest, int *fd,
		    struct shale_err *err);

bool shale_blobs_has(struct shale_blobs *blobs,
		     const struct shale_digest *digest);

/*
 * Is it there, for somebody who will name it?  Then it is young from now on
 * (as one that is published again): it may be garbage that gc is about to
 * remove.  0; -ENOENT: it must be brought.
 */
int shale_blobs_refresh(struct shale_blobs *blobs,
			const struct shale_digest *digest,
			struct shale_err *err);

/*
 * Read `len` bytes at `off` of a blob through the descriptor cache.  -ENOENT:
 * no such blob here; -EUCLEAN: it ends before.
 */
int shale_blobs_pread(struct shale_blobs *blobs,
		      const struct shale_digest *digest, void *data, size_t len,
		      uint64_t off, struct shale_err *err);

/*
 * The same for what is needed once: past the kernel's page cache, unless that
 * has it or the file system cannot.  `room` starts at a page and has `len` +
 * SHALE_BLOBS_SLACK bytes; `*data` is where in it the bytes lie.
 */
enum { SHALE_BLOBS_SLACK = 2 * 4096 };
int shale_blobs_pread_once(struct shale_blobs *blobs,
			   const struct shale_digest *digest, uint8_t *room,
			   size_t len, uint64_t off, const uint8_t **data,
			   struct shale_err *err);

/*
 * From now on the kernel reads nothing beyond what is asked for: for who reads
 * at random places, or looks ahead himself.  Without `direct`, all goes through
 * the page cache.
 */
void shale_blobs_scatter(struct shale_blobs *blobs, bool direct);

/* A file under tmp/ that will become a blob.  `name` has at least 64 bytes. */
int shale_blobs_create(struct shale_blobs *blobs, int *fd, char *name,
		       struct shale_err *err);

/*
 * Make temporary files durable together and rename them to their digests:
 * fsync of each (syncfs from eight on), rename, fsync of the directory once.
 * A blob that is there is replaced by the same bytes, in a file that is young:
 * the old one may be garbage that gc is about to remove.  After an error
 * nothing is half done: what was renamed is a blob that nobody names yet.
 */
struct shale_blob_tmp {
	int fd; /* stays the caller's; of eight or more, the first one's does
		 * for all */
	char name[64];
	struct shale_digest digest;
};
int shale_blobs_publish(struct shale_blobs *blobs,
			const struct shale_blob_tmp *files, size_t n,
			struct shale_err *err);

/* Drop a temporary file. */
void shale_blobs_abandon(struct shale_blobs *blobs, const char *name);

/* Store a small blob (a manifest, a config) durably. */
int shale_blobs_put(struct shale_blobs *blobs, const void *data, size_t len,
		    struct shale_digest *digest, struct shale_err *err);

/* The whole of a small blob, its digest checked.  -EFBIG over `limit`. */
struct shale_buf;
int shale_blobs_read(struct shale_blobs *blobs,
		     const struct shale_digest *digest, size_t limit,
		     struct shale_buf *out, struct shale_err *err);

#endif
