/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/describe.h"
#include "tools/verbs.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

/* What is shown, and how far it has come. */
struct log {
	struct shale_ctx *ctx;
	struct shale_store *store;
	struct shale_version_list versions; /* of one repository, or of all */
	const char *repo; /* whose tags go without a name before them */
	struct shale_columns *table;
	bool exact;
	unsigned long left; /* lines that may still be shown */
	int damage;
};

/* A line of index.json with this digest, of our repository if there is one;
 * NULL: forgotten. */
static const struct shale_version_entry *
find_entry(const struct log *log, const struct shale_digest *digest)
{
	const struct shale_version_entry *found = NULL;

	for (size_t i = 0; i < log->versions.n; i++) {
		const struct shale_version_entry *e = &log->versions.entries[i];
		if (shale_digest_equal(&e->digest, digest) &&
		    (!found || !strcmp(e->repo, log->repo)))
			found = e;
	}
	return found;
}

static void show_json(const struct log *log, const struct shale_version *v,
		      const struct shale_version_entry *e, int64_t ancestor)
{
	json_t *doc = json_object(), *tags = json_array();
	shale_json_entry(doc, e);
	if (ancestor >= 0)
		json_object_set_new(doc, "ancestor", json_integer(ancestor));
	for (size_t i = 0; i < log->versions.n; i++) {
		const struct shale_version_entry *t = &log->versions.entries[i];
		if (t->tag && shale_digest_equal(&t->digest, &e->digest) &&
		    !strcmp(t->repo, e->repo))
			json_array_append_new(tags, json_string(t->tag));
	}
	json_object_set_new(doc, "tags", tags);
	if (v)
		shale_json_description(doc, &v->description);
	else
		json_object_set_new(doc, "damaged", json_true());
	shale_json_print(doc);
}

static void show_row(const struct log *log, const struct shale_version *v,
		     const struct shale_version_entry *e, int64_t ancestor)
{
	char n[24] = "", digest[13], when[32], size[32];
	cleanup_buf struct shale_buf tags = {0}, line = {0};

	if (ancestor >= 0)
		snprintf(n, sizeof(n), "~%lld", (long long)ancestor);
	for (size_t i = 0; i < log->versions.n; i++) {
		const struct shale_version_entry *t = &log->versions.entries[i];
		bool own = !strcmp(t->repo, log->repo);
		if (t->tag && shale_digest_equal(&t->digest, &e->digest))
			shale_buf_printf(&tags, "%s%s%s%s", tags.len ? " " : "",
					 own ? "" : t->repo, own ? "" : ":",
					 t->tag);
	}
	const char *names = shale_buf_str(&tags);
	const char *author = v ? v->description.author : NULL;
	shale_columns_add(log->table, n);
	shale_columns_add(log->table, shale_short_digest(&e->digest, digest));
	shale_columns_add(log->table, shale_human_time(&e->created, when));
	shale_columns_add(log->table,
			  shale_human_size(e->size, log->exact, size));
	shale_columns_add(log->table, names ? names : "");
	shale_columns_add(log->table, author ? author : "");
	shale_columns_add(log->table,
			  v ? shale_first_line(v->description.message, &line)
			    : "(damaged)");
}

static void show(struct log *log, const struct shale_version_entry *e,
		 int64_t ancestor)
{
	cleanup_version struct shale_version *v = NULL;
	struct shale_ctx *ctx = log->ctx;

	log->left--;
	int r = shale_store_manifest(log->store, &e->digest, &v, &ctx->err);
	if (r < 0) {
		shale_warn(ctx, "%s", ctx->err.msg);
		log->damage = r;
	}
	if (ctx->json)
		show_json(log, v, e, ancestor);
	else
		show_row(log, v, e, ancestor);
}

/* From one version back along its parents. */
static int show_line(struct log *log, const struct shale_digest *digest)
{
	const struct shale_version_entry *e = find_entry(log, digest);

	/* a chain longer than the list would be a circle */
	for (size_t i = 0; e && i <= log->versions.n && log->left; i++) {
		show(log, e, (int64_t)i);
		if (shale_interrupted())
			return -EINTR;
		if (!e->has_parent)
			return 0;
		e = find_entry(log, &e->parent);
	}
	return 0;
}

/*
 * Everything in the repository, newest first, also what no tag leads to any
 * more.  Ancestors of `latest` say which they are.
 */
static int show_all(struct log *log)
{
	const struct shale_version_entry *next = NULL;
	int64_t ancestor = 0;

	for (size_t i = 0; i < log->versions.n; i++) {
		const struct shale_version_entry *e = &log->versions.entries[i];
		if (e->tag && !strcmp(e->tag, "latest"))
			next = e;
	}
	for (size_t i = 0; i < log->versions.n && log->left; i++) {
		const struct shale_version_entry *e = &log->versions.entries[i];
		if (i > 0 && shale_digest_equal(&e->digest, &e[-1].digest))
			continue; /* another tag of the same */
		bool is = next && shale_digest_equal(&next->digest, &e->digest);
		show(log, e, is ? ancestor : -1);
		if (is) {
			ancestor++;
			next = e->has_parent ? find_entry(log, &e->parent)
					     : NULL;
		}
		if (shale_interrupted())
			return -EINTR;
	}
	return 0;
}

static int run_log(struct log *log, const char *ref, const char *at)
{
	struct shale_ctx *ctx = log->ctx;
	cleanup_version struct shale_version *v = NULL;

	int r = shale_store_versions(log->store, ref, &log->versions,
				     &ctx->err);
	if (r < 0)
		return r;
	log->repo = ref;
	if (log->versions.n && !at)
		return show_all(log);

	r = shale_ctx_resolve(ctx, log->store, ref, at, &v);
	if (r < 0)
		return r;
	shale_version_list_release(&log->versions);
	log->repo = v->repo;
	r = shale_store_versions(log->store, NULL, &log->versions, &ctx->err);
	return r < 0 ? r : show_line(log, &v->digest);
}

static void add_heading(struct shale_columns *table)
{
	static const char *const heading[] = {"",        "DIGEST", "CREATED",
					      ">ADDED",  "TAGS",   "AUTHOR",
					      "<MESSAGE"};
	for (int i = 0; i < 7; i++)
		shale_columns_add(table, heading[i]);
}

static int log_run(struct shale_ctx *ctx, int argc, char **argv)
{
	const char *at = NULL, *max = NULL;
	struct log log = {.ctx = ctx, .left = ULONG_MAX};
	const struct shale_opt opts[] = {
		{"at", 0, "TIME", "from the version of that time on",
		 SHALE_OPT_STRING, &at},
		{"max-count", 'n', "N", "so many lines at most",
		 SHALE_OPT_STRING, &max},
		{"bytes", 0, NULL, "sizes in bytes", SHALE_OPT_FLAG,
		 &log.exact},
		{0}};
	int n;
	int r = shale_opt_parse(ctx, &shale_cmd_log, opts, argc, argv, &n);
	if (r)
		return r < 0 ? SHALE_EXIT_USAGE : SHALE_EXIT_OK;
	if (n != 1)
		return shale_usage(ctx, "which image?");
	char *end = NULL;
	if (max)
		log.left = strtoul(max, &end, 10);
	if (max && (*max < '0' || *max > '9' || *end))
		return shale_usage(ctx, "'%s' is not a number", max);

	r = shale_ctx_store(ctx, false, &log.store);
	if (r < 0)
		return shale_fail(ctx, r);
	log.table = shale_columns_new(7);
	add_heading(log.table);
	r = run_log(&log, argv[0], at);
	shale_columns_print(log.table, !ctx->json);
	shale_version_list_release(&log.versions);
	shale_store_close(log.store);
	if (r == 0 && log.damage)
		r = shale_err_say(&ctx->err, EUCLEAN,
				  "not all versions can be read; 'shale "
				  "verify' tells more");
	return r < 0 ? shale_fail(ctx, r) : SHALE_EXIT_OK;
}

const struct shale_cmd shale_cmd_log = {
	.name = "log",
	.args = "REF",
	.summary = "show a line of versions, newest first",
	.detail = "A bare repository shows all of its versions; another "
		  "reference that version and its\nancestors.  The first "
		  "column is what to write behind a reference: REF~2.  ADDED "
		  "is what\nthe version added to the store.",
	.run = log_run,
};
