/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_BLOB_DATA_DISK_H
#define SHALE_BLOB_DATA_DISK_H

/*
 * A data blob, transcribed from docs/format.md 5: this header, then the stored
 * bytes of chunks one after another, with nothing between and nothing behind.
 * Where a chunk lies, and how to check it, only tree blobs say.
 */

#include "layers/base/bytes.h"

#define SHALE_DATA_MAGIC   "SHALEDAT"
#define SHALE_DATA_VERSION 1

struct shale_disk_data {
	uint8_t magic[8];    /* +0x00  SHALE_DATA_MAGIC, no NUL */
	struct le16 version; /* +0x08  SHALE_DATA_VERSION */
	uint8_t reserved[6]; /* +0x0a  0 */
};                           /* +0x10 */
static_assert(sizeof(struct shale_disk_data) == 0x10, "docs/format.md 5");

#endif
