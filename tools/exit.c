/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/base/text.h"
#include "tools/cmd.h"
#include "tools/output.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static enum shale_exit exit_code(const struct shale_ctx *ctx, int r)
{
	switch (-r) {
	case ENODATA:
		return SHALE_EXIT_NO_STORE;
	case EBUSY:
		return SHALE_EXIT_LOCKED;
	case ENOKEY:
		return SHALE_EXIT_NO_REF;
	case EUCLEAN:
		return SHALE_EXIT_DAMAGE;
	case ENOSPC:
	case EDQUOT:
		return SHALE_EXIT_NO_SPACE;
	case EINTR:
		return SHALE_EXIT_INTERRUPTED;
	case EINVAL:
		/* Also what a broken source gives: only what resolving
		 * arguments found is wrong usage. */
		return ctx->wrong_usage ? SHALE_EXIT_USAGE : SHALE_EXIT_FAILED;
	default:
		return SHALE_EXIT_FAILED;
	}
}

/* One line on standard error; messages may quote names that hold anything. */
static void say(const struct shale_ctx *ctx, const char *kind, const char *text,
		int code)
{
	cleanup_buf struct shale_buf line = {0};

	if (ctx->complete)
		return;
	if (ctx->json) {
		if (!shale_is_utf8(text, strlen(text))) {
			shale_escape(&line, text, strlen(text));
			text = shale_buf_str(&line);
		}
		json_t *doc = json_pack("{s:s?, s:s*}", kind, text, "command",
					ctx->verb);
		if (code)
			json_object_set_new(doc, "exit", json_integer(code));
		if (doc && json_dumpf(doc, stderr, JSON_COMPACT) == 0)
			fputc('\n', stderr);
		json_decref(doc);
		return;
	}
	shale_escape(&line, text, strlen(text));
	const char *shown = shale_buf_str(&line);
	bool warning = !strcmp(kind, "warning");
	fprintf(stderr, "shale: %s%s%s%s\n", ctx->verb ? ctx->verb : "",
		ctx->verb ? ": " : "", warning ? "warning: " : "",
		shown ? shown : "out of memory");
}

int shale_fail(struct shale_ctx *ctx, int r)
{
	int code = exit_code(ctx, r);

	fflush(stdout);
	if (r == -EINTR && !ctx->err.msg[0])
		shale_err_say(&ctx->err, EINTR, "interrupted");
	else if (!ctx->err.msg[0])
		shale_err_say(&ctx->err, -r, "%s", strerror(-r));
	say(ctx, "error", ctx->err.msg, code);
	/* A verb with several arguments may go on to the next. */
	ctx->err.msg[0] = '\0';
	ctx->wrong_usage = false;
	return code;
}

int shale_usage(struct shale_ctx *ctx, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	say(ctx, "error", text, SHALE_EXIT_USAGE);
	if (!ctx->json && !ctx->complete)
		fprintf(stderr, "Try 'shale %s%s--help'.\n",
			ctx->verb ? ctx->verb : "", ctx->verb ? " " : "");
	return SHALE_EXIT_USAGE;
}

void shale_warn(struct shale_ctx *ctx, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	if (ctx->quiet)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	say(ctx, "warning", text, 0);
}
