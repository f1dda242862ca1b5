/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_BLOB_PACK_SEEN_H
#define SHALE_BLOB_PACK_SEEN_H

/*
 * Where one packer has put content that it saw before, by hash and length.
 * One thread.
 */

#include "layers/base/hash.h"

/* A run of content: bytes [off, off + len) of unit `unit` of the packer. */
struct shale_pack_place {
	struct shale_hash128 hash;
	uint32_t unit;
	uint32_t off;
	uint32_t len;
	bool packed; /* the unit is a pack */
};

struct shale_pack_seen;

struct shale_pack_seen *shale_pack_seen_new(void); /* NULL: no memory */
void shale_pack_seen_free(struct shale_pack_seen *seen);

/* The place of content with this hash and length, or NULL; good until the
 * next add. */
const struct shale_pack_place *
shale_pack_seen_find(const struct shale_pack_seen *seen,
		     const struct shale_hash128 *hash, uint32_t len);

/* Remember a place.  Its hash and length must not be known yet.  0 or -ENOMEM.
 */
int shale_pack_seen_add(struct shale_pack_seen *seen,
			const struct shale_pack_place *place);

#endif
