/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_BLOB_BUILD_IMPL_H
#define SHALE_BLOB_BUILD_IMPL_H

/*
 * A tree blob under construction: what tree_build.c and build_content.c
 * collect, build_order.c sorts and tree_write.c writes.  Private to these.
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
	struct shale_buf clones; /* struct shale_disk_clone */
	struct shale_buf chunks;
	struct shale_intern chunk_ids; /* by blob and offset */
	struct shale_buf blobs;        /* struct shale_build_blob */
	uint32_t own;                  /* number in it, or SHALE_NO_BLOB */
	bool own_known;                /* it has its digest */
	struct shale_buf forgotten;    /* uint64_t: inodes without extents */
	/* Where in the content of CHUNKS the last extent ended, for joining;
	 * UINT64_MAX: it takes no more. */
	uint64_t run_end;
};

/* Buffers as arrays of records. */
#define RECORDS(buf, type)    ((type *)(buf).data)
#define N_RECORDS(buf, type)  ((buf).len / sizeof(type))
#define RECORD(buf, type, at) (RECORDS(buf, type)[at])

/*
 * In which order records go out: an array of numbers, NULL where they were
 * added in order, as a walk adds them.
 */
struct shale_build_order {
	uint32_t *inodes;     /* by number */
	uint32_t *dirents;    /* by directory and name */
	uint32_t *extents;    /* by inode and offset */
	uint32_t *chunks;     /* by hash and number: CHUNKSORT */
	uint32_t *blobs;      /* those that CHUNKS name, in that order */
	uint32_t *blob_place; /* number in BLOBS, or SHALE_NO_BLOB */
	uint32_t n_blobs;
};

static inline uint32_t shale_build_nth(const uint32_t *order, uint64_t i)
{
	return order ? order[i] : (uint32_t)i;
}

/*
 * Drop what is forgotten and find the orders.  Packed records are brought in
 * theirs on the spot, and name extents by their place in EXTENTS afterwards.
 * Double keys are next to each other, for the writer to find.  Release `out`
 * also after an error.
 */
int shale_build_order_make(struct shale_tree_build *b,
			   struct shale_build_order *out,
			   struct shale_err *err);
void shale_build_order_release(struct shale_build_order *order);

/* Keys of two dirents of `b`, given by number: below, equal, above zero. */
int shale_build_dirent_order(const void *a, const void *b, void *build);

#endif
