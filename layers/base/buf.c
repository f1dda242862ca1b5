/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/base/buf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void shale_buf_release(struct shale_buf *buf)
{
	if (!buf)
		return;
	free(buf->data);
	*buf = (struct shale_buf){0};
}

int shale_buf_reserve(struct shale_buf *buf, size_t more)
{
	if (more <= buf->cap - buf->len)
		return 0;
	if (more > SIZE_MAX / 2 - buf->len)
		return -ENOMEM;

	size_t cap = buf->cap ? buf->cap : 64;
	while (cap < buf->len + more)
		cap *= 2;
	uint8_t *data = realloc(buf->data, cap);
	if (!data)
		return -ENOMEM;
	buf->data = data;
	buf->cap = cap;
	return 0;
}

int shale_buf_append(struct shale_buf *buf, const void *data, size_t len)
{
	if (!len)
		return 0;
	if (shale_buf_reserve(buf, len) < 0)
		return -ENOMEM;
	memcpy(buf->data + buf->len, data, len);
	buf->len += len;
	return 0;
}

void *shale_buf_add(struct shale_buf *buf, size_t len)
{
	if (shale_buf_reserve(buf, len) < 0)
		return NULL;
	void *at = buf->data + buf->len;
	memset(at, 0, len);
	buf->len += len;
	return at;
}

int shale_buf_printf(struct shale_buf *buf, const char *fmt, ...)
{
	va_list ap, again;
	va_start(ap, fmt);
	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);

	int r = n < 0 ? -EINVAL : shale_buf_reserve(buf, (size_t)n + 1);
	if (r == 0) {
		vsnprintf((char *)buf->data + buf->len, (size_t)n + 1, fmt,
			  again);
		buf->len += (size_t)n;
	}
	va_end(again);
	return r;
}

char *shale_buf_str(struct shale_buf *buf)
{
	if (shale_buf_reserve(buf, 1) < 0)
		return NULL;
	buf->data[buf->len] = 0;
	return (char *)buf->data;
}
