/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_OPS_WHITEOUT_H
#define SHALE_OPS_WHITEOUT_H

/*
 * How layers from elsewhere spell what they take away: the one place that knows
 * overlayfs's marks (Linux Documentation/filesystems/overlayfs.rst) and OCI's
 * (image-spec, layer.md, "Whiteouts").  Pure: an entry in, what it means out.
 */

#include "layers/base/buf.h"
#include "layers/ops/arrival.h"

enum shale_layer_kind {
	SHALE_LAYER_NONE,    /* a tree, not a layer: every name is a name */
	SHALE_LAYER_OVERLAY, /* an overlayfs upper directory: 0/0 devices and
			      * trusted.overlay.* or user.overlay.* xattrs */
	SHALE_LAYER_OCI,     /* names that begin with ".wh." */
};

enum shale_whiteout_what {
	SHALE_WHITEOUT_ENTRY, /* an entry of the layer, with what follows */
	SHALE_WHITEOUT_NAME,  /* no entry: lower layers' `name` is hidden */
	SHALE_WHITEOUT_ALL,   /* no entry: all that lower layers have in the
			       * entry's directory is hidden */
	SHALE_WHITEOUT_SKIP,  /* no entry, and it says nothing */
};

struct shale_whiteout {
	enum shale_whiteout_what what;
	const char *name; /* in the entry's path */
	size_t name_len;
	/* Of a directory that is an entry: */
	bool opaque;          /* nothing of lower layers' shows in it */
	const char *redirect; /* it carries on this lower directory: absolute
			       * from the layer's root, else a sibling by
			       * name; in the entry's xattrs.  NULL: the one
			       * of its own path */
	size_t redirect_len;
};

/* Is this xattr overlayfs's own?  Such are never an image's. */
bool shale_whiteout_xattr(const char *name);

/*
 * Read what `entry` means in a layer of `kind`.
 *
 * -EBADMSG: it means something that cannot be taken over (a file whose content
 * lies in another layer, a whiteout of ".."); the message does not name the
 * entry.
 */
int shale_whiteout_read(enum shale_layer_kind kind,
			const struct shale_arrival *entry,
			struct shale_whiteout *out, struct shale_err *err);

/* Set `out` to an encoded xattr list without overlayfs's own. */
int shale_whiteout_strip(const void *list, uint32_t len, struct shale_buf *out,
			 struct shale_err *err);

#endif
