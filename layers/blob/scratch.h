/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_BLOB_SCRATCH_H
#define SHALE_BLOB_SCRATCH_H

/*
 * Buffers for the stored form of one chunk, used again: fresh memory of that
 * size costs a page fault every 4 KiB, more than the decompression.
 * Thread-safe.
 */

#include <stddef.h>
#include <stdint.h>

struct shale_scratch;

struct shale_scratch *shale_scratch_new(void); /* NULL: no memory */
void shale_scratch_free(struct shale_scratch *s);

/* At least `len` bytes, or NULL when out of memory. */
uint8_t *shale_scratch_take(struct shale_scratch *s, size_t len);
/* Give back what was taken with the same `len`. */
void shale_scratch_give(struct shale_scratch *s, uint8_t *data, size_t len);

#endif
