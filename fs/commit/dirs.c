/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/commit/dirs.h"

#include "layers/base/cleanup.h"

#include <errno.h>
#include <string.h>

static int get(const struct shale_records *records, struct shale_key key,
	       struct shale_buf *value, struct shale_err *err)
{
	return shale_snapshot_get(records->snapshot, key.b, key.len, value,
				  err);
}

/* Mode and owner as they are now. */
static int attr_now(const struct shale_records *records,
		    const struct shale_index *base, uint64_t ino,
		    struct shale_attr *out, struct shale_err *err)
{
	cleanup_buf struct shale_buf value = {0};
	struct shale_rec_attr rec;

	int r = get(records, shale_key_attr(ino), &value, err);
	if (r == -ENOENT)
		return shale_index_attr(base, ino, out, err);
	if (r == 0)
		r = shale_rec_attr_decode(&value, &rec, err);
	if (r == 0)
		*out = (struct shale_attr){
			.mode = rec.mode, .uid = rec.uid, .gid = rec.gid};
	return r;
}

/* All xattrs as they are now; `value` is a place for them. */
static int xattrs_now(const struct shale_records *records,
		      const struct shale_index *base, uint64_t ino,
		      struct shale_buf *value, const void **list, uint32_t *len,
		      struct shale_err *err)
{
	struct shale_rec_xattrs rec;

	*len = 0;
	int r = get(records, shale_key_xattrs(ino), value, err);
	if (r == -ENOENT) {
		r = shale_index_xattrs(base, ino, list, len, NULL);
		return r == -ENOENT ? 0 : r; /* the base lacks it */
	}
	if (r == 0)
		r = shale_rec_xattrs_decode(value, &rec, err);
	if (r == 0) {
		*list = rec.list;
		*len = rec.len;
	}
	return r;
}

int shale_dirs_same(const struct shale_records *records,
		    const struct shale_index *base, uint64_t ino,
		    const struct shale_index *old, uint64_t old_ino, bool *same,
		    struct shale_err *err)
{
	cleanup_buf struct shale_buf value = {0};
	struct shale_attr now, was;
	const void *list = NULL, *old_list = NULL;
	uint32_t len, old_len = 0;

	int r = attr_now(records, base, ino, &now, err);
	if (r == 0)
		r = shale_index_attr(old, old_ino, &was, err);
	if (r == 0)
		r = xattrs_now(records, base, ino, &value, &list, &len, err);
	if (r == 0)
		r = shale_index_xattrs(old, old_ino, &old_list, &old_len, err);
	if (r == 0)
		*same = now.mode == was.mode && now.uid == was.uid &&
			now.gid == was.gid && len == old_len &&
			(!len || !memcmp(list, old_list, len));
	return r;
}
