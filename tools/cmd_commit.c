/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/commit/session.h"
#include "fs/workspace/workspace.h"
#include "layers/base/cleanup.h"
#include "tools/behind.h"
#include "tools/output.h"
#include "tools/space.h"
#include "tools/target.h"
#include "tools/verbs.h"
#include "tools/version_opts.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct options {
	struct shale_version_opts version;
	bool allow_empty;
};

static bool going(void *arg, const struct shale_pack_stats *stats)
{
	shale_progress_set(arg, stats->content, 0, stats->new_chunks, NULL);
	return shale_interrupted();
}

static void report_json(const struct shale_ref *ref,
			const struct shale_commit_result *result)
{
	char digest[SHALE_DIGEST_STR];
	const struct shale_version *v = result->version;

	if (!v) {
		shale_json_print(json_pack("{s:b}", "changed", 0));
		return;
	}
	shale_json_print(json_pack("{s:b, s:s, s:s, s:s, s:I, s:I, s:I, s:I}",
				   "changed", 1, "repository", ref->repo, "tag",
				   ref->tag[0] ? ref->tag : "latest", "digest",
				   shale_digest_str(&v->digest, digest),
				   "changes", (json_int_t)result->changes,
				   "tree_size", (json_int_t)result->tree_size,
				   "data_size",
				   (json_int_t)result->stats.stored,
				   "frozen_us", (json_int_t)result->frozen_us));
}

static void report(struct shale_ctx *ctx, const struct shale_ref *ref,
		   const struct shale_commit_result *result)
{
	char short_digest[13], size[32];
	const struct shale_version *v = result->version;

	if (ctx->json) {
		report_json(ref, result);
	} else if (ctx->quiet) {
		return;
	} else if (!v) {
		printf("nothing changed: no new version (--allow-empty makes "
		       "one)\n");
	} else {
		printf("%s:%s sha256:%s  %llu inodes and names, %s added\n",
		       ref->repo, ref->tag[0] ? ref->tag : "latest",
		       shale_short_digest(&v->digest, short_digest),
		       (unsigned long long)result->changes,
		       shale_human_size(result->stats.stored +
						result->tree_size,
					false, size));
		if (ctx->verbose)
			printf("writers stood still for %llu \u00b5s\n",
			       (unsigned long long)result->frozen_us);
	}
	fflush(stdout);
}

static int commit_target(struct shale_ctx *ctx, struct shale_target *target,
			 struct shale_commit *commit,
			 struct shale_commit_result *result)
{
	if (!target->workspace)
		return shale_err_say(&ctx->err, EPERM,
				     "'%s' is mounted read-only: nothing to "
				     "commit",
				     target->info.mountpoint);
	commit->store = target->store;
	if (target->mounted)
		return shale_commit_mounted(
			commit, target->info.id, target->info.mountpoint,
			target->workspace, result, &ctx->err);
	return shale_commit_resting(commit, target->workspace, result,
				    &ctx->err);
}

static int find_and_commit(struct shale_ctx *ctx, const char *arg,
			   struct shale_target *target,
			   struct shale_commit *commit,
			   struct shale_commit_result *result)
{
	unsigned tries = 0;
	int r;
	do {
		r = shale_target_find(ctx, arg, target);
		if (r < 0)
			continue;
		commit->arg = shale_progress_new(ctx, "commit");
		r = commit_target(ctx, target, commit, result);
		shale_progress_free(commit->arg);
	} while (r < 0 && !result->version &&
		 shale_target_again(ctx, target, r, &tries));
	return r;
}

/* What its changed files hold: the most that the version may add. */
static uint64_t content_of(const struct shale_target *target)
{
	return target->workspace ? shale_workspace_data_bytes(
					   shale_store_dirfd(target->store),
					   target->workspace)
				 : 0;
}

static int run(struct shale_ctx *ctx, const char *arg,
	       const struct options *opts)
{
	struct shale_description description = {0};
	struct shale_commit_result result = {0};
	struct shale_target target = {0};
	struct shale_ref ref;
	struct shale_commit commit = {
		.repo = ref.repo,
		.latest = !opts->version.no_latest,
		.allow_empty = opts->allow_empty,
		.description = &description,
		.going = going,
	};

	int r = shale_version_opts_ref(ctx, opts->version.tag, &ref);
	if (r == 0)
		r = shale_version_opts_codec(ctx, &opts->version,
					     &commit.codec);
	if (r == 0)
		r = shale_version_opts_describe(ctx, &opts->version,
						&description);
	if (r == 0) {
		commit.tag = ref.tag[0] ? ref.tag : NULL;
		r = find_and_commit(ctx, arg, &target, &commit, &result);
	}
	if (r == -ENOSPC && target.store && !result.version)
		shale_space_explain(ctx, target.store, content_of(&target));
	int code = r < 0 ? shale_fail(ctx, r) : SHALE_EXIT_OK;
	ctx->done = r == 0;
	if (r == 0)
		report(ctx, &ref, &result);
	if (r == 0 && result.version)
		shale_compact_behind(target.store, result.version);
	shale_description_release(&description);
	shale_version_free(result.version);
	shale_target_release(&target);
	return code;
}

static int commit_run(struct shale_ctx *ctx, int argc, char **argv)
{
	struct options opts = {0};
	const struct shale_opt table[] = {
		SHALE_VERSION_OPTS(&opts.version),
		{"allow-empty", 0, NULL,
		 "make a version even if nothing changed", SHALE_OPT_FLAG,
		 &opts.allow_empty},
		{0},
	};
	int n;
	int r = shale_opt_parse(ctx, &shale_cmd_commit, table, argc, argv, &n);
	if (r)
		return r < 0 ? SHALE_EXIT_USAGE : SHALE_EXIT_OK;
	if (n != 1)
		return shale_usage(ctx, "name one mount or workspace");
	if (!opts.version.tag)
		return shale_usage(ctx, "say what to call it: -t "
					"REPOSITORY[:TAG]");
	r = run(ctx, argv[0], &opts);
	return r;
}

const struct shale_cmd shale_cmd_commit = {
	.name = "commit",
	.args = "DIR|NAME -t REF",
	.summary = "make a workspace's changes the next version",
	.detail = "Works while the mount is in use: what was written before "
		  "the call is in the version.",
	.run = commit_run,
};
