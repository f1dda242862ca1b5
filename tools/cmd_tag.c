/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/store/ref.h"
#include "tools/describe.h"
#include "tools/verbs.h"

#include <string.h>

/* A reference that names a tag to write; without one it is `latest`. */
static int parse_tag(struct shale_ctx *ctx, const char *text,
		     struct shale_ref *out)
{
	if (shale_ref_parse(text, out, &ctx->err) < 0)
		return shale_usage(ctx, "%s", ctx->err.msg);
	if (!out->repo[0] || out->digest[0] || out->ancestor)
		return shale_usage(ctx, "'%s' names no tag: REPOSITORY[:TAG]",
				   text);
	if (!out->tag[0])
		memcpy(out->tag, "latest", sizeof("latest"));
	return SHALE_EXIT_OK;
}

static int tag(struct shale_ctx *ctx, const char *ref, const char *at,
	       const struct shale_ref *to)
{
	cleanup_store struct shale_store *store = NULL;
	cleanup_version struct shale_version *v = NULL;

	int r = shale_ctx_store(ctx, false, &store);
	if (r == 0)
		r = shale_ctx_resolve(ctx, store, ref, at, &v);
	if (r == 0)
		r = shale_store_tag(store, &v->digest, to->repo, to->tag,
				    &ctx->err);
	return r;
}

static int tag_run(struct shale_ctx *ctx, int argc, char **argv)
{
	const char *at = NULL;
	const struct shale_opt opts[] = {{"at", 0, "TIME",
					  "the version of that time",
					  SHALE_OPT_STRING, &at},
					 {0}};
	struct shale_ref to;
	int n;
	int r = shale_opt_parse(ctx, &shale_cmd_tag, opts, argc, argv, &n);
	if (r)
		return r < 0 ? SHALE_EXIT_USAGE : SHALE_EXIT_OK;
	if (n != 2)
		return shale_usage(ctx, "which image, and which tag for it?");
	r = parse_tag(ctx, argv[1], &to);
	if (r != SHALE_EXIT_OK)
		return r;
	r = tag(ctx, argv[0], at, &to);
	return r < 0 ? shale_fail(ctx, r) : SHALE_EXIT_OK;
}

const struct shale_cmd shale_cmd_tag = {
	.name = "tag",
	.args = "REF NEWREF",
	.summary = "give a version a further tag, or move a tag to it",
	.detail = "The version that had the tag stays in its repository until "
		  "'shale forget'.",
	.run = tag_run,
};

static int untag_run(struct shale_ctx *ctx, int argc, char **argv)
{
	bool purge = false;
	const struct shale_opt opts[] = {
		{"purge", 0, NULL, "forget the version too, if it has no other",
		 SHALE_OPT_FLAG, &purge},
		{0}};
	cleanup_store struct shale_store *store = NULL;
	struct shale_ref ref;
	int n;
	int r = shale_opt_parse(ctx, &shale_cmd_untag, opts, argc, argv, &n);
	if (r)
		return r < 0 ? SHALE_EXIT_USAGE : SHALE_EXIT_OK;
	if (n != 1)
		return shale_usage(ctx, "which tag?");
	r = parse_tag(ctx, argv[0], &ref);
	if (r != SHALE_EXIT_OK)
		return r;
	r = shale_ctx_store(ctx, false, &store);
	if (r == 0)
		r = shale_store_untag(store, ref.repo, ref.tag, purge,
				      &ctx->err);
	if (r == -ENOKEY) {
		/* resolving it says what tags there are */
		cleanup_version struct shale_version *v = NULL;
		shale_ctx_resolve(ctx, store, argv[0], NULL, &v);
	}
	return r < 0 ? shale_fail(ctx, r) : SHALE_EXIT_OK;
}

const struct shale_cmd shale_cmd_untag = {
	.name = "untag",
	.args = "REF [--purge]",
	.summary = "take a tag away",
	.detail = "The version stays in its repository, and in 'shale log', "
		  "unless --purge is given.",
	.run = untag_run,
};
