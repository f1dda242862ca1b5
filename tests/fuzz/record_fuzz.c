/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes the decoders of a workspace's records: the first byte chooses one.
 * What decodes must encode to the same bytes again.
 */
#include "fs/live/record.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void attr(const struct shale_buf *v, struct shale_buf *again)
{
	struct shale_rec_attr rec;

	if (shale_rec_attr_decode(v, &rec, NULL) == 0)
		(void)shale_rec_attr_encode(&rec, again);
}

static void content(const struct shale_buf *v, struct shale_buf *again)
{
	struct shale_rec_content rec;

	if (shale_rec_content_decode(v, &rec, NULL) < 0)
		return;
	(void)shale_rec_content_encode(&rec, again);
	shale_rec_content_release(&rec);
}

static void name(const struct shale_buf *v, struct shale_buf *again)
{
	struct shale_rec_name rec;

	if (shale_rec_name_decode(v, &rec, NULL) == 0)
		(void)shale_rec_name_encode(&rec, again);
}

static void state(const struct shale_buf *v, struct shale_buf *again)
{
	struct shale_rec_state rec;

	if (shale_rec_state_decode(v, &rec, NULL) == 0)
		(void)shale_rec_state_encode(&rec, again);
}

static void image(const struct shale_buf *v, struct shale_buf *again)
{
	struct shale_rec_image rec;

	if (shale_rec_image_decode(v, &rec, NULL) == 0)
		(void)shale_rec_image_encode(&rec, again);
}

static void xattrs(const struct shale_buf *v, struct shale_buf *again)
{
	struct shale_rec_xattrs rec;

	if (shale_rec_xattrs_decode(v, &rec, NULL) == 0)
		(void)shale_rec_xattrs_encode(&rec, again);
}

static void keys(const struct shale_buf *v, struct shale_buf *again)
{
	uint64_t a, b;
	uint32_t epoch;
	const char *text;
	size_t len;
	struct shale_key key = {.len = 0};

	if (shale_key_name_parts(v, &a, &text, &len) == 0)
		key = shale_key_name(a, text, len);
	else if (shale_key_map_parts(v, &a, &epoch, &b) == 0)
		key = shale_key_map(a, epoch, b);
	else if (shale_key_cookie_parts(v, &a, &b) == 0)
		key = shale_key_cookie(a, b);
	(void)shale_buf_append(again, key.b, key.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const decoders[])(const struct shale_buf *,
					struct shale_buf *) = {
		attr, content, name, state, image, xattrs, keys,
	};
	struct shale_buf v = {.data = (uint8_t *)data + 1, .len = size - 1};
	struct shale_buf again = {0};

	if (!size)
		return 0;
	decoders[data[0] % 7](&v, &again);
	if (again.len)
		assert(again.len == v.len &&
		       memcmp(again.data, v.data, v.len) == 0);
	shale_buf_release(&again);
	return 0;
}
