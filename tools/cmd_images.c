/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/store/ref.h"
#include "tools/describe.h"
#include "tools/verbs.h"

#include <stdio.h>
#include <string.h>

/* One line.  A version that cannot be read is listed all the same. */
static int print_entry(struct shale_ctx *ctx, struct shale_store *store,
		       const struct shale_version_entry *e, bool exact,
		       struct shale_columns *table)
{
	cleanup_version struct shale_version *v = NULL;
	int r = shale_store_manifest(store, &e->digest, &v, &ctx->err);
	if (r < 0)
		shale_warn(ctx, "%s", ctx->err.msg);

	if (ctx->json) {
		json_t *doc = json_object();
		shale_json_entry(doc, e);
		if (e->tag)
			json_object_set_new(doc, "tag", json_string(e->tag));
		if (v)
			shale_json_description(doc, &v->description);
		else
			json_object_set_new(doc, "damaged", json_true());
		shale_json_print(doc);
		return r;
	}
	char digest[13], when[32], size[32];
	cleanup_buf struct shale_buf line = {0};
	shale_columns_add(table, e->repo);
	shale_columns_add(table, e->tag ? e->tag : "-");
	shale_columns_add(table, shale_short_digest(&e->digest, digest));
	shale_columns_add(table, shale_human_time(&e->created, when));
	shale_columns_add(
		table,
		v ? shale_human_size(v->description.bytes, exact, size) : "?");
	shale_columns_add(table,
			  v ? shale_first_line(v->description.message, &line)
			    : "(damaged)");
	return r;
}

static int list(struct shale_ctx *ctx, const char *repo, bool all, bool exact)
{
	cleanup_store struct shale_store *store = NULL;
	cleanup_versions struct shale_version_list versions = {0};
	int r = shale_ctx_store(ctx, false, &store);
	if (r == 0)
		r = shale_store_versions(store, repo, &versions, &ctx->err);
	if (r == 0 && repo && versions.n == 0)
		r = shale_store_has_repo(store, repo, &ctx->err);
	if (r < 0)
		return r;

	static const char *const heading[] = {
		"REPOSITORY", "TAG", "DIGEST", "CREATED", ">SIZE", "<MESSAGE"};
	struct shale_columns *table = shale_columns_new(6);
	for (int i = 0; i < 6; i++)
		shale_columns_add(table, heading[i]);
	int damage = 0;
	for (size_t i = 0; i < versions.n && r == 0; i++) {
		const struct shale_version_entry *e = &versions.entries[i];
		if (!e->tag && !all)
			continue;
		if (print_entry(ctx, store, e, exact, table) < 0)
			damage = -EUCLEAN;
		if (shale_interrupted())
			r = -EINTR;
	}
	shale_columns_print(table, !ctx->json);
	if (r == 0 && damage)
		r = shale_err_say(&ctx->err, EUCLEAN,
				  "not all versions can be read; 'shale "
				  "verify' tells more");
	return r;
}

static int images_run(struct shale_ctx *ctx, int argc, char **argv)
{
	bool all = false, exact = false;
	const struct shale_opt opts[] = {
		{"all", 'a', NULL, "versions without a tag, too",
		 SHALE_OPT_FLAG, &all},
		{"bytes", 0, NULL, "sizes in bytes", SHALE_OPT_FLAG, &exact},
		{0}};
	int n;
	int r = shale_opt_parse(ctx, &shale_cmd_images, opts, argc, argv, &n);
	if (r)
		return r < 0 ? SHALE_EXIT_USAGE : SHALE_EXIT_OK;
	if (n > 1)
		return shale_usage(ctx, "one repository at most");
	if (n && shale_ref_check_repo(argv[0], &ctx->err) < 0)
		return shale_usage(ctx, "%s", ctx->err.msg);

	r = list(ctx, n ? argv[0] : NULL, all, exact);
	return r < 0 ? shale_fail(ctx, r) : SHALE_EXIT_OK;
}

const struct shale_cmd shale_cmd_images = {
	.name = "images",
	.args = "[REPOSITORY]",
	.summary = "list the images of the store",
	.detail = "One line a tag, newest first in each repository.  SIZE is "
		  "what the files of the image\nhold together; 'shale log' "
		  "shows what each version added to the store.",
	.run = images_run,
};
