/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_STORE_TAKE_H
#define SHALE_STORE_TAKE_H

/*
 * Versions that were made elsewhere become versions of this store, all in one
 * step.  Nothing that is here is lost: a tag that is here moves only forward
 * along its line, unless it is asked to move anyhow.
 */

#include "layers/store/version.h"

enum shale_taken {
	SHALE_TAKEN_NEW,  /* the tag (or the untagged version) was not here */
	SHALE_TAKEN_SAME, /* it was here */
	SHALE_TAKEN_FORWARD, /* the tag named an ancestor, and moved */
	SHALE_TAKEN_OLDER,   /* the tag stays: it names a descendant here */
	SHALE_TAKEN_MOVED,   /* it named another line, and was made to move */
	SHALE_TAKEN_KEPT,    /* it names another line, and stays */
};

struct shale_take {
	const struct shale_version *version; /* its blobs are durable */
	const char *repo;
	const char *tag; /* NULL: none */
	uint64_t size;   /* struct shale_version_entry's */

	enum shale_taken outcome; /* set from here on */
	bool new_version;         /* the repository did not have it */
	struct shale_digest was;  /* what the tag named, unless NEW */
};

/*
 * Take them in.  Versions whose tag stays are taken in all the same, without
 * it.  `force`: tags move whatever they name.  -ENOKEY: a blob is not there.
 */
int shale_store_take(struct shale_store *store, struct shale_take *items,
		     size_t n, bool force, struct shale_err *err);

#endif
