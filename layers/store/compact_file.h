/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_STORE_COMPACT_FILE_H
#define SHALE_STORE_COMPACT_FILE_H

/*
 * compact/NAME: a small JSON document that says "these trees, merged, are that
 * blob".  NAME is the SHA-256, in hex, of the trees' digests one after another,
 * bottom first.
 *
 *     {"digest":"sha256:…","size":N,"bottom":true,"trees":["sha256:…",…],
 *      "data":{"digest":"sha256:…","size":N}}
 *
 * `bottom`: tombstones are gone, so that it may only stand at the bottom.
 * `data`: the data blob that was made with it, if there is one.  A hint:
 * whoever doubts one removes it.
 */

#include "layers/store/version.h"

struct shale_compact_file {
	struct shale_layer_desc merged;
	struct shale_layer_desc data; /* made with it */
	bool has_data;
	bool bottom;
	struct shale_digest *trees;
	size_t n_trees;
};
void shale_compact_file_release(struct shale_compact_file *f);

enum { SHALE_COMPACT_NAME = 65, SHALE_COMPACT_TREES_MAX = 4096 };

/* -ENOMEM. */
int shale_compact_file_name(const struct shale_layer_desc *trees, size_t n,
			    char *name);

int shale_compact_file_decode(const void *data, size_t len,
			      struct shale_compact_file *out,
			      struct shale_err *err);
int shale_compact_file_encode(const struct shale_compact_file *f,
			      struct shale_buf *out, struct shale_err *err);

/* Read compact/NAME.  -ENOENT: none, or a damaged one that has been removed. */
int shale_compact_file_read(struct shale_store *store, const char *name,
			    struct shale_compact_file *out,
			    struct shale_err *err);
/* Write compact/NAME durably. */
int shale_compact_file_write(struct shale_store *store, const char *name,
			     const struct shale_compact_file *f,
			     struct shale_err *err);
void shale_compact_file_remove(struct shale_store *store, const char *name);

/*
 * Call `fn` for each prepared merge, until it returns other than 0, and return
 * that.  gc keeps the blobs of those whose trees are all still wanted, and
 * removes the others; see compact.h.
 */
int shale_compact_each(struct shale_store *store,
		       int (*fn)(void *arg, const char *name,
				 const struct shale_compact_file *f),
		       void *arg, struct shale_err *err);

#endif
