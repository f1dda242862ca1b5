/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/mount/ops.h"

#include "layers/base/cleanup.h"

#include <errno.h>
#include <string.h>

void shale_reply_error(fuse_req_t req, int r, uint64_t id,
		       const struct shale_err *err)
{
	struct shale_session *s = shale_req_session(req);

	if (r == -EUCLEAN || r == -EIO || r == -EPROTONOSUPPORT) {
		cleanup_buf struct shale_buf name = {0};
		if (s->opts.forest)
			shale_forest_name(s->opts.forest, id, &name);
		else
			(void)shale_buf_printf(&name, "inode %llu",
					       (unsigned long long)id);
		const char *where = shale_buf_str(&name);
		shale_session_log(s, "%s: %s", where ? where : "?",
				  err && err->msg[0] ? err->msg : strerror(-r));
		atomic_fetch_add(&s->errors, 1);
		r = -EIO;
	}
	fuse_reply_err(req, -r);
}

void shale_reply_xattr(fuse_req_t req, const struct shale_buf *value,
		       size_t size)
{
	if (size == 0)
		fuse_reply_xattr(req, value->len);
	else if (value->len > size)
		fuse_reply_err(req, ERANGE);
	else
		fuse_reply_buf(req, (const char *)value->data, value->len);
}

void shale_reply_names(fuse_req_t req, const struct shale_buf *names,
		       size_t size)
{
	static const char hidden[] = "trusted.";
	cleanup_buf struct shale_buf shown = {0};
	const char *name = (const char *)names->data;

	if (fuse_req_ctx(req)->uid == 0)
		return shale_reply_xattr(req, names, size);
	for (size_t at = 0, len; at < names->len; at += len) {
		len = strlen(name + at) + 1;
		if (strncmp(name + at, hidden, sizeof(hidden) - 1) == 0)
			continue;
		if (shale_buf_append(&shown, name + at, len) < 0)
			return (void)fuse_reply_err(req, ENOMEM);
	}
	shale_reply_xattr(req, &shown, size);
}
