/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_OPS_FEED_H
#define SHALE_OPS_FEED_H

/*
 * One file's content on its way into the packer.  A file that may be as it was
 * is first held against the parent image's content; only when the two part is
 * it packed, the equal beginning included (the packer finds its chunks again).
 * So nothing is read twice and nothing unchanged is stored.
 */

#include "layers/blob/pack.h"
#include "layers/index/content.h"
#include "layers/ops/plan.h"

struct shale_feed {
	struct shale_pack *pack; /* these three are the importer's */
	struct shale_tree_build *build;
	struct shale_chunks *chunks;

	struct shale_content base; /* private from here on */
	uint64_t ino, at;
	bool comparing, packing;
	uint8_t *scratch;
};

void shale_feed_release(struct shale_feed *feed);

/* Begin the content of inode `ino`.  `base`: hold it against this, or NULL. */
int shale_feed_begin(struct shale_feed *feed, uint64_t ino,
		     const struct shale_content *base, struct shale_err *err);
int shale_feed_data(struct shale_feed *feed, const void *data, size_t len,
		    struct shale_err *err);
int shale_feed_hole(struct shale_feed *feed, uint64_t len,
		    struct shale_err *err);
/*
 * The next bytes are those of `chunk`, which the parent's content has at this
 * place, whole.  `ends`: shale_pack_ends() is true of them.
 */
int shale_feed_same(struct shale_feed *feed, const struct shale_chunk *chunk,
		    bool ends, struct shale_err *err);
/* End it; feed->at is its size. */
int shale_feed_end(struct shale_feed *feed, enum shale_plan_content *content,
		   struct shale_err *err);
/*
 * Give it up.  `*spent`: the packer has had some of it, so this inode number
 * can have no other content.
 */
int shale_feed_drop(struct shale_feed *feed, bool *spent,
		    struct shale_err *err);

#endif
