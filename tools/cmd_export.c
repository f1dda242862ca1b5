/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/base/cleanup.h"
#include "layers/ops/export.h"
#include "tools/image_arg.h"
#include "tools/output.h"
#include "tools/verbs.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

struct exporting {
	struct shale_ctx *ctx;
	struct shale_progress *progress;
	json_t *problems;
};

static bool cancelled(void *arg)
{
	(void)arg;
	return shale_interrupted();
}

static void progress(void *arg, uint64_t done, uint64_t total, uint64_t files,
		     const char *path)
{
	const struct exporting *x = arg;
	shale_progress_set(x->progress, done, total, files, path);
}

static void problem(void *arg, const char *path, const char *what)
{
	struct exporting *x = arg;
	if (!x->ctx->json) {
		shale_warn(x->ctx, "%s: %s", path, what);
		return;
	}
	json_t *one = json_object();
	shale_json_path(one, path, strlen(path));
	json_object_set_new(one, "problem", json_string(what));
	json_array_append_new(x->problems, one);
}

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

static bool is_empty(int fd)
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	const struct dirent *e;
	size_t n = 0;
	if (!dir)
		return false;
	while (n <= 2 && (e = readdir(dir)))
		n++;
	closedir(dir);
	return n <= 2;
}

/* DEST as a directory to fill. */
static int open_dest(struct shale_ctx *ctx, const char *dest,
		     struct shale_export_opts *opts, int *out)
{
	bool made = mkdir(dest, 0700) == 0;
	if (!made && errno != EEXIST)
		return shale_err_set(&ctx->err, errno, "make '%s'", dest);
	int fd = open(dest, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return shale_err_set(&ctx->err, errno, "open '%s'", dest);
	opts->own_root = made || opts->overwrite != SHALE_OVERWRITE_NEVER ||
			 is_empty(fd);
	*out = fd;
	return 0;
}

/* A single file goes into DEST if that is a directory, else becomes it. */
static int open_parent(struct shale_ctx *ctx, const char *dest,
		       const char *path, int *out, char **name)
{
	const char *slash = strrchr(path, '/');
	*out = open(dest, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*out >= 0) {
		*name = strdup(slash ? slash + 1 : path);
	} else {
		slash = strrchr(dest, '/');
		cleanup_free char *dir =
			slash ? strndup(dest, (size_t)(slash - dest) + 1)
			      : strdup(".");
		if (dir)
			*out = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		*name = strdup(slash ? slash + 1 : dest);
	}
	if (!*name)
		return shale_err_set(&ctx->err, ENOMEM, "export");
	if (*out < 0)
		return shale_err_set(&ctx->err, errno,
				     "open the directory of "
				     "'%s'",
				     dest);
	return 0;
}

static int export_to(struct exporting *x, const struct shale_image_arg *arg,
		     const char *dest, struct shale_export_opts *opts,
		     struct shale_export_result *sum)
{
	struct shale_ctx *ctx = x->ctx;
	cleanup_free char *name = NULL;
	cleanup_fd int fd = -1;
	struct shale_attr attr;
	int r = shale_index_attr(arg->image->index, arg->ino, &attr, &ctx->err);
	if (r == 0 && S_ISDIR(attr.mode))
		r = open_dest(ctx, dest, opts, &fd);
	else if (r == 0)
		r = open_parent(ctx, dest, arg->path, &fd, &name);
	if (r < 0)
		return r;
	opts->cancelled = cancelled;
	opts->progress = progress;
	opts->problem = problem;
	opts->arg = x;
	x->progress = shale_progress_new(ctx, "export");
	r = shale_export(arg->image, arg->ino, fd, name, opts, sum, &ctx->err);
	shale_progress_free(x->progress);
	return r;
}

static enum shale_exit report(struct exporting *x, const char *dest,
			      const struct shale_export_result *sum,
			      double seconds)
{
	char size[32];
	if (x->ctx->json) {
		json_t *doc = json_pack(
			"{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:O}", "dest",
			dest, "made", (json_int_t)sum->made, "unchanged",
			(json_int_t)sum->unchanged, "bytes",
			(json_int_t)sum->bytes, "exists",
			(json_int_t)sum->exists, "left_out",
			(json_int_t)sum->left_out, "damaged",
			(json_int_t)sum->damaged, "seconds", seconds,
			"problems", x->problems);
		shale_json_print(doc);
	} else if (!x->ctx->quiet) {
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

static bool names_archive(const char *dest)
{
	static const char *const ends[] = {".tar", ".tar.gz", ".tgz",
					   ".tar.zst", ".zip"};
	size_t len = strlen(dest);
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		size_t n = strlen(ends[i]);
		if (len > n && strcmp(dest + len - n, ends[i]) == 0)
			return true;
	}
	return strcmp(dest, "-") == 0;
}

static int run(struct shale_ctx *ctx, const char *ref, const char *at,
	       const char *dest, struct shale_export_opts *opts)
{
	struct exporting x = {.ctx = ctx, .problems = json_array()};
	struct shale_export_result sum = {0};
	struct shale_image_arg arg;
	struct timespec start, end;

	clock_gettime(CLOCK_MONOTONIC, &start);
	int r = shale_image_arg_open(ctx, ref, at, &arg);
	if (r == 0) {
		r = export_to(&x, &arg, dest, opts, &sum);
		shale_image_arg_close(&arg);
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	int code = r < 0 ? shale_fail(ctx, r)
			 : (int)report(&x, dest, &sum,
				       (double)(end.tv_sec - start.tv_sec) +
					       (double)(end.tv_nsec -
							start.tv_nsec) /
						       1e9);
	json_decref(x.problems);
	return code;
}

static int export_run(struct shale_ctx *ctx, int argc, char **argv)
{
	const char *dest = NULL, *overwrite = "never", *at = NULL;
	bool no_owner = false, no_xattrs = false;
	const struct shale_opt table[] = {
		{"output", 'o', "DEST", "the directory to fill",
		 SHALE_OPT_STRING, &dest},
		{"overwrite", 0, "WHEN", "never, if-changed or always",
		 SHALE_OPT_STRING, &overwrite},
		{"no-same-owner", 0, NULL,
		 "files are the caller's, without setuid bits", SHALE_OPT_FLAG,
		 &no_owner},
		{"no-xattrs", 0, NULL, "without extended attributes",
		 SHALE_OPT_FLAG, &no_xattrs},
		{"at", 0, "TIME", "the newest version at or before TIME",
		 SHALE_OPT_STRING, &at},
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
	if (!dest || !*dest)
		return shale_usage(ctx, "where to? -o DEST");
	if (names_archive(dest))
		return shale_usage(ctx,
				   "'%s' names an archive; DEST is a directory",
				   dest);
	if (parse_overwrite(ctx, overwrite, &opts.overwrite) < 0)
		return SHALE_EXIT_USAGE;
	opts.same_owner = !no_owner;
	opts.no_xattrs = no_xattrs;
	return run(ctx, argv[0], at, dest, &opts);
}

const struct shale_cmd shale_cmd_export = {
	.name = "export",
	.args = "REF[:/path] -o DEST",
	.summary = "write an image, or a part of one, into a directory",
	.detail = "What is in DEST already stays unless --overwrite says "
		  "otherwise; what was left is\nlisted, and the exit code is "
		  "3.  Owners, setuid bits and devices are restored for\n"
		  "root.",
	.run = export_run,
};
