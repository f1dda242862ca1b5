/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_BASE_BUF_H
#define SHALE_BASE_BUF_H

/*
 * A growable run of bytes, also used as a vector of fixed-size records.  Zero
 * initialised is empty.  Not thread-safe.
 */

#include <stddef.h>
#include <stdint.h>

struct shale_buf {
	uint8_t *data;
	size_t len; /* bytes in use */
	size_t cap; /* bytes allocated */
};

#define cleanup_buf __attribute__((cleanup(shale_buf_release)))

/* Free the memory; the buffer is empty again.  NULL is fine. */
void shale_buf_release(struct shale_buf *buf);

/* Make room for `more` further bytes.  Returns 0 or -ENOMEM. */
int shale_buf_reserve(struct shale_buf *buf, size_t more);

/* Append `len` bytes.  Returns 0 or -ENOMEM. */
int shale_buf_append(struct shale_buf *buf, const void *data, size_t len);

/*
 * Append `len` zero bytes and return where they start (valid until the buffer
 * grows again), or NULL when out of memory.
 */
void *shale_buf_add(struct shale_buf *buf, size_t len);

/* Append formatted text, without its NUL.  Returns 0 or -ENOMEM. */
int shale_buf_printf(struct shale_buf *buf, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Ensure a NUL behind the content and return it as a string; NULL: no memory.
 */
char *shale_buf_str(struct shale_buf *buf);

#endif
