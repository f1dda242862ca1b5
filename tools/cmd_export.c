/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/base/clock.h"
#include "tools/export_to.h"
#include "tools/job.h"
#include "tools/output.h"
#include "tools/verbs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

struct exporting {
	struct shale_job job;
	bool piped; /* standard output is the archive */
};

static int parse_overwrite(struct shale_ctx *ctx, const char *text,
			   enum shale_overwrite *out)
{
	static const char *const word[] = {"never", "if-changed", "always"};
	for (int i = 0; i < 3; i++) {
		if (strcmp(text, word[i]) == 0) {
			*out = (enum shale_overwrite)i;
			return 0;
		}
	}
	shale_usage(ctx, "--overwrite is never, if-changed or always, not '%s'",
		    text);
	return -EINVAL;
}

static enum shale_exit report(struct exporting *x, const char *dest,
			      const struct shale_export_result *sum,
			      double seconds)
{
	char size[32];
	if (x->piped) {
		/* nothing but the archive goes there */
	} else if (x->job.ctx->json) {
		json_t *doc = json_pack(
			"{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:O}", "dest",
			dest, "made", (json_int_t)sum->made, "unchanged",
			(json_int_t)sum->unchanged, "bytes",
			(json_int_t)sum->bytes, "exists",
			(json_int_t)sum->exists, "left_out",
			(json_int_t)sum->left_out, "damaged",
			(json_int_t)sum->damaged, "seconds", seconds,
			"problems", x->job.problems);
		shale_json_print(doc);
	} else if (!x->job.ctx->quiet) {
		printf("%s: %llu made", dest, (unsigned long long)sum->made);
		if (sum->unchanged)
			printf(", %llu unchanged",
			       (unsigned long long)sum->unchanged);
		if (sum->exists)
			printf(", %llu left as they were",
			       (unsigned long long)sum->exists);
		if (sum->left_out)
			printf(", %llu left out",
			       (unsigned long long)sum->left_out);
		printf(", %s in %.1f s\n",
		       shale_human_size(sum->bytes, false, size), seconds);
	}
	if (sum->damaged)
		return SHALE_EXIT_DAMAGE;
	return sum->exists || sum->left_out || sum->xattrs ? SHALE_EXIT_PARTLY
							   : SHALE_EXIT_OK;
}

/* --------------------------------------------------------------- arguments */

struct asked {
	const char *dest, *overwrite, *at, *format;
	bool no_owner, no_xattrs;
	bool archive; /* DEST is one */
	struct shale_archive_form form;
};

static bool is_directory(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Does it look like an archive of a kind that we do not write? */
static bool names_other_archive(const char *dest)
{
	static const char *const ends[] = {".gz", ".xz",   ".bz2", ".zst",
					   ".7z", ".cpio", ".rar", ".lz4"};
	size_t len = strlen(dest);
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		size_t n = strlen(ends[i]);
		if (len > n && strcasecmp(dest + len - n, ends[i]) == 0)
			return true;
	}
	return false;
}

/* Is DEST an archive, and of which form?  -EINVAL: said already. */
static int parse_dest(struct shale_ctx *ctx, struct asked *a)
{
	bool piped = strcmp(a->dest, "-") == 0;
	if (a->format) {
		char name[32];
		snprintf(name, sizeof(name), "x.%s", a->format);
		a->archive = shale_archive_form_of(name, &a->form);
		if (!a->archive) {
			shale_usage(ctx,
				    "--format is tar, tar.gz, tar.zst or zip, "
				    "not '%s'",
				    a->format);
			return -EINVAL;
		}
	} else if (piped) {
		a->archive = true;
	} else if (!is_directory(a->dest)) {
		a->archive = shale_archive_form_of(a->dest, &a->form);
		if (!a->archive && names_other_archive(a->dest)) {
			shale_usage(ctx,
				    "'%s': .tar, .tar.gz, .tar.zst and .zip "
				    "are what can be written",
				    a->dest);
			return -EINVAL;
		}
	}
	if (piped && isatty(STDOUT_FILENO)) {
		shale_usage(ctx, "an archive is not for a terminal: redirect "
				 "standard output, or name a file");
		return -EINVAL;
	}
	if (a->archive && a->no_owner) {
		shale_usage(ctx, "--no-same-owner goes with a directory; an "
				 "archive's owners are for who extracts it");
		return -EINVAL;
	}
	return 0;
}

static int run(struct shale_ctx *ctx, const char *ref, const struct asked *a,
	       struct shale_export_opts *opts)
{
	struct exporting x = {.job = {.ctx = ctx}};
	struct shale_export_result sum = {0};
	struct shale_image_arg arg;
	uint64_t start = shale_clock_ns();

	opts->cancelled = shale_job_cancelled;
	opts->progress = shale_job_progress;
	opts->problem = shale_job_problem;
	opts->arg = &x;
	int r = shale_image_arg_open(ctx, ref, a->at, true, &arg);
	if (r == 0) {
		x.piped = strcmp(a->dest, "-") == 0;
		x.job.problems = ctx->json && !x.piped ? json_array() : NULL;
		x.job.progress = shale_progress_new(ctx, "export");
		r = a->archive ? shale_export_to_archive(ctx, &arg, a->dest,
							 &a->form, opts, &sum)
			       : shale_export_to_dir(ctx, &arg, a->dest, opts,
						     &sum);
		shale_progress_free(x.job.progress);
		shale_image_arg_close(&arg);
	}
	double seconds = (double)(shale_clock_ns() - start) / 1e9;
	int code = r < 0 ? shale_fail(ctx, r)
			 : (int)report(&x, a->dest, &sum, seconds);
	json_decref(x.job.problems);
	return code;
}

static int export_run(struct shale_ctx *ctx, int argc, char **argv)
{
	struct asked a = {0};
	const struct shale_opt table[] = {
		{"output", 'o', "DEST", "a directory, an archive, or '-'",
		 SHALE_OPT_STRING, &a.dest},
		{"overwrite", 0, "never|if-changed|always",
		 "what happens to what is there (default: never)",
		 SHALE_OPT_STRING, &a.overwrite},
		{"format", 0, "tar|tar.gz|tar.zst|zip",
		 "of an archive (default: as DEST is called)", SHALE_OPT_STRING,
		 &a.format},
		{"no-same-owner", 0, NULL,
		 "files are the caller's, without setuid bits", SHALE_OPT_FLAG,
		 &a.no_owner},
		{"no-xattrs", 0, NULL, "without extended attributes",
		 SHALE_OPT_FLAG, &a.no_xattrs},
		{"at", 0, "TIME", "the newest version at or before TIME",
		 SHALE_OPT_STRING, &a.at},
		{0},
	};
	struct shale_export_opts opts = {0};
	int n;
	int r = shale_opt_parse(ctx, &shale_cmd_export, table, argc, argv, &n);
	if (r)
		return r < 0 ? SHALE_EXIT_USAGE : SHALE_EXIT_OK;
	if (n != 1)
		return shale_usage(ctx, n ? "one image at a time"
					  : "which image? REF[:/path]");
	if (!a.dest || !*a.dest)
		return shale_usage(ctx, "where to? -o DEST");
	if (parse_dest(ctx, &a) < 0)
		return SHALE_EXIT_USAGE;
	/* An archive is one file, and a new one is what was asked for. */
	if (!a.overwrite)
		a.overwrite = a.archive ? "always" : "never";
	if (parse_overwrite(ctx, a.overwrite, &opts.overwrite) < 0)
		return SHALE_EXIT_USAGE;
	opts.same_owner = !a.no_owner;
	opts.no_xattrs = a.no_xattrs;
	return run(ctx, argv[0], &a, &opts);
}

const struct shale_cmd shale_cmd_export = {
	.name = "export",
	.args = "REF[:/path] -o DEST",
	.summary = "write an image, or a part of one, into a directory or an "
		   "archive",
	.detail =
		"DEST is a directory, which is made if need be; an archive, "
		"by its name: .tar,\n.tar.gz (.tgz), .tar.zst (.tzst) or "
		".zip; or '-', a tar on standard output.\n--format names the "
		"form whatever the name is.\n\nInto a directory: what is "
		"there already stays unless --overwrite says otherwise;\nwhat "
		"was left is listed, and the exit code is 3.  Owners, setuid "
		"bits and devices\nare restored for root.  Each file is "
		"written "
		"as .shale- with 16 hexadecimal digits\nbeside its name, then "
		"renamed; all is on disk when it says that it is done.  An\n"
		"export that was killed may leave such files, which can be "
		"deleted; after a power cut\nrun it again with --overwrite "
		"always.\n\nAn archive "
		"appears when it is whole, in place of a file of that name; "
		"with\n--overwrite never such a file is left (exit code 3), "
		"with if-changed one that\nwould be the same is not touched.  "
		"One version always gives the same bytes.\n\nA tar (pax) "
		"holds everything but sockets.  A zip holds files, directories "
		"and\nsymlinks, with modes and times of whole seconds; a file "
		"with several names is\nseveral files in it.  What an archive "
		"cannot hold is listed, and the exit code is\n3.",
	.run = export_run,
};
