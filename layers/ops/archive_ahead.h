/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_OPS_ARCHIVE_AHEAD_H
#define SHALE_OPS_ARCHIVE_AHEAD_H

/*
 * What goes into an archive, in order, with contents read ahead: worker threads
 * decompress and check pieces of files into a few batches, while the calling
 * thread writes the batches before them.  Memory is that of the batches,
 * however large the files are.  One thread calls.
 */

#include "layers/index/image.h"
#include "layers/ops/archive_out.h"

struct shale_archive_ahead_opts {
	unsigned threads; /* 0: one a processor */
	/* May be NULL.  An entry was written; `lacks`: without that. */
	void (*written)(void *arg, const char *path, uint64_t size,
			const char *lacks);
	/* May be NULL: so many bytes of contents were written. */
	void (*progress)(void *arg, uint64_t len);
	void *arg;
};

struct shale_archive_ahead;

int shale_archive_ahead_new(struct shale_archive_ahead **out,
			    const struct shale_image *image,
			    struct shale_archive_out *to,
			    const struct shale_archive_ahead_opts *opts,
			    struct shale_err *err);
void shale_archive_ahead_free(struct shale_archive_ahead *ahead);

/*
 * Queue an entry.  Strings are copied; xattrs stay where they are, in the
 * image's index.  Any of these calls may write what was queued before, and so
 * fail as shale_archive_out_entry() does, or with what reading found:
 * -EUCLEAN, naming the entry.
 */
int shale_archive_ahead_member(struct shale_archive_ahead *ahead,
			       const struct shale_archive_member *member,
			       struct shale_err *err);
/* Queue `len` bytes at `off` of an inode, or a hole: they belong to the entry
 * queued last. */
int shale_archive_ahead_data(struct shale_archive_ahead *ahead, uint64_t ino,
			     uint64_t off, uint64_t len, struct shale_err *err);
int shale_archive_ahead_hole(struct shale_archive_ahead *ahead, uint64_t len,
			     struct shale_err *err);
/* Write all that is queued. */
int shale_archive_ahead_finish(struct shale_archive_ahead *ahead,
			       struct shale_err *err);

#endif
