/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/mount/ops.h"

#include "layers/base/cleanup.h"
#include "layers/base/text.h"

#include <errno.h>
#include <string.h>

/* Which file, and what is wrong with it. */
static void log_damage(struct shale_session *s, int r, uint64_t id,
		       const struct shale_err *err)
{
	cleanup_buf struct shale_buf path = {0}, text = {0};

	shale_session_path(s, id, true, &path);
	(void)shale_escape(&text, (const char *)path.data, path.len);
	const char *where = shale_buf_str(&text);
	shale_session_log(s, "%s: %s", where ? where : "?",
			  err && err->msg[0] ? err->msg : strerror(-r));
}

void shale_reply_error(fuse_req_t req, int r, uint64_t id,
		       const struct shale_err *err)
{
	struct shale_session *s = shale_req_session(req);

	if (r == -EUCLEAN || r == -EIO || r == -EPROTONOSUPPORT) {
		if (shale_session_may_log(s))
			log_damage(s, r, id, err);
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
