/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_OPS_JSON_BYTES_H
#define SHALE_OPS_JSON_BYTES_H

#include "layers/base/buf.h"

/*
 * Append `"KEY":"…"` for bytes that may not be UTF-8; if they are not, invalid
 * ones are written as \xNN (a backslash and digits in the text), and
 * `,"KEY_b64":"…"` follows.
 */
int shale_json_put_bytes(struct shale_buf *out, const char *key,
			 const char *data, size_t len);

#endif
