/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/json_bytes.h"

#include <stdbool.h>

/* Bytes of the well-formed UTF-8 sequence at `s`, 0 if there is none. */
static size_t sequence(const uint8_t *s, size_t len)
{
	static const struct {
		uint8_t first, last; /* of the first byte */
		uint8_t low, high;   /* of the second */
		uint8_t bytes;
	} forms[] = {
		{0x00, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2},
		{0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
		{0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
		{0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4},
		{0xf4, 0xf4, 0x80, 0x8f, 4},
	};
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		if (s[0] < forms[i].first || s[0] > forms[i].last)
			continue;
		size_t n = forms[i].bytes;
		if (n > len ||
		    (n > 1 && (s[1] < forms[i].low || s[1] > forms[i].high)))
			return 0;
		for (size_t k = 2; k < n; k++) {
			if (s[k] < 0x80 || s[k] > 0xbf)
				return 0;
		}
		return n;
	}
	return 0;
}

static int put_base64(struct shale_buf *out, const uint8_t *s, size_t len)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "abcdefghijklmnopqrstuvwxyz0123456789+/";
	int r = 0;
	for (size_t i = 0; i < len && r == 0; i += 3) {
		uint32_t v = (uint32_t)s[i] << 16;
		v |= i + 1 < len ? (uint32_t)s[i + 1] << 8 : 0;
		v |= i + 2 < len ? s[i + 2] : 0;
		char quad[4] = {digits[v >> 18], digits[v >> 12 & 63],
				i + 1 < len ? digits[v >> 6 & 63] : '=',
				i + 2 < len ? digits[v & 63] : '='};
		r = shale_buf_append(out, quad, 4);
	}
	return r;
}

static bool is_utf8(const uint8_t *s, size_t len)
{
	for (size_t i = 0, n; i < len; i += n) {
		n = sequence(s + i, len - i);
		if (!n)
			return false;
	}
	return true;
}

/* Text as it is; `raw`: text that stands for bytes, with \\xNN for those that
 * cannot be shown and a doubled backslash. */
static int put_text(struct shale_buf *out, const uint8_t *s, size_t len,
		    bool raw)
{
	int r = 0;
	for (size_t i = 0, n; i < len && r == 0; i += n) {
		bool control = s[i] < 0x20 || s[i] == 0x7f;
		n = sequence(s + i, len - i);
		if (n == 0 || (raw && control)) {
			n = 1;
			r = shale_buf_printf(out, "\\\\x%02x", s[i]);
		} else if (control) {
			r = shale_buf_printf(out, "\\u%04x", s[i]);
		} else if (s[i] == '"') {
			r = shale_buf_printf(out, "\\\"");
		} else if (s[i] == '\\') {
			r = shale_buf_printf(out, raw ? "\\\\\\\\" : "\\\\");
		} else {
			r = shale_buf_append(out, s + i, n);
		}
	}
	return r;
}

int shale_json_put_bytes(struct shale_buf *out, const char *key,
			 const char *data, size_t len)
{
	const uint8_t *s = (const uint8_t *)data;
	bool clean = is_utf8(s, len);
	int r = shale_buf_printf(out, "\"%s\":\"", key);
	if (r == 0)
		r = put_text(out, s, len, !clean);
	if (r == 0)
		r = shale_buf_printf(out, "\"");
	if (r < 0 || clean)
		return r;
	r = shale_buf_printf(out, ",\"%s_b64\":\"", key);
	if (r == 0)
		r = put_base64(out, s, len);
	if (r == 0)
		r = shale_buf_printf(out, "\"");
	return r;
}
