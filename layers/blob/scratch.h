/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_BLOB_SCRATCH_H
#define SHALE_BLOB_SCRATCH_H

/*
 * Buffers for the stored form of chunks, used again: fresh memory of that size
 * costs a page fault every 4 KiB, more than the decompression.  Thread-safe.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct shale_scratch;

/*
 * Buffers of `size` bytes; longer ones are made, and not kept.  `huge`: as many
 * as a huge page has room for are parts of one, where the kernel has any.  What
 * a disk writes there directly is one piece of memory then, not one every 4 KiB
 * of it.  NULL: no memory.
 */
struct shale_scratch *shale_scratch_new(size_t size, bool huge);
void shale_scratch_free(struct shale_scratch *s);

/* At least `len` bytes from a page's start on, or NULL when out of memory. */
uint8_t *shale_scratch_take(struct shale_scratch *s, size_t len);
/* Give back what was taken with the same `len`. */
void shale_scratch_give(struct shale_scratch *s, uint8_t *data, size_t len);

#endif
