/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_WORKSPACE_SEGMENT_H
#define SHALE_WORKSPACE_SEGMENT_H

/*
 * Records of the journal, and reading them from a segment's file.  Trusts no
 * byte: a record is valid if magic, length, type, its own position and checksum
 * hold, and its body has the shape of its type.  Stateless.
 */

#include "layers/base/buf.h"
#include "layers/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct shale_record {
	unsigned type;       /* SHALE_JOURNAL_* */
	uint32_t thread;     /* tag of the thread that made it */
	uint64_t start, end; /* positions of its first byte, behind its last */
	uint64_t durable;    /* the journal was fsynced up to here */
	uint64_t connection; /* the request it answers, or zeros */
	uint64_t unique;
	/* Only of one that is appended: this thread has just written to a file
	 * of the same file system, for what the record says, and that went
	 * well. */
	bool follows;
	const uint8_t *body; /* points into what was decoded */
	size_t len;
};

/* Append the record's bytes; `start` counts, `end` does not. */
int shale_record_encode(const struct shale_record *record,
			struct shale_buf *out);

/*
 * Decode the record at position `at` from `len` bytes.  Returns 0; -EAGAIN when
 * its header is sound and `*need` bytes would be wanted to say more; -EUCLEAN.
 */
int shale_record_decode(const uint8_t *data, size_t len, uint64_t at,
			struct shale_record *out, size_t *need);

/* Called for each record; anything but 0 ends the reading and is returned. */
typedef int shale_record_fn(void *arg, const struct shale_record *record,
			    struct shale_err *err);

/*
 * Read records of the segment that begins at `start`, from position `from`
 * until one that is not valid, or that ends behind `to`.  `*end` is the
 * position behind the last record read.  `fn` may be NULL.
 */
int shale_segment_read(int fd, uint64_t start, uint64_t from, uint64_t to,
		       shale_record_fn *fn, void *arg, uint64_t *end,
		       struct shale_err *err);

/*
 * Is there a valid record anywhere from position `from` on, one that was
 * written when the journal was durable up to `durable` or further?
 */
int shale_segment_more(int fd, uint64_t start, uint64_t from, uint64_t durable,
		       bool *more, struct shale_err *err);

#endif
