/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_COMMIT_PLACES_H
#define SHALE_COMMIT_PLACES_H

/*
 * Where inodes stand in a workspace's tree: the pinned base's names under those
 * among the records.  One thread.
 */

#include "fs/commit/records.h"
#include "layers/index/index.h"

struct shale_places {
	const struct shale_records *records; /* names loaded */
	const struct shale_index *base;
	uint64_t dir; /* private: the directory asked for last, and its path */
	char *path;
};
void shale_places_release(struct shale_places *places);

/*
 * Path of a directory, "" for the root; good until the next call.  -ENOENT: it
 * is gone, or something above it.
 */
int shale_places_dir(struct shale_places *places, uint64_t ino,
		     const char **path);

/*
 * Call `fn` for every name of `ino` (the root has "" in ""), until it returns
 * anything but 0, which is returned.
 */
typedef int shale_place_fn(void *arg, const char *dir, const char *name,
			   size_t len);
int shale_places_each(struct shale_places *places, uint64_t ino,
		      shale_place_fn *fn, void *arg);

#endif
