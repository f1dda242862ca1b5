/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/whiteout.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

/* The kernel's OVL_REDIRECT_MAX. */
enum { REDIRECT_MAX = 256 };

static const char *const spaces[] = {"trusted.overlay.", "user.overlay."};

static bool starts(const char *name, size_t len, const char *prefix)
{
	size_t n = strlen(prefix);
	return len >= n && memcmp(name, prefix, n) == 0;
}

bool shale_whiteout_xattr(const char *name)
{
	return starts(name, strlen(name), spaces[0]) ||
	       starts(name, strlen(name), spaces[1]);
}

/* What follows "trusted.overlay." or "user.overlay.", or NULL. */
static const char *own_part(const struct shale_xattr *x, size_t *len)
{
	for (size_t i = 0; i < 2; i++) {
		size_t n = strlen(spaces[i]);
		if (!starts(x->name, x->name_len, spaces[i]))
			continue;
		*len = x->name_len - n;
		return x->name + n;
	}
	return NULL;
}

/* ---------------------------------------------------------------- overlayfs */

static bool is(const char *own, size_t len, const char *word)
{
	return len == strlen(word) && memcmp(own, word, len) == 0;
}

static int take_redirect(const struct shale_xattr *x,
			 struct shale_whiteout *out, struct shale_err *err)
{
	const char *to = x->value;
	size_t len = x->value_len;
	bool slash = len && memchr(to, '/', len) != NULL;
	if (!len || len > REDIRECT_MAX || memchr(to, '\0', len) ||
	    (slash && *to != '/'))
		return shale_err_say(err, EBADMSG,
				     "its redirect is neither an absolute path "
				     "nor a name");
	out->redirect = to;
	out->redirect_len = len;
	return 0;
}

static int take_mark(const struct shale_arrival *entry,
		     const struct shale_xattr *x, struct shale_whiteout *out,
		     struct shale_err *err)
{
	mode_t mode = entry->attr.mode;
	size_t len;
	const char *own = own_part(x, &len);
	if (!own)
		return 0;
	if (is(own, len, "metacopy") && S_ISREG(mode))
		return shale_err_say(err, EBADMSG,
				     "its content lies in another layer "
				     "(metacopy=on); import what the overlay "
				     "shows when it is mounted");
	if (is(own, len, "whiteout") && S_ISREG(mode) && !entry->attr.size)
		out->what = SHALE_WHITEOUT_NAME;
	/* Another value, "x", says that whiteouts in it are xattrs. */
	if (is(own, len, "opaque") && S_ISDIR(mode) && x->value_len == 1 &&
	    *(const char *)x->value == 'y')
		out->opaque = true;
	if (is(own, len, "redirect") && S_ISDIR(mode))
		return take_redirect(x, out, err);
	return 0;
}

static int read_overlay(const struct shale_arrival *entry,
			struct shale_whiteout *out, struct shale_err *err)
{
	struct shale_xattr x;
	uint32_t at = 0;
	int r;

	if (S_ISCHR(entry->attr.mode) && !entry->attr.rdev_major &&
	    !entry->attr.rdev_minor)
		out->what = SHALE_WHITEOUT_NAME;
	while ((r = shale_xattr_next(entry->xattrs, entry->xattr_len, &at, &x,
				     err)) > 0) {
		r = take_mark(entry, &x, out, err);
		if (r < 0)
			return r;
	}
	return r;
}

/* ---------------------------------------------------------------------- OCI */

static int read_oci(const struct shale_arrival *entry,
		    struct shale_whiteout *out, struct shale_err *err)
{
	static const char mark[] = ".wh.", own[] = ".wh..wh.",
			  all[] = ".wh..wh..opq";
	const char *name = out->name;
	size_t len = out->name_len;

	if (!starts(name, len, mark))
		return 0;
	if (starts(name, len, own)) {
		/* The others are how AUFS kept its own books. */
		out->what = is(name, len, all) ? SHALE_WHITEOUT_ALL
					       : SHALE_WHITEOUT_SKIP;
		return 0;
	}
	out->name += sizeof(mark) - 1;
	out->name_len -= sizeof(mark) - 1;
	if (!out->name_len || is(out->name, out->name_len, ".") ||
	    is(out->name, out->name_len, ".."))
		return shale_err_say(err, EBADMSG,
				     "it is a whiteout that names nothing");
	if (S_ISDIR(entry->attr.mode))
		return shale_err_say(err, EBADMSG,
				     "a directory cannot be a whiteout");
	out->what = SHALE_WHITEOUT_NAME;
	return 0;
}

/* -------------------------------------------------------------------- both */

int shale_whiteout_read(enum shale_layer_kind kind,
			const struct shale_arrival *entry,
			struct shale_whiteout *out, struct shale_err *err)
{
	const char *slash = memrchr(entry->path, '/', entry->path_len);
	const char *name = slash ? slash + 1 : entry->path;
	struct shale_whiteout found = {
		.name = name,
		.name_len = entry->path_len - (size_t)(name - entry->path),
	};
	int r = 0;
	if (kind == SHALE_LAYER_OVERLAY)
		r = read_overlay(entry, &found, err);
	else if (kind == SHALE_LAYER_OCI)
		r = read_oci(entry, &found, err);
	if (r == 0 && !found.name_len && found.what != SHALE_WHITEOUT_ENTRY)
		r = shale_err_say(err, EBADMSG, "the root is a whiteout");
	if (r == 0)
		*out = found;
	return r;
}

int shale_whiteout_strip(const void *list, uint32_t len, struct shale_buf *out,
			 struct shale_err *err)
{
	struct shale_xattr x;
	uint32_t at = 0, before = 0;
	int r;
	out->len = 0;
	while ((r = shale_xattr_next(list, len, &at, &x, err)) > 0) {
		size_t own;
		if (!own_part(&x, &own) &&
		    shale_buf_append(out, (const uint8_t *)list + before,
				     at - before) < 0)
			return shale_err_set(err, ENOMEM, "xattrs");
		before = at;
	}
	return r;
}
