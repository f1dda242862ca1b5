/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int shale_err_set(struct shale_err *err, int errnum, const char *fmt, ...)
{
	if (!err)
		return -errnum;

	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
	va_end(ap);

	char text[128];
	if (n >= 0 && (size_t)n < sizeof(err->msg))
		snprintf(err->msg + n, sizeof(err->msg) - (size_t)n, ": %s",
			 strerror_r(errnum, text, sizeof(text)));
	return -errnum;
}

int shale_err_say(struct shale_err *err, int errnum, const char *fmt, ...)
{
	if (!err)
		return -errnum;

	va_list ap;
	va_start(ap, fmt);
	vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
	va_end(ap);
	return -errnum;
}

int shale_err_wrap(struct shale_err *err, int r, const char *fmt, ...)
{
	if (!err)
		return r;

	char inner[sizeof(err->msg)];
	memcpy(inner, err->msg, sizeof(inner));

	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n < sizeof(err->msg))
		snprintf(err->msg + n, sizeof(err->msg) - (size_t)n, ": %s",
			 inner);
	return r;
}
