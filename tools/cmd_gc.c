/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/gc.h"
#include "tools/describe.h"
#include "tools/roots.h"
#include "tools/sweep.h"
#include "tools/verbs.h"

#include <inttypes.h>
#include <stdio.h>

struct gc {
	struct shale_ctx *ctx;
	struct shale_store *store;
	bool dry_run, exact;
};

/* What people call them: one, and many. */
static const struct {
	const char *one, *many, *key;
} nouns[SHALE_GC_KINDS] = {
	[SHALE_GC_BLOB] = {"blob", "blobs", "blobs"},
	[SHALE_GC_TMP] = {"temporary file", "temporary files", "temporary"},
	[SHALE_GC_INDEX] = {"index", "indexes", "indexes"},
	[SHALE_GC_MERGE] = {"prepared merge", "prepared merges", "merges"},
};

static int add_roots(void *arg, shale_gc_add *add, void *to,
		     struct shale_err *err)
{
	const struct gc *gc = arg;
	return shale_roots_each(gc->store, add, to, err);
}

static void on_freed(void *arg, enum shale_gc_kind kind, const char *name,
		     uint64_t bytes)
{
	const struct gc *gc = arg;
	char size[32];

	if (!gc->dry_run && !gc->ctx->verbose)
		return;
	if (gc->ctx->json) {
		shale_json_print(json_pack("{s:s, s:s, s:I}", "kind",
					   nouns[kind].one, "name", name,
					   "bytes", (json_int_t)bytes));
		return;
	}
	printf("%-15s %10s  %s\n", nouns[kind].one,
	       shale_human_size(bytes, gc->exact, size), name);
}

static bool on_going(void *arg)
{
	(void)arg;
	return shale_interrupted();
}

/* ----------------------------------------------------------------- report */

static json_t *count_json(const struct shale_gc_count *count)
{
	return json_pack("{s:I, s:I}", "count", (json_int_t)count->n, "bytes",
			 (json_int_t)count->bytes);
}

static void report_json(const struct gc *gc, const struct shale_gc_result *sum)
{
	json_t *doc = json_pack("{s:b}", "dry_run", gc->dry_run);
	for (int i = 0; i < SHALE_GC_KINDS; i++)
		json_object_set_new(doc, nouns[i].key,
				    count_json(&sum->freed[i]));
	json_object_set_new(doc, "young", count_json(&sum->young));
	json_object_set_new(doc, "kept", count_json(&sum->kept));
	json_object_set_new(doc, "leases",
			    json_integer((json_int_t)sum->leases));
	shale_json_print(doc);
}

static void report_text(const struct gc *gc, const struct shale_gc_result *sum)
{
	cleanup_buf struct shale_buf line = {0};
	char size[32];

	for (int i = 0; i < SHALE_GC_KINDS; i++) {
		const struct shale_gc_count *c = &sum->freed[i];
		if (!c->n)
			continue;
		shale_buf_printf(&line, "%s%" PRIu64 " %s",
				 line.len ? "; " : "", c->n,
				 c->n == 1 ? nouns[i].one : nouns[i].many);
		if (c->bytes)
			shale_buf_printf(
				&line, ", %s",
				shale_human_size(c->bytes, gc->exact, size));
	}
	const char *what = shale_buf_str(&line);
	printf("%s %s\n", gc->dry_run ? "would free" : "freed",
	       line.len && what ? what : "nothing");
	if (sum->young.n)
		printf("%" PRIu64 " %s, %s, kept for now: a command that runs "
		       "may be about to name them\n",
		       sum->young.n, sum->young.n == 1 ? "blob" : "blobs",
		       shale_human_size(sum->young.bytes, gc->exact, size));
}

/* --------------------------------------------------------------- the verb */

static int run(struct gc *gc)
{
	struct shale_gc_result sum = {0};
	const struct shale_gc_opts opts = {
		.dry_run = gc->dry_run,
		.roots = add_roots,
		.freed = on_freed,
		.going = on_going,
		.arg = gc,
	};
	int r = shale_ctx_store(gc->ctx, false, &gc->store);
	if (r < 0)
		return r;
	if (!gc->dry_run)
		shale_sweep(gc->store, true);
	r = shale_gc(gc->store, &opts, &sum, &gc->ctx->err);
	shale_store_close(gc->store);
	if (r < 0)
		return r;
	gc->ctx->done = !gc->dry_run;
	if (gc->ctx->json)
		report_json(gc, &sum);
	else if (!gc->ctx->quiet)
		report_text(gc, &sum);
	return 0;
}

static int gc_run(struct shale_ctx *ctx, int argc, char **argv)
{
	struct gc gc = {.ctx = ctx};
	const struct shale_opt opts[] = {
		{"dry-run", 'n', NULL,
		 "show what would be freed, change nothing", SHALE_OPT_FLAG,
		 &gc.dry_run},
		{"bytes", 0, NULL, "sizes in bytes", SHALE_OPT_FLAG, &gc.exact},
		{0}};
	int n;
	int r = shale_opt_parse(ctx, &shale_cmd_gc, opts, argc, argv, &n);
	if (r)
		return r < 0 ? SHALE_EXIT_USAGE : SHALE_EXIT_OK;
	if (n)
		return shale_usage(ctx, "gc looks at the whole store: no "
					"arguments");
	r = run(&gc);
	return r < 0 ? shale_fail(ctx, r) : SHALE_EXIT_OK;
}

const struct shale_cmd shale_cmd_gc = {
	.name = "gc",
	.args = "[-n]",
	.summary = "free what nothing refers to any more",
	.detail =
		"Versions go by 'shale forget' and 'shale untag --purge'; this "
		"takes away what only they\nneeded: blobs, cached indexes, "
		"prepared merges, and what commands that died have left.\n"
		"What a version, a workspace, a mount or a running command "
		"needs stays.  It may run beside\nany other command; what is "
		"younger than one that runs is kept until a later gc.\n\n"
		"When it cannot be told what something needs (damage), nothing "
		"is removed: exit code 14.",
	.run = gc_run,
};
