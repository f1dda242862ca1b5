/* SPDX-License-Identifier: Apache-2.0 */
/*
 * References, paths inside them, and times: text that a user or a document
 * gives.  What was taken as a UTC time must survive formatting.
 */
#include "layers/store/ref.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';

	struct shale_ref ref;
	struct shale_err err;
	struct timespec t, again;
	char small[16], formatted[40];
	const char *path;
	shale_ref_parse(text, &ref, &err);
	shale_ref_split(text, small, sizeof(small), &path, &err);
	shale_time_parse(text, &t, &err);
	if (shale_time_parse_utc(text, &t) == 0) {
		shale_time_format(&t, formatted);
		if (shale_time_parse_utc(formatted, &again) < 0 ||
		    again.tv_sec != t.tv_sec || again.tv_nsec != t.tv_nsec)
			abort();
	}
	free(text);
	return 0;
}
