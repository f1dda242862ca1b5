/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_STORE_TAGS_H
#define SHALE_STORE_TAGS_H

/*
 * Tags and versions of an index.json in memory.  A repository's last descriptor
 * of a version stays when its tag goes or moves, without one: so no version is
 * lost by that.  Pure.
 */

#include "layers/store/oci.h"

/* Position of a tag's descriptor; count if there is none. */
size_t shale_tags_find(const struct shale_oci_index *ix, const char *repo,
		       const char *tag);

/* How many descriptors a version has in a repository (NULL: in all). */
size_t shale_tags_descriptors(const struct shale_oci_index *ix,
			      const struct shale_digest *digest,
			      const char *repo);

/* Take the tag off descriptor `i`. */
int shale_tags_drop(struct shale_oci_index *ix, size_t i,
		    struct shale_err *err);

/* Point repo:tag at a version that has a descriptor somewhere. */
int shale_tags_move(struct shale_oci_index *ix,
		    const struct shale_digest *digest, const char *repo,
		    const char *tag, struct shale_err *err);

#endif
