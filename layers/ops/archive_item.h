/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_OPS_ARCHIVE_ITEM_H
#define SHALE_OPS_ARCHIVE_ITEM_H

/*
 * What libarchive says of an entry, checked and put into a batch: the one place
 * where an archive's header becomes an item.
 */

#include "layers/ops/archive_read.h"

struct archive_entry;

/*
 * Fill in an item for `e`, which is to stand at `path`; its strings go to the
 * heap of the reader's batch, which has room.  -EBADMSG: it says what cannot
 * be; -ENAMETOOLONG, and what shale_arrival_clean_path() refuses.
 */
int shale_archive_item_fill(struct shale_archive_reader *r,
			    struct archive_entry *e, const char *path,
			    struct shale_archive_item *item,
			    struct shale_err *err);

#endif
