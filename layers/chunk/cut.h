/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_CHUNK_CUT_H
#define SHALE_CHUNK_CUT_H

/*
 * Content-defined chunking: FastCDC with normalised cut points (Xia et al.,
 * "FastCDC: a Fast and Efficient Content-Defined Chunking Approach for Data
 * Deduplication", USENIX ATC 2016).  The gear table and the masks are part of
 * the format only in so far as sharing depends on them; readers do not care.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The fast compressor of liblz4 has twice as many places for what it saw as
 * long as its input is no longer than 64 KiB: beyond, chunks become larger.
 */
#define SHALE_CHUNK_MIN  (16u << 10)
#define SHALE_CHUNK_MEAN (44u << 10)
#define SHALE_CHUNK_MAX  (64u << 10)
/* The longest that any version has cut: what is followed may be so long. */
#define SHALE_CHUNK_LONGEST (256u << 10)

/*
 * Length of the first chunk of `data`.  `len` must be at least SHALE_CHUNK_MAX
 * unless the content ends there.  Returns 1 to SHALE_CHUNK_MAX (0 for len 0).
 * Pure.
 */
size_t shale_cut(const uint8_t *data, size_t len);

/*
 * Would shale_cut() cut behind these `len` bytes, whatever follows, if it came
 * so far?  Looks at no more than the last 64 of them.  Pure.
 */
bool shale_cut_behind(const uint8_t *data, size_t len);

/*
 * May these `len` bytes have been cut off because of what they are, by
 * shale_cut() or by one with longer chunks that an earlier version had, and not
 * because the content ended there?  Looks at no more than the last 64 of them.
 * Pure.
 */
bool shale_cut_once(const uint8_t *data, size_t len);

#endif
