/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/base/cleanup.h"
#include "layers/ops/save.h"
#include "tools/job.h"
#include "tools/output.h"
#include "tools/verbs.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

struct loading {
	struct shale_job job;
};

/* ------------------------------------------------------------------- result */

static const char *const outcomes[] = {
	[SHALE_TAKEN_NEW] = "new",         [SHALE_TAKEN_SAME] = "same",
	[SHALE_TAKEN_FORWARD] = "forward", [SHALE_TAKEN_OLDER] = "older",
	[SHALE_TAKEN_MOVED] = "moved",     [SHALE_TAKEN_KEPT] = "kept",
};

static void name_of(const struct shale_take *t, char *out, size_t size)
{
	char id[13];
	snprintf(out, size, "%s%s%s", t->repo, t->tag ? ":" : "@sha256:",
		 t->tag ? t->tag : shale_short_digest(&t->version->digest, id));
}

static void print_item(const struct shale_take *t)
{
	char id[13], was[13], name[512];
	name_of(t, name, sizeof(name));
	printf("%s  sha256:%s", name,
	       shale_short_digest(&t->version->digest, id));
	shale_short_digest(&t->was, was);
	switch (t->outcome) {
	case SHALE_TAKEN_NEW:
		break;
	case SHALE_TAKEN_SAME:
		printf("  was here already");
		break;
	case SHALE_TAKEN_FORWARD:
		printf("  moved forward from sha256:%s", was);
		break;
	case SHALE_TAKEN_OLDER:
		printf("  stays at sha256:%s, which is newer", was);
		break;
	case SHALE_TAKEN_MOVED:
		printf("  moved from sha256:%s, which stays in the log", was);
		break;
	case SHALE_TAKEN_KEPT:
		printf("  the tag stays at sha256:%s", was);
		break;
	}
	putchar('\n');
}

static json_t *item_json(const struct shale_take *t)
{
	char digest[SHALE_DIGEST_STR];
	return json_pack(
		"{s:s, s:s*, s:s, s:s, s:b}", "repository", t->repo, "tag",
		t->tag, "digest", shale_digest_str(&t->version->digest, digest),
		"outcome", outcomes[t->outcome], "new_version", t->new_version);
}

static void print_json(const struct shale_loaded *sum, size_t versions)
{
	json_t *images = json_array();
	for (size_t i = 0; i < sum->n; i++)
		json_array_append_new(images, item_json(&sum->items[i]));
	shale_json_print(json_pack("{s:I, s:I, s:I, s:o}", "versions",
				   (json_int_t)versions, "blobs",
				   (json_int_t)sum->blobs, "bytes",
				   (json_int_t)sum->bytes, "images", images));
}

static enum shale_exit report(struct shale_ctx *ctx,
			      const struct shale_loaded *sum)
{
	size_t versions = 0, kept = 0;
	char size[32], name[512], was[13];
	for (size_t i = 0; i < sum->n; i++) {
		const struct shale_take *t = &sum->items[i];
		versions += t->new_version;
		if (t->outcome != SHALE_TAKEN_KEPT)
			continue;
		kept++;
		name_of(t, name, sizeof(name));
		shale_warn(ctx,
			   "'%s' names sha256:%s here, on another line, and "
			   "stays; the version was loaded without the tag: "
			   "--force moves it",
			   name, shale_short_digest(&t->was, was));
	}
	if (ctx->json) {
		print_json(sum, versions);
	} else if (!ctx->quiet) {
		for (size_t i = 0; i < sum->n; i++)
			print_item(&sum->items[i]);
		printf("%zu new version%s, %s\n", versions,
		       versions == 1 ? "" : "s",
		       shale_human_size(sum->bytes, false, size));
	}
	return kept ? SHALE_EXIT_PARTLY : SHALE_EXIT_OK;
}

/* --------------------------------------------------------------------- work */

static int load(struct loading *l, const char *file, bool force,
		struct shale_loaded *sum)
{
	const struct shale_save_calls calls = {shale_job_cancelled,
					       shale_job_progress, l};
	struct shale_err *err = &l->job.ctx->err;
	bool piped = strcmp(file, "-") == 0;
	struct shale_store *store = NULL;
	cleanup_fd int fd = piped ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
				  : open(file, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return shale_err_set(err, errno, "open '%s'", file);
	int r = shale_ctx_store(l->job.ctx, true, &store);
	if (r < 0)
		return r;
	l->job.progress = shale_progress_new(l->job.ctx, "load");
	r = shale_load(store, fd, force, &calls, sum, err);
	shale_progress_free(l->job.progress);
	shale_store_close(store);
	return r < 0 && r != -EINTR
		       ? shale_err_wrap(err, r, "'%s'",
					piped ? "standard input" : file)
		       : r;
}

static int load_run(struct shale_ctx *ctx, int argc, char **argv)
{
	struct loading l = {.job = {.ctx = ctx}};
	struct shale_loaded sum = {0};
	const char *file = NULL;
	bool force = false;
	const struct shale_opt table[] = {
		{"input", 'i', "FILE", "the file to read, or '-'",
		 SHALE_OPT_STRING, &file},
		{"force", 'f', NULL, "move tags that name something else here",
		 SHALE_OPT_FLAG, &force},
		{0},
	};
	int n;
	int r = shale_opt_parse(ctx, &shale_cmd_load, table, argc, argv, &n);
	if (r)
		return r < 0 ? SHALE_EXIT_USAGE : SHALE_EXIT_OK;
	if (n > 0)
		return shale_usage(ctx, "all images of the file are loaded; "
					"which file? -i FILE");
	if (!file || !*file)
		return shale_usage(ctx, "which file? -i FILE");
	if (!strcmp(file, "-") && isatty(STDIN_FILENO))
		return shale_usage(ctx, "a saved file does not come from a "
					"terminal: redirect standard input");
	r = load(&l, file, force, &sum);
	ctx->done = r == 0;
	int code = r < 0 ? shale_fail(ctx, r) : (int)report(ctx, &sum);
	shale_loaded_release(&sum);
	return code;
}

const struct shale_cmd shale_cmd_load = {
	.name = "load",
	.args = "-i FILE",
	.summary = "read images from a file that 'shale save' wrote",
	.detail = "FILE is a saved file, or another OCI archive with Shale "
		  "images in it, compressed or\nnot; '-' is standard input.  "
		  "Every blob is checked against its digest.  All of the\n"
		  "file's images come in at once, or, if it is damaged or cut "
		  "short, none.\n\nA tag that is here moves forward along its "
		  "line, as after a fast-forward in git.  One\nthat names "
		  "another line stays, and the exit code is 3; the version is "
		  "loaded without\nit, and 'shale log' has it.  --force moves "
		  "such tags; no version is lost by that.",
	.run = load_run,
};
