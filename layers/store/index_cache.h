/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_STORE_INDEX_CACHE_H
#define SHALE_STORE_INDEX_CACHE_H

/*
 * indexes/: merged trees by name.  A cache: any file in it may go at any time
 * (a mount hard-links the one that it uses), and a damaged one is built anew.
 * Several processes may use it; two that build one index both succeed.
 *
 * The name of an index is the SHA-256, in hex, of what it merges: for each
 * image of the stack, bottom first, the number of its trees (le32) and their
 * digests.
 */

#include "layers/store/store.h"
#include "layers/store/version.h"

enum { SHALE_INDEX_NAME = 65 }; /* with NUL */

/* Bounds of the cache; the least recently used go. */
#define SHALE_INDEXES_MAX       64
#define SHALE_INDEXES_MAX_BYTES (UINT64_C(4) << 30)

/* Name of the index of a stack of `n` versions.  -ENOMEM. */
int shale_index_name(struct shale_version *const *stack, size_t n, char *name);
/* Name of the index of one image that has just these trees.  -ENOMEM. */
int shale_index_name_trees(const struct shale_layer_desc *trees, size_t n,
			   char *name);

/*
 * Open an index file of this cache, whole or a patch; a patch's base is looked
 * for in the cache, and marked used.  -EUCLEAN: damaged; -ENOENT: its base is
 * gone.
 */
int shale_index_cache_open_file(struct shale_store *store, int fd,
				const char *name, struct shale_index **out,
				struct shale_err *err);

/* Open a cached index and mark it used.  -ENOENT: there is none that is good;
 * a bad one has been removed. */
int shale_index_cache_open(struct shale_store *store, const char *name,
			   struct shale_index **out, struct shale_err *err);

/* A descriptor of a cached index, for reading; the caller's. */
int shale_index_cache_fd(struct shale_store *store, const char *name, int *fd,
			 struct shale_err *err);

/* A file to build an index in; `tmp` (64 bytes) is its name.  Keep `*fd` open
 * until it is published: its lock says that somebody is at work. */
int shale_index_cache_create(struct shale_store *store, int *fd, char *tmp,
			     struct shale_err *err);

/*
 * Have `write` fill such a file, put it in place as `name`, and make room.
 * `*fd`, if `fd` is not NULL, is the file, and the caller's.  After an error
 * there is none.
 */
int shale_index_cache_make(struct shale_store *store, const char *name,
			   int (*write)(void *arg, int fd,
					struct shale_err *err),
			   void *arg, int *fd, struct shale_err *err);

/* Remove the least recently used beyond these bounds, and what builders that
 * died have left. */
int shale_index_cache_trim(struct shale_store *store, size_t max,
			   uint64_t max_bytes, struct shale_err *err);

#endif
