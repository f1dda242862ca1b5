/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/base/cleanup.h"
#include "layers/base/io.h"
#include "tools/image_arg.h"
#include "tools/verbs.h"

#include <signal.h>
#include <sys/stat.h>

enum { PIECE = 1 << 20 };

/* 1: whoever read us has gone, which is no error. */
static int copy_out(struct shale_ctx *ctx, const struct shale_image_arg *arg,
		    uint8_t *piece)
{
	struct shale_content content;
	uint64_t off = 0;
	size_t got;
	int r = shale_image_content(arg->image, arg->ino, &content, &ctx->err);
	while (r == 0 && off < content.size) {
		if (shale_interrupted())
			return -EINTR;
		r = shale_content_read(&content, arg->image->chunks, off, piece,
				       PIECE, &got, &ctx->err);
		if (r == 0)
			r = shale_write_full(STDOUT_FILENO, piece, got,
					     "standard output", &ctx->err);
		off += got;
	}
	return r == -EPIPE ? 1 : r;
}

static int cat_one(struct shale_ctx *ctx, const char *text, const char *at)
{
	cleanup_free uint8_t *piece = malloc(PIECE);
	struct shale_image_arg arg;
	struct shale_attr attr;
	if (!piece)
		return shale_err_set(&ctx->err, ENOMEM, "a buffer");

	int r = shale_image_arg_open(ctx, text, at, true, &arg);
	if (r < 0)
		return r;
	r = shale_index_attr(arg.image->index, arg.ino, &attr, &ctx->err);
	if (r == 0 && S_ISDIR(attr.mode))
		r = shale_err_say(&ctx->err, EISDIR, "'%s' is a directory",
				  text);
	else if (r == 0 && !S_ISREG(attr.mode))
		r = shale_err_say(&ctx->err, EBADF, "'%s' is no regular file",
				  text);
	if (r == 0) {
		r = copy_out(ctx, &arg, piece);
		if (r < 0 && r != -EINTR)
			shale_err_wrap(&ctx->err, r, "'%s'", text);
	}
	shale_image_arg_close(&arg);
	return r;
}

static int cat_run(struct shale_ctx *ctx, int argc, char **argv)
{
	const char *at = NULL;
	const struct shale_opt opts[] = {
		{"at", 0, "TIME", "the newest version at or before TIME",
		 SHALE_OPT_STRING, &at},
		{0},
	};
	int n;
	int r = shale_opt_parse(ctx, &shale_cmd_cat, opts, argc, argv, &n);
	if (r)
		return r < 0 ? SHALE_EXIT_USAGE : SHALE_EXIT_OK;
	if (n == 0)
		return shale_usage(ctx, "which file? REF:/path");

	/* As cat(1): what is missing is told, the others are written. */
	int code = SHALE_EXIT_OK;
	signal(SIGPIPE, SIG_IGN);
	for (int i = 0; i < n && r != 1 && r != -EINTR; i++) {
		r = cat_one(ctx, argv[i], at);
		if (r < 0)
			code = shale_fail(ctx, r);
	}
	return code;
}

const struct shale_cmd shale_cmd_cat = {
	.name = "cat",
	.args = "REF:/path...",
	.summary = "write a file of an image to standard output",
	.detail = "Symbolic links resolve inside the image and never leave it.",
	.run = cat_run,
};
