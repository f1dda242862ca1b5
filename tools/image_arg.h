/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_TOOLS_IMAGE_ARG_H
#define SHALE_TOOLS_IMAGE_ARG_H

/*
 * An argument `REF[:/path]`, opened: the image and the inode that is meant.
 */

#include "tools/cmd.h"

struct shale_image_arg {
	struct shale_store *store;
	struct shale_version *version;
	struct shale_image *image;
	uint64_t ino;
	char *path; /* as written, "/" without one */
};

/*
 * Resolve and open `text`.  Symlinks of the path are followed inside the image,
 * the last one too if `follow_last`.  Returns 0 or -errno with ctx->err set:
 * -ENOKEY for a reference or path that is not there.
 */
int shale_image_arg_open(struct shale_ctx *ctx, const char *text,
			 const char *at, bool follow_last,
			 struct shale_image_arg *out);
void shale_image_arg_close(struct shale_image_arg *arg);

#endif
