/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/mount/ops.h"

#include "fs/mount/standing.h"
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

bool shale_req_is_root(fuse_req_t req)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);

	return ctx->uid == UINT32_MAX ? shale_standing_is_root(ctx->pid)
				      : ctx->uid == 0;
}

/* Where the next name in trusted. begins, from `at` on; else the end. */
static size_t next_hidden(const struct shale_buf *names, size_t at)
{
	static const char hidden[] = "trusted.";

	while (at < names->len && strncmp((const char *)names->data + at,
					  hidden, sizeof(hidden) - 1) != 0)
		at += strlen((const char *)names->data + at) + 1;
	return at;
}

void shale_reply_names(fuse_req_t req, const struct shale_buf *names,
		       size_t size)
{
	cleanup_buf struct shale_buf shown = {0};
	size_t at = 0, end = next_hidden(names, 0);

	if (end == names->len || shale_req_is_root(req))
		return shale_reply_xattr(req, names, size);
	while (at < names->len) {
		if (shale_buf_append(&shown, names->data + at, end - at) < 0)
			return (void)fuse_reply_err(req, ENOMEM);
		at = end;
		if (at < names->len)
			at += strlen((const char *)names->data + at) + 1;
		end = next_hidden(names, at);
	}
	shale_reply_xattr(req, &shown, size);
}
