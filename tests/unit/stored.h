/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_TESTS_STORED_H
#define SHALE_TESTS_STORED_H

/*
 * Small images in a store, for tests: trees of empty files without a data
 * blob.  Any failure fails the test.
 */

#include "layers/blob/tree_build.h"
#include "layers/store/version.h"

/* A fresh store in a fresh directory. */
struct shale_store *stored_new(void);

/* A builder, and its blob in the store; the builder is freed. */
struct shale_tree_build *stored_begin(void);
struct shale_layer_desc stored_end(struct shale_store *store,
				   struct shale_tree_build *b,
				   uint64_t next_ino);

/* The root directory, a file, a file's end. */
void stored_root(struct shale_tree_build *b);
void stored_file(struct shale_tree_build *b, uint64_t ino, const char *name,
		 uint32_t mode);
void stored_gone(struct shale_tree_build *b, uint64_t ino, const char *name);

/*
 * Publish: the parent's trees (as they are) and one more that makes a file of
 * that name.  `parent` may be NULL, then the root is made too.
 */
struct shale_version *stored_publish(struct shale_store *store,
				     const struct shale_version *parent,
				     const char *file, const char *repo,
				     const char *tag, bool latest);

/* A digest for a number: of nothing that is stored, and of no other number. */
static inline struct shale_digest stored_digest(int n)
{
	struct shale_digest d;
	shale_sha256(&n, sizeof(n), &d);
	return d;
}

/* "sales:v1" must resolve to this version. */
void stored_is(struct shale_store *store, const char *ref,
	       const struct shale_version *v);

#endif
