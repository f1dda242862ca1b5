/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_BLOB_BUILD_IMPL_H
#define SHALE_BLOB_BUILD_IMPL_H

/*
 * A tree blob under construction: what tree_build.c collects and tree_write.c
 * sorts and writes.  Private to these two.
 */

#include "layers/base/buf.h"
#include "layers/blob/intern.h"
#include "layers/blob/tree_build.h"

#include <pthread.h>

#define SHALE_NO_BLOB UINT32_MAX

/* One of the different xattr lists. */
struct shale_build_list {
	uint64_t off; /* in `xattrs` */
	uint64_t out; /* in XATTRS, once written there */
	uint32_t len;
	bool written;
};

struct shale_build_blob {
	struct shale_digest digest;
	uint64_t size;
};

struct shale_tree_build {
	/* Records as they go to disk, but for what the sections' final order
	 * decides: name_off and symlinks' ref are offsets in `text`, xattr_off
	 * is a number in `lists`, chunks' blob one in `blobs`, a packed
	 * record's extent the extent's place in `extents`. */
	struct shale_buf inodes;
	struct shale_buf dirents;
	struct shale_buf text;
	struct shale_buf xattrs; /* lists, one after another */
	struct shale_buf lists;  /* struct shale_build_list */
	struct shale_intern list_ids;

	pthread_mutex_t lock; /* of all below */
	struct shale_buf extents;
	struct shale_buf packed;
	struct shale_buf chunks;
	struct shale_intern chunk_ids; /* by blob and offset */
	struct shale_buf blobs;        /* struct shale_build_blob */
	uint32_t own;                  /* number in it, or SHALE_NO_BLOB */
	bool own_known;                /* it has its digest */
	/* Where in the content of CHUNKS the last extent ended, for joining;
	 * UINT64_MAX: it takes no more. */
	uint64_t run_end;
};

#endif
