/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/imagedoc.h"
#include "tools/job.h"
#include "tools/verbs.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

struct writing {
	struct shale_job job;
	uint64_t total; /* bytes that are read for digests */
};

static void progress(void *arg, uint64_t bytes, uint64_t files)
{
	const struct writing *w = arg;
	shale_progress_set(w->job.progress, bytes, w->total, files, NULL);
}

static void damaged(void *arg, const char *path, const char *what)
{
	const struct writing *w = arg;
	shale_warn(w->job.ctx, "%s: %s", path, what);
}

static int64_t write_document(struct writing *w,
			      const struct shale_version *version,
			      const struct shale_image *image,
			      struct shale_imagedoc_opts *opts)
{
	opts->cancelled = shale_job_cancelled;
	opts->progress = progress;
	opts->damaged = damaged;
	opts->arg = w;
	w->total = opts->digests ? shale_index_bytes(image->index) : 0;
	w->job.progress = shale_progress_new(w->job.ctx, "metadata");
	int64_t r = shale_imagedoc_write(image, &version->digest, STDOUT_FILENO,
					 opts, &w->job.ctx->err);
	shale_progress_free(w->job.progress);
	return r;
}

static int64_t open_and_write(struct shale_ctx *ctx, const char *ref,
			      const char *at, struct shale_imagedoc_opts *opts)
{
	struct writing w = {.job = {.ctx = ctx}};
	struct shale_store *store = NULL;
	struct shale_version *version = NULL;
	struct shale_image *image = NULL;

	int64_t r = shale_ctx_store(ctx, false, &store);
	if (r == 0)
		r = shale_ctx_resolve(ctx, store, ref, at, &version);
	if (r == 0)
		r = shale_ctx_open(ctx, store, version, &image);
	if (r == 0)
		r = write_document(&w, version, image, opts);
	shale_image_close(image);
	shale_version_free(version);
	shale_store_close(store);
	return r;
}

static int run(struct shale_ctx *ctx, int argc, char **argv)
{
	struct shale_imagedoc_opts how = {0};
	const char *at = NULL;
	const struct shale_opt opts[] = {
		{"digest", 0, NULL, "SHA-256 of each file's content, too",
		 SHALE_OPT_FLAG, &how.digests},
		{"at", 0, "TIME", "the newest version at or before TIME",
		 SHALE_OPT_STRING, &at},
		{0},
	};
	int n;
	int r = shale_opt_parse(ctx, &shale_cmd_metadata, opts, argc, argv, &n);
	if (r)
		return r < 0 ? SHALE_EXIT_USAGE : SHALE_EXIT_OK;
	if (n != 1)
		return shale_usage(ctx, n ? "one image at a time"
					  : "which image? REF");

	signal(SIGPIPE, SIG_IGN); /* who reads us may have seen enough */
	int64_t bad = open_and_write(ctx, argv[0], at, &how);
	if (bad > 0) {
		shale_err_say(&ctx->err, EUCLEAN,
			      "%lld files of '%s' are damaged; they have no "
			      "digest",
			      (long long)bad, argv[0]);
		bad = -EUCLEAN;
	}
	return bad < 0 && bad != -EPIPE ? shale_fail(ctx, (int)bad)
					: SHALE_EXIT_OK;
}

const struct shale_cmd shale_cmd_metadata = {
	.name = "metadata",
	.args = "REF",
	.summary = "write a JSON document of all files of an image",
	.detail =
		"One object with a line for each path, in order: type, size, "
		"mtime, mode, owner and\ninode (names with one inode are hard "
		"links).  With --digest all contents are read, in\nparallel "
		"and each once; a damaged file has 'damage' in place of "
		"'digest', and the\nexit code is 14.",
	.run = run,
};
