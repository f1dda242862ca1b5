/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_STORE_OCI_ITEM_H
#define SHALE_STORE_OCI_ITEM_H

/*
 * One descriptor of index.json: a tag, or a version that has none.  JSON holds
 * no checksum of its own, and a flipped bit in a tag would pass for another
 * tag: so each of our descriptors carries one of what it says
 * (SHALE_ANN_CHECK), and other tools may add descriptors beside ours.
 *
 * SHALE_ANN_CHECK is the XXH3-64, as 16 hexadecimal digits, of these lines,
 * each ended by a newline: digest, size of the manifest, repository, tag (empty
 * if none), created, parent (empty if none), vnd.shale.size.
 */

#include "layers/store/json.h"
#include "layers/store/oci.h"

#define SHALE_ANN_NAME    "org.opencontainers.image.ref.name"
#define SHALE_ANN_CREATED "org.opencontainers.image.created"
#define SHALE_ANN_REPO    "vnd.shale.repository"
#define SHALE_ANN_PARENT  "vnd.shale.parent"
#define SHALE_ANN_SIZE    "vnd.shale.size"
#define SHALE_ANN_CHECK   "vnd.shale.check"

struct shale_oci_item {
	struct shale_version_entry entry;
	uint64_t manifest_size;
	json_t *doc; /* the descriptor, unknown fields and all */
};

void shale_oci_item_release(struct shale_oci_item *item);

/* Is this descriptor ours: it has our type, or what only we say? */
bool shale_oci_item_is_ours(const json_t *descriptor);

/* Fill `entry` and size from `doc`.  -EUCLEAN; what was set stays owned. */
int shale_oci_item_decode(struct shale_oci_item *item, struct shale_err *err);

/* Bring the JSON of the descriptor to what the entry says. */
int shale_oci_item_update(struct shale_oci_item *item, struct shale_err *err);

#endif
