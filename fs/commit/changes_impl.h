/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_COMMIT_CHANGES_IMPL_H
#define SHALE_COMMIT_CHANGES_IMPL_H

/* What changes.c, which says what changed, and changes_find.c, which looks for
 * it, share. */

#include "fs/commit/changes.h"
#include "fs/commit/places.h"

/* What was found at a path; several may be at one. */
enum shale_seen { SHALE_SEEN_OLD, SHALE_SEEN_NEW, SHALE_SEEN_CHANGED };

struct shale_sighting {
	char *path;
	enum shale_seen seen;
	uint64_t ino;
	uint8_t type; /* S_IFMT >> 12 */
	char letter;  /* SHALE_SEEN_CHANGED: 'M' or 'm' */
};

/*
 * The comparison: the tree of the last commit (`old`) with that of the
 * workspace, which is the pinned base under the delta.
 */
struct shale_comparison {
	struct shale_records delta;
	struct shale_places places;
	struct shale_image *base;      /* what the delta lies on */
	const struct shale_index *old; /* of the last commit; may be base's */
	struct shale_image *old_image; /* if it is not base's */
	const struct shale_index *base_ix;
	struct shale_buf sightings; /* struct shale_sighting */
};

/* Note what each newer record, and all below a directory that came or went,
 * has to do with some path. */
int shale_changes_find(struct shale_comparison *c, struct shale_err *err);

#endif
