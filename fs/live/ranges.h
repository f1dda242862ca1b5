/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_LIVE_RANGES_H
#define SHALE_LIVE_RANGES_H

/*
 * The ranges of a content record: what shows of images below its data files.
 * Sorted, disjoint; neighbours that carry each other on are one.  Pure.
 */

#include "fs/live/record.h"

/*
 * The range that covers `off`, or NULL: then `*next` is where the next one
 * starts (UINT64_MAX: there is none).
 */
const struct shale_rec_range *shale_ranges_at(const struct shale_rec_content *c,
					      uint64_t off, uint64_t *next);

/* Take [off, end) out.  0 or -ENOMEM. */
int shale_ranges_cut(struct shale_rec_content *c, uint64_t off, uint64_t end);

/* Put one in, where nothing is. */
int shale_ranges_put(struct shale_rec_content *c,
		     const struct shale_rec_range *range);

#endif
