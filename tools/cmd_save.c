/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/base/cleanup.h"
#include "layers/ops/archive_out.h"
#include "layers/ops/outfile.h"
#include "layers/ops/save.h"
#include "layers/store/ref.h"
#include "tools/job.h"
#include "tools/verbs.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

struct saving {
	struct shale_job job;
	const char *file, *at;
	bool history, all;
	struct shale_archive_form form;
	struct shale_save_result sum;
};

/* A repository as a whole: it need not have a version tagged latest. */
static bool is_repo(const struct saving *s, struct shale_store *store,
		    const char *text)
{
	return !s->at && shale_ref_check_repo(text, NULL) == 0 &&
	       shale_store_has_repo(store, text, NULL) == 0;
}

/* One REF, with what the options add to it. */
static int choose(struct saving *s, struct shale_store *store, const char *text,
		  struct shale_save_list *list)
{
	struct shale_version *v = NULL;
	struct shale_ref ref;

	if (s->all && is_repo(s, store, text)) {
		shale_save_list_add_repo(list, text);
		return 0;
	}
	int r = shale_ctx_resolve(s->job.ctx, store, text, s->at, &v);
	if (r == 0)
		r = shale_ref_parse(text, &ref, &s->job.ctx->err);
	if (r < 0) {
		shale_version_free(v);
		return r;
	}
	bool named = !ref.digest[0] && !ref.ancestor && !s->at &&
		     !strcmp(ref.repo, v->repo);
	const char *tag = !named ? NULL : ref.tag[0] ? ref.tag : "latest";
	if (s->all)
		shale_save_list_add_repo(list, v->repo);
	else if (s->history)
		shale_save_list_add_history(list, v->repo, &v->digest);
	else
		shale_save_list_add(list, v->repo, tag, &v->digest);
	shale_version_free(v);
	return 0;
}

static int write_file(struct saving *s, struct shale_store *store,
		      const struct shale_save_list *list)
{
	const struct shale_save_calls calls = {shale_job_cancelled,
					       shale_job_progress, s};
	struct shale_outfile file;
	int r = shale_outfile_open(&file, s->file, &s->job.ctx->err);
	if (r < 0)
		return r;
	/* A reader that went away is an error to be told. */
	signal(SIGPIPE, SIG_IGN);
	s->job.progress = shale_progress_new(s->job.ctx, "save");
	r = shale_save(store, list, file.fd, &s->form, &calls, &s->sum,
		       &s->job.ctx->err);
	if (r == 0)
		r = shale_outfile_commit(&file, NULL, &s->job.ctx->err);
	shale_progress_free(s->job.progress);
	shale_outfile_release(&file);
	return r;
}

static void report(const struct saving *s)
{
	char size[32];
	if (!strcmp(s->file, "-") || (s->job.ctx->quiet && !s->job.ctx->json))
		return;
	if (s->job.ctx->json)
		shale_json_print(json_pack("{s:s, s:I, s:I, s:I}", "file",
					   s->file, "versions",
					   (json_int_t)s->sum.versions, "blobs",
					   (json_int_t)s->sum.blobs, "bytes",
					   (json_int_t)s->sum.bytes));
	else
		printf("%s: %llu version%s, %s\n", s->file,
		       (unsigned long long)s->sum.versions,
		       s->sum.versions == 1 ? "" : "s",
		       shale_human_size(s->sum.bytes, false, size));
}

static int run(struct saving *s, char *const *refs, int n)
{
	struct shale_save_list list = {0};
	struct shale_store *store = NULL;
	int r = shale_ctx_store(s->job.ctx, false, &store);
	if (r == 0)
		r = shale_save_list_init(&list, store, &s->job.ctx->err);
	for (int i = 0; i < n && r == 0; i++)
		r = choose(s, store, refs[i], &list);
	if (r == 0)
		r = write_file(s, store, &list);
	shale_save_list_release(&list);
	shale_store_close(store);
	if (r < 0)
		return shale_fail(s->job.ctx, r);
	report(s);
	return SHALE_EXIT_OK;
}

static int save_run(struct shale_ctx *ctx, int argc, char **argv)
{
	struct saving s = {.job = {.ctx = ctx}};
	const struct shale_opt table[] = {
		{"output", 'o', "FILE", "the file to write, or '-'",
		 SHALE_OPT_STRING, &s.file},
		{"history", 0, NULL, "with all versions that came before",
		 SHALE_OPT_FLAG, &s.history},
		{"all", 0, NULL, "every version of the repositories",
		 SHALE_OPT_FLAG, &s.all},
		{"at", 0, "TIME", "the newest version at or before TIME",
		 SHALE_OPT_STRING, &s.at},
		{0},
	};
	int n;
	int r = shale_opt_parse(ctx, &shale_cmd_save, table, argc, argv, &n);
	if (r)
		return r < 0 ? SHALE_EXIT_USAGE : SHALE_EXIT_OK;
	if (n == 0)
		return shale_usage(ctx, "which images? REF...");
	if (!s.file || !*s.file)
		return shale_usage(ctx, "where to? -o FILE");
	if (!strcmp(s.file, "-") && isatty(STDOUT_FILENO))
		return shale_usage(ctx, "a saved file is not for a terminal: "
					"redirect standard output, or name a "
					"file");
	if (shale_archive_form_of(s.file, &s.form) &&
	    s.form.format != SHALE_FORM_TAR)
		return shale_usage(ctx, "a saved file is a tar, not a zip");
	return run(&s, argv, n);
}

const struct shale_cmd shale_cmd_save = {
	.name = "save",
	.args = "REF... -o FILE",
	.summary = "write whole images into one portable file",
	.detail =
		"FILE is an OCI archive: a tar that skopeo and podman read "
		"too, "
		"compressed if its\nname ends in .tar.gz or .tar.zst; '-' is "
		"standard output.  It holds data, metadata\nand description of "
		"each version; what versions share stands once, and each blob "
		"is\nchecked while it is copied.  For people and scripts, "
		"versions/REPOSITORY:TAG/ has\ndescription.json and "
		"metadata.json.\n\nA REF that is a tag keeps that tag, and no "
		"other.  --history adds all versions that\nit came from, --all "
		"every version of its repository; both with all of their "
		"tags.\n\nFILE appears when it is whole, in place of a file of "
		"that name.  The same images\ngive the same bytes.  'shale "
		"load' reads it.",
	.run = save_run,
};
