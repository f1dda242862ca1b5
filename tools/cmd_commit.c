/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/commit/session.h"
#include "layers/base/cleanup.h"
#include "layers/store/compact.h"
#include "layers/store/ref.h"
#include "tools/output.h"
#include "tools/target.h"
#include "tools/verbs.h"

#include <pwd.h>
#include <stdio.h>
#include <string.h>

struct options {
	const char *tag, *author, *message, *data_version, *codec;
	struct shale_strings labels;
	bool no_latest, allow_empty;
};

static bool going(void *arg, const struct shale_pack_stats *stats)
{
	shale_progress_set(arg, stats->content, 0, stats->new_chunks, NULL);
	return shale_interrupted();
}

static void free_labels(struct shale_label *labels, size_t n)
{
	for (size_t i = 0; labels && i < n; i++)
		free(labels[i].key);
	free(labels);
}

/* KEY=VALUE each; values point into the command line.  NULL: one is not. */
static struct shale_label *parse_labels(struct shale_ctx *ctx,
					const struct shale_strings *given)
{
	struct shale_label *labels = calloc(given->n + 1, sizeof(*labels));
	for (size_t i = 0; labels && i < given->n; i++) {
		const char *eq = strchr(given->v[i], '=');
		if (!eq || eq == given->v[i]) {
			shale_usage(ctx, "--label takes KEY=VALUE, not '%s'",
				    given->v[i]);
			free_labels(labels, i);
			return NULL;
		}
		labels[i].key =
			strndup(given->v[i], (size_t)(eq - given->v[i]));
		labels[i].value = (char *)eq + 1;
	}
	return labels;
}

static void report(struct shale_ctx *ctx, const struct shale_ref *ref,
		   const struct shale_commit_result *result)
{
	char digest[SHALE_DIGEST_STR], short_digest[13], size[32];
	const struct shale_version *v = result->version;
	uint64_t added = result->stats.stored + result->tree_size;

	if (!v) {
		if (ctx->json)
			shale_json_print(json_pack("{s:b}", "changed", 0));
		else if (!ctx->quiet)
			printf("nothing changed: no new version\n");
		return;
	}
	if (ctx->json) {
		shale_json_print(json_pack(
			"{s:b, s:s, s:s, s:s, s:I, s:I, s:I}", "changed", 1,
			"repository", ref->repo, "tag",
			ref->tag[0] ? ref->tag : "latest", "digest",
			shale_digest_str(&v->digest, digest), "changes",
			(json_int_t)result->changes, "tree_size",
			(json_int_t)result->tree_size, "data_size",
			(json_int_t)result->stats.stored));
		return;
	}
	if (!ctx->quiet)
		printf("%s:%s %s  %llu changes, %s added\n", ref->repo,
		       ref->tag[0] ? ref->tag : "latest",
		       shale_short_digest(&v->digest, short_digest),
		       (unsigned long long)result->changes,
		       shale_human_size(added, false, size));
}

static int commit_target(struct shale_ctx *ctx, struct shale_target *target,
			 struct shale_commit *commit,
			 struct shale_commit_result *result)
{
	if (!target->workspace)
		return shale_err_say(&ctx->err, EROFS,
				     "'%s' is mounted read-only: nothing to "
				     "commit",
				     target->mountpoint);
	commit->store = target->store;
	if (target->mountpoint)
		return shale_commit_mounted(
			commit, target->id, target->mountpoint,
			target->workspace, result, &ctx->err);
	return shale_commit_resting(commit, target->workspace, result,
				    &ctx->err);
}

static int run(struct shale_ctx *ctx, const char *arg,
	       const struct options *opts, const struct shale_ref *ref,
	       struct shale_label *labels)
{
	struct passwd *user = opts->author ? NULL : getpwuid(geteuid());
	struct shale_commit commit = {
		.repo = ref->repo,
		.tag = ref->tag[0] ? ref->tag : NULL,
		.latest = !opts->no_latest,
		.allow_empty = opts->allow_empty,
		.author = opts->author ? opts->author
			  : user       ? user->pw_name
				       : NULL,
		.message = opts->message,
		.data_version = opts->data_version,
		.labels = labels,
		.n_labels = opts->labels.n,
		.codec = SHALE_CODEC_DEFAULT,
		.going = going,
	};
	struct shale_commit_result result = {0};
	struct shale_target target;
	int r = 0;
	if (opts->codec)
		r = shale_codec_parse(opts->codec, &commit.codec, &ctx->err);
	if (r < 0)
		return shale_usage(ctx, "%s", ctx->err.msg);

	r = shale_target_find(ctx, arg, &target);
	if (r == 0) {
		commit.arg = shale_progress_new(ctx, "commit");
		r = commit_target(ctx, &target, &commit, &result);
		shale_progress_free(commit.arg);
	}
	int code = r < 0 ? shale_fail(ctx, r) : SHALE_EXIT_OK;
	if (r == 0)
		report(ctx, ref, &result);
	if (r == 0 && result.version &&
	    shale_compact_prepare(target.store, result.version, &ctx->err) < 0)
		shale_warn(ctx,
			   "the version is there; merging older layers: "
			   "%s",
			   ctx->err.msg);
	shale_version_free(result.version);
	shale_target_release(&target);
	return code;
}

static int commit_run(struct shale_ctx *ctx, int argc, char **argv)
{
	struct options opts = {0};
	const struct shale_opt table[] = {
		{"tag", 't', "REF", "repository and tag of the new version",
		 SHALE_OPT_STRING, &opts.tag},
		{"author", 'a', "TEXT", "who made it (default: your login)",
		 SHALE_OPT_STRING, &opts.author},
		{"message", 'm', "TEXT", "what changed", SHALE_OPT_STRING,
		 &opts.message},
		{"data-version", 0, "V", "the data's own version",
		 SHALE_OPT_STRING, &opts.data_version},
		{"label", 0, "K=V", "a label; may be repeated", SHALE_OPT_LIST,
		 &opts.labels},
		{"codec", 0, "CODEC",
		 "lz4 (default), lz4hc, zstd, none[:LEVEL]", SHALE_OPT_STRING,
		 &opts.codec},
		{"no-latest", 0, NULL, "leave the tag 'latest' where it is",
		 SHALE_OPT_FLAG, &opts.no_latest},
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
	if (!opts.tag)
		return shale_usage(ctx, "say what to call it: -t "
					"REPOSITORY[:TAG]");

	struct shale_ref ref;
	if (shale_ref_parse(opts.tag, &ref, &ctx->err) < 0)
		return shale_usage(ctx, "%s", ctx->err.msg);
	if (!ref.repo[0] || ref.digest[0] || ref.ancestor)
		return shale_usage(ctx, "'%s' is not REPOSITORY[:TAG]",
				   opts.tag);
	struct shale_label *labels = parse_labels(ctx, &opts.labels);
	if (!labels)
		return SHALE_EXIT_USAGE;
	r = run(ctx, argv[0], &opts, &ref, labels);
	free_labels(labels, opts.labels.n);
	free(opts.labels.v);
	return r;
}

const struct shale_cmd shale_cmd_commit = {
	.name = "commit",
	.args = "DIR|NAME -t REF",
	.summary = "Make a workspace's changes the next version",
	.detail = "Works while the mount is in use: what was written before "
		  "the call is in the version.",
	.run = commit_run,
};
