/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_OPS_ARCHIVE_READ_H
#define SHALE_OPS_ARCHIVE_READ_H

/*
 * A thread that reads an archive by libarchive, ahead of the one that packs it:
 * decompressing overlaps cutting.  Trusts nothing of what the archive says:
 * paths come out clean, types are known ones, sizes and lengths in bounds.
 *
 * Formats are those that carry their contents (tar, cpio, zip, 7z, ar, iso9660,
 * …), not those that name files elsewhere (mtree).
 */

#include "layers/ops/arrival.h"
#include "layers/ops/exclude.h"
#include "layers/ops/ring.h"
#include "layers/ops/xattrs.h"

#include <pthread.h>

enum shale_archive_kind {
	SHALE_ARCHIVE_ENTRY, /* an arrival; see shale_archive_arrival() */
	SHALE_ARCHIVE_DATA,  /* len bytes at `at` of the batch */
	SHALE_ARCHIVE_HOLE,  /* len */
	SHALE_ARCHIVE_END,   /* of the content; only after an entry that has
			      * any: a regular file, or a link with data */
	SHALE_ARCHIVE_FAIL,  /* message at `at` of the heap; the last item */
};

struct shale_archive_item {
	enum shale_archive_kind kind;
	int error;
	bool has_content; /* data and SHALE_ARCHIVE_END follow */
	bool no_size;     /* attr.size is known at the end only */
	bool is_link;
	size_t at;
	uint64_t len;
	struct shale_attr attr;
	uint32_t path_len, target_len, link_len, xattr_len;
};

struct shale_archive_reader {
	int fd;           /* of the archive, at its start */
	const char *name; /* for messages */
	bool sequential;  /* fd is a pipe, or to be treated as one */
	enum shale_xattr_policy xattrs;
	const struct shale_exclude *exclude;
	bool no_trailer; /* a tar may end without one: layers of some tools do
			  */
	struct shale_ring *ring;
	/* Of all bytes, if it is sequential. */
	struct shale_sha256 *sha;
	uint64_t piped;

	pthread_t thread; /* private from here on */
	struct shale_batch *batch;
	struct shale_buf pipe;
	bool running;
	bool decimal_times; /* libarchive gives a pax header's number as it
			     * stands: the sign is the seconds' alone */
};

/* The fields above the line are set, but for `ring`; start reading. */
int shale_archive_reader_start(struct shale_archive_reader *reader,
			       struct shale_err *err);
/* Wait for the thread, after shale_ring_stop() or the last batch: `sha` and
 * `piped` are complete. */
void shale_archive_reader_join(struct shale_archive_reader *reader);
/* Free everything, after the join. */
void shale_archive_reader_release(struct shale_archive_reader *reader);

/*
 * At the end of a tar: does it just stop, without the blocks of zeros that end
 * one?  It was cut between two entries; libarchive takes that for the end.
 */
struct archive;
bool shale_archive_tar_cut(struct archive *a);

/* What an entry item says; points into the batch. */
void shale_archive_arrival(const struct shale_batch *batch,
			   const struct shale_archive_item *item,
			   struct shale_arrival *out);

#endif
