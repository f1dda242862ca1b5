/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_LIVE_DISCARD_H
#define SHALE_LIVE_DISCARD_H

/*
 * Back to the last committed image: private to the files of
 * shale_live_discard() (live.h).  A name, or an inode, is *reset*: its records
 * say what the image says, as of the last commit, or go.  Resetting twice is
 * resetting once.
 *
 *   discard.c        everything, as batches that a later open would finish
 *   discard_name.c   one name
 *   discard_inode.c  one inode
 *   discard_paths.c  some paths, as one batch
 *   discard_scope.c  what is at and below these
 *
 * All of it runs with `freeze` and `names` held exclusively: nobody else
 * changes anything.
 */

#include "fs/live/change.h"
#include "layers/index/index.h"

struct shale_discard {
	struct shale_live *live;
	const struct shale_index *last; /* of the last committed image */
	bool pinned;                    /* that is the one that is mounted */
	struct shale_image *opened;     /* if it is not */
	struct shale_change ch;         /* the batch under construction */

	struct shale_buf dirs;   /* struct shale_discard_dir of this batch */
	size_t first;            /* inode of this batch */
	struct shale_buf inodes; /* uint64_t: what the kernel must forget … */
	struct shale_buf names; /* … struct shale_discard_stale and the bytes */
};

/* A directory that names get new offsets in: its I record, as it becomes. */
struct shale_discard_dir {
	uint64_t ino;
	struct shale_rec_attr attr;
};

struct shale_discard_stale {
	uint64_t dir;
	size_t len;
};

int shale_discard_begin(struct shale_discard *d, struct shale_live *live,
			struct shale_err *err);
void shale_discard_release(struct shale_discard *d);
/* Make what was reset since the last time one batch. */
int shale_discard_flush(struct shale_discard *d);

/* `rec` is what is there now. */
int shale_discard_name(struct shale_discard *d, uint64_t dir, const char *name,
		       size_t len, const struct shale_rec_name *rec);

/* The I record as it is now, changes of this batch to its counter of names
 * included.  -ENOENT. */
int shale_discard_attr(struct shale_discard *d, uint64_t ino,
		       struct shale_rec_attr *out);

/*
 * `rec` is the I record that is there now; the inode has `links` names
 * afterwards.  The image's values if it has the inode, or it goes.
 */
int shale_discard_inode(struct shale_discard *d, uint64_t ino,
			const struct shale_rec_attr *rec, uint32_t links);

/* The same, but all that changes is how many names it has. */
int shale_discard_links(struct shale_discard *d, uint64_t ino,
			const struct shale_rec_attr *rec, uint32_t links);

/* As many as the image gives it; 0: it has no such inode. */
int shale_discard_image_links(struct shale_discard *d, uint64_t ino,
			      uint32_t *links);

/* Reset what is at and below some paths.  See live.h. */
int shale_discard_paths(struct shale_discard *d, const char *const *paths,
			size_t n, struct shale_err *err);

/* Go on with a discard that was begun before the last process ended. */
int shale_discard_resume(struct shale_live *live, struct shale_err *err);

#endif
