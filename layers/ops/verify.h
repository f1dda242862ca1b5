/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_OPS_VERIFY_H
#define SHALE_OPS_VERIFY_H

/*
 * Prove that versions are whole, in three depths:
 *
 *   structure  index.json, manifests and descriptions parse and agree; every
 *              blob is there with its size; all but data blobs have their
 *              digest; every record of every tree blob is good
 *   digests    data blobs have their SHA-256 too
 *   chunks     every chunk decompresses to what its XXH3-128 says, and its
 *              stored bytes have their SHA-256
 *
 * What several versions share is checked once.  Data is streamed; memory is
 * about 16 bytes for each chunk of the store.  Damage found becomes paths: of
 * which files of which versions which bytes cannot be read.
 */

#include "layers/store/version.h"

enum shale_verify_depth {
	SHALE_VERIFY_STRUCTURE,
	SHALE_VERIFY_DIGESTS,
	SHALE_VERIFY_CHUNKS,
};

/* A version to verify, and what to call it. */
struct shale_verify_root {
	struct shale_digest manifest;
	const char *name; /* "sales:v1", "workspace work" */
	bool merge;       /* also: do its layers make one tree? */
	/* what index.json says of it; NULL: it does not stand there */
	const struct shale_version_entry *entry;
};

/* One thing found.  Pointers are good for the call. */
struct shale_finding {
	enum {
		SHALE_FOUND_VERSION, /* a version, or a document of its own */
		SHALE_FOUND_BLOB,
		SHALE_FOUND_CHUNK,
		SHALE_FOUND_PATH,  /* bytes of a file that cannot be read */
		SHALE_FOUND_LAYER, /* a path of a layer that cannot be read */
		SHALE_FOUND_MORE,  /* so many further paths or versions */
		SHALE_FOUND_CACHE, /* a cache that was dropped: no damage */
	} kind;
	const char *why;                 /* all but paths */
	const struct shale_digest *blob; /* blob, chunk, layer */
	uint64_t offset, length;         /* chunk: stored; path: bytes */
	const char *version;             /* name; version, path, layer */
	const struct shale_digest *manifest;
	const char *path;
	size_t path_len;
	uint64_t more;
	bool more_versions; /* `more` counts versions, not paths */
};

struct shale_verify_opts {
	enum shale_verify_depth depth;
	unsigned threads; /* 0: one a processor */
	bool caches;      /* check indexes/ and compact/ too */
	/* Called by one thread at a time. */
	void (*found)(void *arg, const struct shale_finding *finding);
	/* Bytes read of those to read (0: not known yet); true: stop. */
	bool (*going)(void *arg, uint64_t done, uint64_t total);
	void *arg;
};

struct shale_verify_result {
	uint64_t versions, blobs, chunks, bytes; /* looked at */
	uint64_t damaged; /* versions that cannot be had whole */
};

/*
 * Verify these versions.  Returns 0, also when damage was found (which
 * `result` counts); -EINTR: `going` said so; else a failure of ours.
 */
int shale_verify(struct shale_store *store,
		 const struct shale_verify_root *roots, size_t n,
		 const struct shale_verify_opts *opts,
		 struct shale_verify_result *result, struct shale_err *err);

#endif
