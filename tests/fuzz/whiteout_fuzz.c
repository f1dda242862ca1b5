/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an entry of a layer from elsewhere means: two bytes of type, one of the
 * length of its path, the path, and an encoded list of xattrs.  Of what is
 * stripped nothing of overlayfs's may be left.
 */
#include "layers/base/cleanup.h"
#include "layers/ops/whiteout.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_stripped(const struct shale_buf *list)
{
	struct shale_xattr x;
	uint32_t at = 0;
	while (shale_xattr_next(list->data, (uint32_t)list->len, &at, &x,
				NULL) > 0) {
		char name[256] = "";
		memcpy(name, x.name, x.name_len);
		if (shale_whiteout_xattr(name))
			abort();
	}
}

static void check_read(const struct shale_arrival *entry,
		       enum shale_layer_kind kind)
{
	struct shale_whiteout w;
	if (shale_whiteout_read(kind, entry, &w, NULL) < 0)
		return;
	if (w.name < entry->path ||
	    w.name + w.name_len != entry->path + entry->path_len ||
	    (w.redirect && (!w.redirect_len || w.redirect_len > 256)))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 3 || size - 3 < data[2])
		return 0;
	size_t len = data[2];
	cleanup_free char *path = strndup((const char *)data + 3, len);
	cleanup_buf struct shale_buf list = {0}, kept = {0};
	if (!path ||
	    shale_buf_append(&list, data + 3 + len, size - 3 - len) < 0)
		return 0;
	struct shale_arrival entry = {
		.path = path,
		.path_len = strlen(path),
		.attr = {.mode = (uint32_t)data[0] << 12 | 0644,
			 .size = data[1]},
		.xattrs = list.data,
		.xattr_len = (uint32_t)list.len,
	};
	check_read(&entry, SHALE_LAYER_OVERLAY);
	check_read(&entry, SHALE_LAYER_OCI);
	if (shale_whiteout_strip(list.data, (uint32_t)list.len, &kept, NULL) ==
	    0)
		check_stripped(&kept);
	return 0;
}
