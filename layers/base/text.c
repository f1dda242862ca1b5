/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/base/text.h"

/* Length of the UTF-8 sequence at `s` (of `len` bytes), 0: it is none. */
static size_t utf8_sequence(const uint8_t *s, size_t len)
{
	if (s[0] < 0x80)
		return s[0] != 0;

	size_t n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
	if (s[0] < 0xc2 || s[0] > 0xf4 || n > len)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

bool shale_is_utf8(const char *text, size_t len)
{
	for (size_t i = 0; i < len;) {
		size_t n = utf8_sequence((const uint8_t *)text + i, len - i);
		if (n == 0)
			return false;
		i += n;
	}
	return true;
}

/* C0, DEL, and the C1 controls as UTF-8 spells them. */
static bool is_control(const uint8_t *s, size_t n)
{
	return s[0] < 0x20 || s[0] == 0x7f ||
	       (n == 2 && s[0] == 0xc2 && s[1] < 0xa0);
}

int shale_escape(struct shale_buf *out, const char *text, size_t len)
{
	const uint8_t *s = (const uint8_t *)text;
	int r = 0;

	for (size_t i = 0; i < len && r == 0;) {
		size_t n = utf8_sequence(s + i, len - i);
		bool raw = n > 0 && !is_control(s + i, n);
		if (raw && s[i] == '\\')
			r = shale_buf_append(out, "\\\\", 2);
		else if (raw)
			r = shale_buf_append(out, s + i, n);
		else
			for (size_t k = 0; k < (n ? n : 1) && r == 0; k++)
				r = shale_buf_printf(out, "\\x%02x", s[i + k]);
		i += n ? n : 1;
	}
	return r;
}
