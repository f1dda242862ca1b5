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

#define SHALE_CHUNK_MIN  (16u << 10)
#define SHALE_CHUNK_MEAN (64u << 10)
#define SHALE_CHUNK_MAX  (256u << 10)

/*
 * Length of the first chunk of `data`.  `len` must be at least SHALE_CHUNK_MAX
 * unless the content ends there.  Returns 1 to SHALE_CHUNK_MAX (0 for len 0).
 * Pure.
 */
size_t shale_cut(const uint8_t *data, size_t len);

/*
 * Would shale_cut() cut behind these `len` bytes, whatever follows, if it came
 * so far?  Looks at no more than the last 64 of them.  So of what is known to
 * be a chunk that was cut once, this tells that it would be cut off again.
 * Pure.
 */
bool shale_cut_behind(const uint8_t *data, size_t len);

#endif
