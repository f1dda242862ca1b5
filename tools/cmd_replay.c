/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/base/cleanup.h"
#include "layers/ops/replay.h"
#include "layers/store/shared.h"
#include "tools/change_line.h"
#include "tools/job.h"
#include "tools/verbs.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct replaying {
	struct shale_job job;
	bool tell; /* each path */
};

struct images {
	struct shale_store *store;
	struct shale_version *to, *from;
	struct shale_image *to_image, *from_image;
};

static void close_images(struct images *i)
{
	shale_image_close(i->from_image);
	shale_image_close(i->to_image);
	shale_version_free(i->from);
	shale_version_free(i->to);
	shale_store_close(i->store);
}

static int change(void *arg, const struct shale_difference *d)
{
	const struct replaying *x = arg;
	const struct shale_change_line line = {
		.letter = d->letter, .path = d->path, .len = d->len};
	return x->tell ? shale_change_line(x->job.ctx, &line) : 0;
}

static int open_version(struct shale_ctx *ctx, struct shale_store *store,
			const char *ref, const char *at,
			struct shale_version **version,
			struct shale_image **image)
{
	int r = shale_ctx_resolve(ctx, store, ref, at, version);
	return r < 0 ? r : shale_ctx_open(ctx, store, *version, image);
}

static int open_images(struct shale_ctx *ctx, const char *ref, const char *at,
		       const char *from, struct images *i,
		       struct shale_replay_opts *opts)
{
	int r = shale_ctx_store(ctx, false, &i->store);
	if (r == 0)
		r = open_version(ctx, i->store, ref, at, &i->to, &i->to_image);
	if (r < 0 || !from)
		return r;
	r = open_version(ctx, i->store, from, NULL, &i->from, &i->from_image);
	if (r == 0)
		r = shale_versions_shared(i->store, i->from, i->to,
					  &opts->old_shared, &opts->new_shared,
					  &ctx->err);
	return r;
}

/* "sha256:…", or "sha256:… from sha256:…": both name versions for good. */
static void name_versions(const struct images *i, char *what, size_t size)
{
	char to[SHALE_DIGEST_STR], from[SHALE_DIGEST_STR];
	shale_digest_str(&i->to->digest, to);
	if (i->from)
		shale_digest_str(&i->from->digest, from);
	snprintf(what, size, "%s%s%s", to, i->from ? " from " : "",
		 i->from ? from : "");
}

static int open_dir(struct shale_ctx *ctx, const char *dir, bool may_make)
{
	if (may_make && mkdir(dir, 0700) < 0 && errno != EEXIST)
		return shale_err_set(&ctx->err, errno, "make '%s'", dir);
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? shale_err_set(&ctx->err, errno, "open '%s'", dir) : fd;
}

static int replay(struct replaying *x, const char *dir, const char *ref,
		  const char *at, const char *from,
		  struct shale_replay_opts *opts,
		  struct shale_replay_result *sum)
{
	SHALE_CLEANUP(close_images) struct images i = {0};
	struct shale_ctx *ctx = x->job.ctx;
	char what[2 * SHALE_DIGEST_STR + 8];

	int r = open_images(ctx, ref, at, from, &i, opts);
	if (r < 0)
		return r;
	name_versions(&i, what, sizeof(what));
	opts->what = what;
	cleanup_fd int fd = open_dir(ctx, dir, !from && !opts->dry_run);
	if (fd < 0 && !(fd == -ENOENT && !from && opts->dry_run))
		return fd;
	x->job.progress = shale_progress_new(ctx, "replay");
	r = shale_replay(i.from_image, i.to_image, fd, opts, sum, &ctx->err);
	shale_progress_free(x->job.progress);
	if (r == -ENOTEMPTY && !from)
		return shale_err_say(
			&ctx->err, ENOTEMPTY,
			"'%s' is not empty: say with --from REF which version "
			"it holds, or name an empty directory",
			dir);
	return r == -ESTALE || r == -EEXIST
		       ? shale_err_wrap(&ctx->err, r, "'%s'", dir)
		       : r;
}

static void print_sum(const struct replaying *x, const char *dir,
		      const struct shale_replay_result *sum)
{
	const struct {
		uint64_t n;
		const char *word;
	} part[] = {{sum->removed, "removed"},
		    {sum->changed, "with other attributes"},
		    {sum->in_way, "left as they were"},
		    {sum->left_out, "left out"}};
	char size[32];

	if (x->job.ctx->quiet)
		return;
	printf("%s: %llu made", dir, (unsigned long long)sum->made);
	for (size_t i = 0; i < sizeof(part) / sizeof(*part); i++)
		if (part[i].n)
			printf(", %llu %s", (unsigned long long)part[i].n,
			       part[i].word);
	printf(", %s\n", shale_human_size(sum->bytes, false, size));
}

static void print_json(const struct replaying *x, const char *dir,
		       const struct shale_replay_result *sum)
{
	json_t *doc = json_pack(
		"{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:O}", "made",
		(json_int_t)sum->made, "removed", (json_int_t)sum->removed,
		"attributes", (json_int_t)sum->changed, "bytes",
		(json_int_t)sum->bytes, "in_the_way", (json_int_t)sum->in_way,
		"left_out", (json_int_t)sum->left_out, "damaged",
		(json_int_t)sum->damaged, "xattrs", (json_int_t)sum->xattrs,
		"unfinished", sum->unfinished, "problems", x->job.problems);
	shale_json_path(doc, dir, strlen(dir));
	shale_json_print(doc);
}

static enum shale_exit finish(const struct replaying *x, const char *dir,
			      const struct shale_replay_result *sum)
{
	if (x->job.ctx->json)
		print_json(x, dir, sum);
	else if (!x->tell)
		print_sum(x, dir, sum);
	if (sum->unfinished)
		shale_warn(x->job.ctx,
			   "%s: unfinished: run it again when what has failed "
			   "is mended",
			   dir);
	if (sum->damaged)
		return SHALE_EXIT_DAMAGE;
	return sum->in_way || sum->left_out || sum->xattrs ? SHALE_EXIT_PARTLY
							   : SHALE_EXIT_OK;
}

static int run(struct shale_ctx *ctx, int argc, char **argv)
{
	const char *from = NULL, *at = NULL;
	bool no_owner = false;
	struct replaying x = {.job = {.ctx = ctx}};
	struct shale_replay_result sum = {0};
	struct shale_replay_opts opts = {.cancelled = shale_job_cancelled,
					 .progress = shale_job_progress,
					 .change = change,
					 .problem = shale_job_problem,
					 .arg = &x};
	int n;
	const struct shale_opt table[] = {
		{"from", 0, "REF", "the version that DIR holds",
		 SHALE_OPT_STRING, &from},
		{"dry-run", 'n', NULL, "say what would be done, change nothing",
		 SHALE_OPT_FLAG, &opts.dry_run},
		{"checksum", 0, NULL,
		 "read files that would be replaced, too, to see that they "
		 "are unchanged",
		 SHALE_OPT_FLAG, &opts.checksum},
		{"no-same-owner", 0, NULL,
		 "files are the caller's, without setuid bits", SHALE_OPT_FLAG,
		 &no_owner},
		{"no-xattrs", 0, NULL, "without extended attributes",
		 SHALE_OPT_FLAG, &opts.no_xattrs},
		{"at", 0, "TIME", "the newest version at or before TIME",
		 SHALE_OPT_STRING, &at},
		{0},
	};
	int r = shale_opt_parse(ctx, &shale_cmd_replay, table, argc, argv, &n);
	if (r != 0)
		return r > 0 ? SHALE_EXIT_OK : SHALE_EXIT_USAGE;
	if (n != 2)
		return shale_usage(ctx, "a version and a directory are needed");
	opts.same_owner = !no_owner;
	x.tell = opts.dry_run || ctx->verbose;
	x.job.problems = ctx->json ? json_array() : NULL;
	r = replay(&x, argv[1], argv[0], at, from, &opts, &sum);
	int code = r < 0 ? shale_fail(ctx, r) : (int)finish(&x, argv[1], &sum);
	json_decref(x.job.problems);
	return code;
}

const struct shale_cmd shale_cmd_replay = {
	.name = "replay",
	.args = "REF DIR",
	.summary = "make a directory equal to a version",
	.detail =
		"DIR is made, or empty, or that version already; with --from "
		"it holds another version,\nand only what differs is written.  "
		"A path that is neither what that version has there\nnor what "
		"REF has (in type, size, time, mode, owner, extended "
		"attributes; with --checksum\nin content) is in the way: it is "
		"listed and left, everything else is done, and the exit\ncode "
		"is 3.\n\n"
		"Everything is made in DIR/" SHALE_REPLAY_STAGE
		" and renamed, with --from after it is on disk:\na path has "
		"what it had or all of the new.  A replay that was "
		"interrupted, killed, cut off\nwith the power or stopped by a "
		"full disk is run again to finish it, and so is one from\n"
		"nothing that found damage (exit code 14) or a disk that fails; "
		"until then,\n" SHALE_REPLAY_STAGE " is there.  What else was "
		"left out (devices, for an ordinary user) does not come by "
		"running\nit again.  When it says that it is done, all is on "
		"disk.\n\n-n lists paths in the letters of 'shale diff'; so "
		"does -v.",
	.run = run,
};
