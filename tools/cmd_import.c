/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/base/cleanup.h"
#include "layers/base/clock.h"
#include "layers/ops/import.h"
#include "layers/store/ref.h"
#include "tools/behind.h"
#include "tools/job.h"
#include "tools/output.h"
#include "tools/space.h"
#include "tools/verbs.h"
#include "tools/version_opts.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* What the command line says. */
struct asked {
	struct shale_version_opts version;
	const char *onto, *at, *prefix, *xattrs, *threads, *layer;
	struct shale_strings exclude;
	bool checksum;
};

struct importing {
	struct shale_job job;
	const struct asked *asked;
	struct shale_store *store;
	struct shale_version *parent, *version;
	struct shale_ref ref; /* where it goes */
	struct shale_import_opts opts;
	struct shale_import_result sum;
	uint64_t start; /* shale_clock_ns() */
};

/* ----------------------------------------------------------------- options */

struct word {
	const char *word;
	int value;
};

static const struct word xattr_words[] = {
	{"none", SHALE_XATTRS_NONE},
	{"user", SHALE_XATTRS_USER},
	{"all", SHALE_XATTRS_ALL},
	{0},
};
static const struct word layer_words[] = {
	{"overlay", SHALE_LAYER_OVERLAY},
	{"oci", SHALE_LAYER_OCI},
	{0},
};

/* The value of one of `words`; -EINVAL with `usage` and what was given. */
static int parse_word(struct importing *x, const struct word *words,
		      const char *text, const char *usage)
{
	for (; words->word; words++) {
		if (strcmp(text, words->word) == 0)
			return words->value;
	}
	return shale_err_say(&x->job.ctx->err, EINVAL, "%s, not '%s'", usage,
			     text);
}

static int parse_words(struct importing *x)
{
	const struct asked *asked = x->asked;
	int r = 0;
	if (asked->xattrs)
		r = parse_word(x, xattr_words, asked->xattrs,
			       "--xattrs is none, user or all");
	if (r < 0)
		return r;
	x->opts.xattrs = (enum shale_xattr_policy)r;
	r = asked->layer ? parse_word(x, layer_words, asked->layer,
				      "--as-layer is overlay or oci")
			 : 0;
	if (r < 0)
		return r;
	x->opts.layer = (enum shale_layer_kind)r;
	return 0;
}

static int parse_threads(struct importing *x, const char *text)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || n == 0 || n > 1024)
		return shale_err_say(&x->job.ctx->err, EINVAL,
				     "-j takes a number of threads, not '%s'",
				     text);
	x->opts.threads = (unsigned)n;
	return 0;
}

static int check_prefix(struct importing *x, const char *text)
{
	cleanup_free char *path = strdup(text);
	size_t len;
	if (!path)
		return shale_err_set(&x->job.ctx->err, ENOMEM, "import");
	int r = shale_arrival_clean_path(path, &len, &x->job.ctx->err);
	return r < 0 ? shale_err_wrap(&x->job.ctx->err, r, "--prefix") : 0;
}

/* Where the version goes: -t, or where its parent is. */
static int parse_target(struct importing *x)
{
	const struct asked *asked = x->asked;
	const char *tag = asked->version.tag;
	struct shale_ref onto;

	if (tag)
		return shale_version_opts_ref(x->job.ctx, tag, &x->ref);
	int r = shale_ref_parse(asked->onto, &onto, &x->job.ctx->err);
	if (r == 0)
		r = shale_version_opts_ref(
			x->job.ctx, onto.repo[0] ? onto.repo : asked->onto,
			&x->ref);
	x->ref.tag[0] = '\0';
	return r;
}

static int parse_options(struct importing *x)
{
	const struct asked *asked = x->asked;
	int r = parse_target(x);
	if (r == 0)
		r = shale_version_opts_codec(x->job.ctx, &asked->version,
					     &x->opts.codec);
	if (r == 0)
		r = parse_words(x);
	if (r == 0 && asked->threads)
		r = parse_threads(x, asked->threads);
	x->opts.exclude =
		(struct shale_exclude){asked->exclude.v, asked->exclude.n};
	if (r == 0 && asked->prefix)
		r = check_prefix(x, asked->prefix);
	x->opts.prefix = asked->prefix;
	x->opts.checksum = asked->checksum;
	x->opts.cancelled = shale_job_cancelled;
	x->opts.progress = shale_job_progress;
	x->opts.problem = shale_job_problem;
	x->opts.arg = x;
	x->job.ctx->wrong_usage = r == -EINVAL;
	return r;
}

static int describe(struct importing *x)
{
	x->version = calloc(1, sizeof(*x->version));
	if (!x->version)
		return shale_err_set(&x->job.ctx->err, ENOMEM, "import");
	return shale_version_opts_describe(x->job.ctx, &x->asked->version,
					   &x->version->description);
}

/* ------------------------------------------------------------------ result */

/* 22000 as "22,000"; `out` has 32 bytes. */
static char *grouped(uint64_t n, char *out)
{
	char digits[24];
	int len =
		snprintf(digits, sizeof(digits), "%llu", (unsigned long long)n);
	char *at = out;
	for (int i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			*at++ = ',';
		*at++ = digits[i];
	}
	*at = '\0';
	return out;
}

static double seconds_since(uint64_t start)
{
	return (double)(shale_clock_ns() - start) / 1e9;
}

static void print_json(struct importing *x, const struct shale_digest *digest)
{
	const struct shale_import_result *sum = &x->sum;
	char text[SHALE_DIGEST_STR];
	json_t *doc = json_pack(
		"{s:s, s:s*, s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, "
		"s:f, s:O}",
		"repository", x->ref.repo, "tag",
		x->ref.tag[0]                 ? x->ref.tag
		: x->asked->version.no_latest ? NULL
					      : "latest",
		"digest", shale_digest_str(digest, text), "new_version",
		!sum->nothing_changed, "names", (json_int_t)sum->names, "files",
		(json_int_t)sum->files, "bytes", (json_int_t)sum->bytes,
		"stored", (json_int_t)sum->stored, "shared",
		(json_int_t)sum->shared, "added", (json_int_t)sum->added,
		"changed", (json_int_t)sum->changed, "deleted",
		(json_int_t)sum->deleted, "seconds", seconds_since(x->start),
		"problems", x->job.problems);
	shale_json_print(doc);
}

/* Is what -t names the parent, when no version has been made? */
static bool names_parent(const struct importing *x)
{
	struct shale_version *named = NULL;
	int r = shale_store_resolve(x->store, x->asked->version.tag, NULL,
				    &named, NULL);
	bool same = r == 0 &&
		    shale_digest_equal(&named->digest, &x->parent->digest);
	shale_version_free(named);
	return same;
}

static void print_text(struct importing *x, const struct shale_digest *digest)
{
	const struct shale_import_result *sum = &x->sum;
	char id[13], files[32], bytes[32], stored[32], shared[32];
	const char *tag = x->ref.tag;
	shale_short_digest(digest, id);
	if (!tag[0] && !x->asked->version.no_latest)
		tag = "latest";
	if (sum->nothing_changed) {
		printf("nothing changed: sha256:%s stays the newest of its "
		       "line, no new version\n",
		       id);
		if (x->ref.tag[0] && !names_parent(x))
			printf("'%s:%s' is not made; for a further tag of "
			       "that version:\n"
			       "  shale tag %s@%s %s:%s\n",
			       x->ref.repo, tag, x->parent->repo, id,
			       x->ref.repo, tag);
		return;
	}
	printf("%s%s%s sha256:%s  %s %s, %s \u2192 %s stored in %.1f s",
	       x->ref.repo, tag[0] ? ":" : "", tag, id,
	       grouped(sum->files, files), sum->files == 1 ? "file" : "files",
	       shale_human_size(sum->bytes, false, bytes),
	       shale_human_size(sum->stored, false, stored),
	       seconds_since(x->start));
	if (sum->shared)
		printf(" (%s shared)",
		       shale_human_size(sum->shared, false, shared));
	if (x->parent)
		printf("; %llu added, %llu changed, %llu deleted",
		       (unsigned long long)sum->added,
		       (unsigned long long)sum->changed,
		       (unsigned long long)sum->deleted);
	putchar('\n');
}

static enum shale_exit report(struct importing *x)
{
	const struct shale_digest *digest = x->sum.nothing_changed
						    ? &x->parent->digest
						    : &x->version->digest;
	if (x->job.ctx->json)
		print_json(x, digest);
	else if (!x->job.ctx->quiet)
		print_text(x, digest);
	return x->sum.problems ? SHALE_EXIT_PARTLY : SHALE_EXIT_OK;
}

/* -------------------------------------------------------------------- work */

static int take_sources(struct importing *x, struct shale_import *import,
			char *const *source, int n)
{
	int r = 0;
	for (int i = 0; i < n && r == 0; i++) {
		struct stat st;
		bool dir = strcmp(source[i], "-") != 0 &&
			   stat(source[i], &st) == 0 && S_ISDIR(st.st_mode);
		r = dir ? shale_import_dir(import, source[i], &x->job.ctx->err)
			: shale_import_archive(import, source[i],
					       &x->job.ctx->err);
	}
	return r;
}

static int import_all(struct importing *x, char *const *source, int n)
{
	struct shale_err *err = &x->job.ctx->err;
	struct shale_import *import = NULL;
	x->opts.onto = x->parent;
	int r = shale_import_new(&import, x->store, &x->opts, err);
	if (r < 0)
		return r;
	x->job.progress = shale_progress_new(x->job.ctx, "import");
	r = take_sources(x, import, source, n);
	if (r == 0)
		r = shale_import_finish(import, x->version, x->ref.repo,
					x->ref.tag[0] ? x->ref.tag : NULL,
					!x->asked->version.no_latest, &x->sum,
					err);
	shale_progress_free(x->job.progress);
	shale_import_free(import);
	return r;
}

static int run(struct importing *x, char *const *source, int n)
{
	const struct asked *asked = x->asked;
	x->start = shale_clock_ns();
	int r = parse_options(x);
	if (r == 0)
		r = describe(x);
	if (r == 0)
		r = shale_ctx_store(x->job.ctx, asked->onto == NULL, &x->store);
	if (r == 0 && asked->onto)
		r = shale_ctx_resolve(x->job.ctx, x->store, asked->onto,
				      asked->at, &x->parent);
	if (r == 0)
		r = import_all(x, source, n);
	if (r == -ENOSPC && x->store)
		shale_space_explain(x->job.ctx, x->store, 0);
	x->job.ctx->done = r == 0;
	int code = r < 0 ? shale_fail(x->job.ctx, r) : (int)report(x);
	if (r == 0 && !x->sum.nothing_changed)
		shale_compact_behind(x->store, x->version);
	shale_version_free(x->parent);
	shale_version_free(x->version);
	shale_store_close(x->store);
	json_decref(x->job.problems);
	return code;
}

static int times(char *const *argv, int n, const char *word)
{
	int found = 0;
	for (int i = 0; i < n; i++)
		found += strcmp(argv[i], word) == 0;
	return found;
}

static int import_run(struct shale_ctx *ctx, int argc, char **argv)
{
	struct asked a = {0};
	const struct shale_opt table[] = {
		SHALE_VERSION_OPTS(&a.version),
		{"onto", 0, "REF", "as the next version of REF: only changes",
		 SHALE_OPT_STRING, &a.onto},
		{"at", 0, "TIME", "of --onto: the newest at or before TIME",
		 SHALE_OPT_STRING, &a.at},
		{"as-layer", 0, "overlay|oci",
		 "sources are layers of that kind", SHALE_OPT_STRING, &a.layer},
		{"checksum", 0, NULL, "with --onto: compare all contents",
		 SHALE_OPT_FLAG, &a.checksum},
		{"prefix", 0, "DIR", "put the sources below DIR",
		 SHALE_OPT_STRING, &a.prefix},
		{"exclude", 0, "GLOB", "leave out names that match; again",
		 SHALE_OPT_LIST, &a.exclude},
		{"xattrs", 0, "none|user|all", "which to keep",
		 SHALE_OPT_STRING, &a.xattrs},
		{"threads", 'j', "N", "threads that compress", SHALE_OPT_STRING,
		 &a.threads},
		{0},
	};
	struct importing x = {.job = {.ctx = ctx}, .asked = &a};
	int n;
	int r = shale_opt_parse(ctx, &shale_cmd_import, table, argc, argv, &n);
	if (r)
		return r < 0 ? SHALE_EXIT_USAGE : SHALE_EXIT_OK;
	if (n == 0)
		return shale_usage(ctx, "what? SOURCE... is missing");
	if (!a.version.tag && !a.onto)
		return shale_usage(ctx,
				   "which repository? -t REPOSITORY[:TAG]");
	if ((a.checksum || a.at) && !a.onto)
		return shale_usage(ctx, "%s goes with --onto",
				   a.at ? "--at" : "--checksum");
	if (times(argv, n, "-") > 1)
		return shale_usage(ctx, "standard input can be read once");
	x.job.problems = ctx->json ? json_array() : NULL;
	return run(&x, argv, n);
}

const struct shale_cmd shale_cmd_import = {
	.name = "import",
	.args = "SOURCE... -t REF",
	.summary = "pack directories and archives into an image",
	.detail =
		"A SOURCE is a directory, an archive (tar, zip, 7z, cpio, ... "
		"compressed or not) or\n'-', an archive on standard input.  "
		"Several sources meet at the root, or below\n--prefix, later "
		"over earlier.  A file that could not be read is listed and "
		"left\nout, one that kept changing is listed, and the exit "
		"code is 3.  What is mounted\nbelow a directory is taken too, "
		"the store itself is not.\n\n"
		"Unchanged for --onto is what has the same type, size, mtime, "
		"mode, owner and\nxattrs, and was not modified within 2 "
		"seconds of the previous import; --checksum\nreads everything "
		"instead.\n\n"
		"With --as-layer, what the SOURCEs do not speak of stays as "
		"it is in --onto (without\nit: there is nothing below), and "
		"what they hide there goes.  'overlay': a SOURCE is\nan upper "
		"directory of overlayfs, with its whiteouts, opaque and "
		"renamed directories\n(as root, if root's overlayfs made "
		"it).  'oci': a SOURCE is an archive or a\ndirectory with "
		".wh.NAME and .wh..wh..opq entries; a tar may end without its\n"
		"trailer.\n\n"
		"--xattrs by default keeps all of a directory's, and of an "
		"archive's those of\nuser.* and ACLs: its security.* and "
		"trusted.* were set elsewhere.  'all' keeps\nthem too, but "
		"for trusted.overlay.*, which no archive and no layer brings "
		"in.\n\n"
		"An --exclude with a slash is held against the path in its "
		"SOURCE, another one\nagainst the last name; '*' matches "
		"slashes too, and a slash at the end\ndirectories only.",
	.run = import_run,
};
