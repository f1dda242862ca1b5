/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_STORE_OCI_ADOPT_H
#define SHALE_STORE_OCI_ADOPT_H

/*
 * Shale images that another tool has put into an index.json (`skopeo copy`):
 * their descriptors have a digest and perhaps a name, but nothing of what ours
 * say.  What is missing is in manifest and description.
 */

#include "layers/store/oci.h"

/* Append a whole document, its digest checked.  -ENOENT: it is not there. */
typedef int shale_read_document_fn(void *arg, const struct shale_digest *digest,
				   size_t limit, struct shale_buf *out,
				   struct shale_err *err);

/*
 * A version by its manifest's digest, without repository and tags.  -ENOENT;
 * -EUCLEAN; -EPROTONOSUPPORT: no Shale image, or a newer one.
 */
int shale_oci_version_read(shale_read_document_fn *read, void *arg,
			   const struct shale_digest *digest,
			   struct shale_version **out, struct shale_err *err);

/*
 * Make entries of the foreign descriptors that name Shale images; the others
 * stay as they are.  A name that is a reference says repository and tag ("v2"
 * alone is v2:latest); without one it is an untagged version of the repository
 * "unnamed".
 */
int shale_oci_adopt(struct shale_oci_index *ix, shale_read_document_fn *read,
		    void *arg, struct shale_err *err);

#endif
