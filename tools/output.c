/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/output.h"

#include "layers/base/cleanup.h"
#include "layers/base/hash.h"
#include "layers/base/text.h"
#include "tools/cmd.h"

#include <stdio.h>
#include <string.h>

int shale_quote(struct shale_buf *out, const char *word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789/._-+:@,=%";
	const uint8_t *s = (const uint8_t *)word;
	bool control = false;

	if (*word && !word[strspn(word, plain)])
		return shale_buf_append(out, word, strlen(word));
	for (size_t i = 0; s[i]; i++)
		control = control || s[i] < 0x20 || s[i] == 0x7f;
	int r = shale_buf_printf(out, control ? "$'" : "'");
	for (; *s && r == 0; s++) {
		if (control && (*s < 0x20 || *s == 0x7f))
			r = shale_buf_printf(out, "\\x%02x", *s);
		else if (*s == '\'')
			r = shale_buf_printf(out, control ? "\\'" : "'\\''");
		else if (control && *s == '\\')
			r = shale_buf_printf(out, "\\\\");
		else
			r = shale_buf_append(out, s, 1);
	}
	return r == 0 ? shale_buf_printf(out, "'") : r;
}

char *shale_human_size(uint64_t bytes, bool exact, char *out)
{
	static const char unit[] = "KMGTPE";

	if (exact || bytes < 1024) {
		snprintf(out, 32, exact ? "%llu" : "%llu B",
			 (unsigned long long)bytes);
		return out;
	}
	double v = (double)bytes / 1024;
	int u = 0;
	while (v >= 1023.95 && unit[u + 1]) {
		v /= 1024;
		u++;
	}
	snprintf(out, 32, "%.1f %ciB", v, unit[u]);
	return out;
}

char *shale_human_time(const struct timespec *t, char *out)
{
	struct tm tm;
	if (!localtime_r(&t->tv_sec, &tm) ||
	    strftime(out, 32, "%Y-%m-%d %H:%M", &tm) == 0)
		snprintf(out, 32, "%lld", (long long)t->tv_sec);
	return out;
}

char *shale_short_digest(const struct shale_digest *digest, char *out)
{
	shale_hex(out, digest->b, 6);
	return out;
}

/* ------------------------------------------------------------------ JSON */

void shale_json_print(json_t *doc)
{
	if (!doc || json_dumpf(doc, stdout, JSON_COMPACT | JSON_ENCODE_ANY) < 0)
		fputs("{\"error\":\"out of memory\"}", stdout);
	putchar('\n');
	json_decref(doc);
}

static json_t *base64(const char *data, size_t len)
{
	static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "abcdefghijklmnopqrstuvwxyz0123456789+/";
	const uint8_t *s = (const uint8_t *)data;
	cleanup_buf struct shale_buf out = {0};

	for (size_t i = 0; i < len; i += 3) {
		uint32_t v = (uint32_t)s[i] << 16;
		if (i + 1 < len)
			v |= (uint32_t)s[i + 1] << 8;
		if (i + 2 < len)
			v |= s[i + 2];
		char four[4] = {digit[v >> 18], digit[v >> 12 & 63],
				i + 1 < len ? digit[v >> 6 & 63] : '=',
				i + 2 < len ? digit[v & 63] : '='};
		if (shale_buf_append(&out, four, 4) < 0)
			return NULL;
	}
	return json_stringn((char *)out.data, out.len);
}

void shale_json_bytes(json_t *object, const char *key, const char *bytes,
		      size_t len)
{
	char key_b64[32];
	if (shale_is_utf8(bytes, len)) {
		json_object_set_new(object, key, json_stringn(bytes, len));
		return;
	}
	cleanup_buf struct shale_buf text = {0};
	shale_escape(&text, bytes, len);
	json_object_set_new(object, key,
			    json_stringn((char *)text.data, text.len));
	snprintf(key_b64, sizeof(key_b64), "%s_b64", key);
	json_object_set_new(object, key_b64, base64(bytes, len));
}

void shale_json_path(json_t *object, const char *path, size_t len)
{
	shale_json_bytes(object, "path", path, len);
}
