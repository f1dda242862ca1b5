/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/base/buf.h"
#include "layers/base/cleanup.h"
#include "layers/ops/diff.h"
#include "layers/store/ref.h"
#include "layers/store/shared.h"
#include "tools/change_line.h"
#include "tools/job.h"
#include "tools/verbs.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct diffing {
	struct shale_ctx *ctx;
	bool stat;
	uint64_t count[128];      /* by letter */
	uint64_t all, more, less; /* paths; bytes of files */
};

/* Both sides, opened. */
struct sides {
	struct shale_store *store;
	struct shale_version *version[2];
	struct shale_image *image[2];
	char *path; /* normal form; NULL: all */
};

static void close_sides(struct sides *s)
{
	for (int i = 0; i < 2; i++) {
		shale_image_close(s->image[i]);
		shale_version_free(s->version[i]);
	}
	shale_store_close(s->store);
	free(s->path);
}

static uint64_t size_of(const struct shale_attr *attr)
{
	return S_ISREG(attr->mode) ? attr->size : 0;
}

static int print(void *arg, const struct shale_difference *d)
{
	struct diffing *x = arg;
	const struct shale_change_line line = {
		.letter = d->letter,
		.path = d->path,
		.len = d->len,
		.sizes = x->stat,
		.old_size = size_of(&d->was),
		.new_size = size_of(&d->is),
	};

	x->count[(unsigned char)d->letter]++;
	x->all++;
	if (line.new_size > line.old_size)
		x->more += line.new_size - line.old_size;
	else
		x->less += line.old_size - line.new_size;
	return shale_change_line(x->ctx, &line);
}

/* What --stat says in the end. */
static void print_sum(const struct diffing *x)
{
	static const struct {
		char letter;
		const char *key, *word;
	} kinds[] = {{'A', "added", "added"},
		     {'D', "deleted", "deleted"},
		     {'M', "content", "with other content"},
		     {'T', "type", "of another type"},
		     {'m', "attributes", "with other attributes"}};
	char more[32], less[32];

	if (x->ctx->json) {
		json_t *doc = json_object();
		for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
			json_object_set_new(
				doc, kinds[i].key,
				json_integer(
					(json_int_t)
						x->count[(unsigned char)kinds[i]
								 .letter]));
		json_object_set_new(doc, "more_bytes",
				    json_integer((json_int_t)x->more));
		json_object_set_new(doc, "less_bytes",
				    json_integer((json_int_t)x->less));
		shale_json_print(json_pack("{s:o}", "stat", doc));
		return;
	}
	printf("%llu differ", (unsigned long long)x->all);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		uint64_t n = x->count[(unsigned char)kinds[i].letter];
		if (n)
			printf(", %llu %s", (unsigned long long)n,
			       kinds[i].word);
	}
	printf("; +%s, -%s\n", shale_human_size(x->more, false, more),
	       shale_human_size(x->less, false, less));
}

/* "/a//./b/" as "/a/b"; NULL: the root, or no memory (*r). */
static char *normal_path(const char *path, int *r)
{
	cleanup_buf struct shale_buf out = {0};

	*r = 0;
	while (path && *path && *r == 0) {
		size_t n = strcspn(path, "/");
		if (n == 2 && !strncmp(path, "..", 2)) {
			while (out.len && out.data[--out.len] != '/')
				;
		} else if (n && !(n == 1 && path[0] == '.')) {
			*r = shale_buf_append(&out, "/", 1);
			if (*r == 0)
				*r = shale_buf_append(&out, path, n);
		}
		path += n + (path[n] == '/');
	}
	const char *text = out.len && *r == 0 ? shale_buf_str(&out) : NULL;
	char *copy = text ? strdup(text) : NULL;
	if (out.len && !copy)
		*r = -ENOMEM;
	return copy;
}

static int open_side(struct shale_ctx *ctx, struct sides *s, int i,
		     const char *ref, const char *at)
{
	int r = shale_ctx_resolve(ctx, s->store, ref, at, &s->version[i]);
	return r < 0 ? r
		     : shale_ctx_open(ctx, s->store, s->version[i],
				      &s->image[i]);
}

static int open_sides(struct shale_ctx *ctx, char **ref,
		      const struct shale_strings *at, struct sides *s)
{
	char b[512];
	const char *path;

	int r = shale_ref_split(ref[1], b, sizeof(b), &path, &ctx->err);
	if (r == -EINVAL)
		ctx->wrong_usage = true;
	if (r < 0)
		return r;
	s->path = normal_path(path, &r);
	if (r < 0)
		return shale_err_set(&ctx->err, -r, "compare");
	r = shale_ctx_store(ctx, false, &s->store);
	if (r == 0)
		r = open_side(ctx, s, 0, ref[0], at->n > 0 ? at->v[0] : NULL);
	if (r == 0)
		r = open_side(ctx, s, 1, b, at->n > 1 ? at->v[1] : NULL);
	return r;
}

static int diff(struct diffing *x, char **ref, const struct shale_strings *at)
{
	SHALE_CLEANUP(close_sides) struct sides s = {0};
	struct shale_ctx *ctx = x->ctx;

	int r = open_sides(ctx, ref, at, &s);
	if (r < 0)
		return r;
	struct shale_diff_opts opts = {.path = s.path,
				       .cancelled = shale_job_cancelled};
	r = shale_versions_shared(s.store, s.version[0], s.version[1],
				  &opts.old_shared, &opts.new_shared,
				  &ctx->err);
	if (r == 0)
		r = shale_diff(s.image[0], s.image[1], &opts, print, x,
			       &ctx->err);
	if (r == -ENOENT)
		return shale_err_say(&ctx->err, ENOKEY,
				     "neither '%s' nor '%s' has '%s'", ref[0],
				     ref[1], s.path);
	return r;
}

static int run(struct shale_ctx *ctx, int argc, char **argv)
{
	struct diffing x = {.ctx = ctx};
	struct shale_strings at = {0};
	bool exit_code = false;
	int n;
	const struct shale_opt opts[] = {
		{"stat", 0, NULL, "with sizes, and sums at the end",
		 SHALE_OPT_FLAG, &x.stat},
		{"exit-code", 0, NULL, "exit with 4 if there are differences",
		 SHALE_OPT_FLAG, &exit_code},
		{"at", 0, "TIME",
		 "A as it was at TIME; given again: B as it was",
		 SHALE_OPT_LIST, &at},
		{0},
	};
	int r = shale_opt_parse(ctx, &shale_cmd_diff, opts, argc, argv, &n);
	if (r != 0)
		return r > 0 ? SHALE_EXIT_OK : SHALE_EXIT_USAGE;
	if (n != 2)
		return shale_usage(ctx, "two versions are needed: A B[:/path]");
	if (strstr(argv[0], ":/"))
		return shale_usage(ctx,
				   "the path stands at the second version: "
				   "A B:/path");
	if (at.n > 2)
		return shale_usage(ctx, "--at is for A and for B, not '%s'",
				   at.v[2]);
	r = diff(&x, argv, &at);
	if (r < 0)
		return shale_fail(ctx, r);
	if (x.stat)
		print_sum(&x);
	return exit_code && x.all ? SHALE_EXIT_DIFFERENT : SHALE_EXIT_OK;
}

const struct shale_cmd shale_cmd_diff = {
	.name = "diff",
	.args = "A B[:/path]",
	.summary = "what is otherwise in version B than in version A",
	.detail = SHALE_CHANGE_LETTERS
	"\n"
	"Sorted by path; of a directory that moved, all that is below it is D "
	"and A.  A file with\nseveral names is shown at each.  A directory's "
	"time alone is no difference.  With /path,\nonly what is there and "
	"below.  --json gives a line of JSON for each path.",
	.run = run,
};
