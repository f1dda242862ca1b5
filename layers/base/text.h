/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_BASE_TEXT_H
#define SHALE_BASE_TEXT_H

/*
 * Bytes that others named, as text that a person or a log may see.
 */

#include "layers/base/buf.h"

#include <stdbool.h>

/*
 * Append `text` with what a terminal must not see (control characters, bytes
 * that are not UTF-8) as \xNN, and a backslash doubled.  -ENOMEM.
 */
int shale_escape(struct shale_buf *out, const char *text, size_t len);

/* Is it well-formed UTF-8 (no surrogates, no overlong forms, no NUL)? */
bool shale_is_utf8(const char *text, size_t len);

#endif
