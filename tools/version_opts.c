/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/version_opts.h"

#include "layers/base/text.h"
#include "tools/output.h"

#include <errno.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

int shale_version_opts_ref(struct shale_ctx *ctx, const char *text,
			   struct shale_ref *out)
{
	int r = shale_ref_parse(text, out, &ctx->err);
	if (r == 0 && (out->digest[0] || out->ancestor))
		r = shale_err_say(&ctx->err, EINVAL,
				  "'%s': a new version has no digest yet; -t "
				  "takes REPOSITORY[:TAG]",
				  text);
	if (r == 0 && !out->repo[0])
		r = shale_err_say(&ctx->err, EINVAL,
				  "'%s' names no repository; use -t "
				  "REPOSITORY[:TAG]",
				  text);
	ctx->wrong_usage |= r == -EINVAL;
	return r;
}

int shale_version_opts_codec(struct shale_ctx *ctx,
			     const struct shale_version_opts *opts,
			     struct shale_codec_choice *out)
{
	*out = SHALE_CODEC_DEFAULT;
	int r = opts->codec ? shale_codec_parse(opts->codec, out, &ctx->err)
			    : 0;
	ctx->wrong_usage |= r == -EINVAL;
	return r;
}

static int add_label(struct shale_ctx *ctx, const char *text,
		     struct shale_label *label)
{
	const char *equals = strchr(text, '=');
	if (!equals || equals == text || !shale_is_utf8(text, strlen(text))) {
		ctx->wrong_usage = true;
		return shale_err_say(&ctx->err, EINVAL,
				     "--label takes KEY=VALUE in UTF-8, not "
				     "'%s'",
				     text);
	}
	label->key = strndup(text, (size_t)(equals - text));
	label->value = strdup(equals + 1);
	return label->key && label->value
		       ? 0
		       : shale_err_set(&ctx->err, ENOMEM, "labels");
}

static int copy(struct shale_ctx *ctx, const char *what, const char *text,
		char **out)
{
	if (text && !shale_is_utf8(text, strlen(text))) {
		ctx->wrong_usage = true;
		return shale_err_say(&ctx->err, EINVAL,
				     "%s takes UTF-8, not '%s'", what, text);
	}
	*out = text ? strdup(text) : NULL;
	return text && !*out
		       ? shale_err_set(&ctx->err, ENOMEM, "describe a version")
		       : 0;
}

int shale_version_opts_describe(struct shale_ctx *ctx,
				const struct shale_version_opts *opts,
				struct shale_description *out)
{
	const struct passwd *pw = opts->author ? NULL : getpwuid(getuid());
	int r = copy(ctx, "--author", pw ? pw->pw_name : opts->author,
		     &out->author);
	if (r == 0)
		r = copy(ctx, "--message", opts->message, &out->message);
	if (r == 0)
		r = copy(ctx, "--data-version", opts->data_version,
			 &out->data_version);
	if (r < 0 || !opts->labels.n)
		return r;

	out->labels = calloc(opts->labels.n, sizeof(*out->labels));
	if (!out->labels)
		return shale_err_set(&ctx->err, ENOMEM, "labels");
	for (size_t i = 0; r == 0 && i < opts->labels.n; i++) {
		out->n_labels = i + 1;
		r = add_label(ctx, opts->labels.v[i], &out->labels[i]);
	}
	return r;
}
