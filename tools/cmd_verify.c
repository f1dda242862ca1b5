/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/base/text.h"
#include "layers/ops/verify.h"
#include "layers/store/lease.h"
#include "layers/store/lock.h"
#include "tools/describe.h"
#include "tools/roots.h"
#include "tools/verbs.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* What is to be verified. */
struct verify {
	struct shale_ctx *ctx;
	struct shale_store *store;
	struct shale_version_list versions; /* all of index.json */
	struct shale_buf roots;             /* struct shale_verify_root */
	struct shale_buf names;             /* char *, owned */
	struct shale_progress *progress;
};

static int add_root(struct verify *v, const struct shale_verify_root *root,
		    char *name)
{
	struct shale_verify_root copy = *root;
	copy.name = name;
	if (!name || shale_buf_append(&v->names, &name, sizeof(name)) < 0) {
		free(name);
		return shale_err_set(&v->ctx->err, ENOMEM, "verify");
	}
	if (shale_buf_append(&v->roots, &copy, sizeof(copy)) < 0)
		return shale_err_set(&v->ctx->err, ENOMEM, "verify");
	return 0;
}

/* A line of index.json: "sales:v1", "sales@0123456789ab". */
static int add_entry(struct verify *v, const struct shale_version_entry *e,
		     bool merge)
{
	const struct shale_verify_root root = {
		.manifest = e->digest, .merge = merge, .entry = e};
	char digest[13], *name = NULL;

	shale_short_digest(&e->digest, digest);
	if (asprintf(&name, "%s%s%s", e->repo,
		     e->tag ? ":" : "@sha256:", e->tag ? e->tag : digest) < 0)
		name = NULL;
	return add_root(v, &root, name);
}

static bool same_version(const struct shale_version_entry *a,
			 const struct shale_version_entry *b)
{
	return shale_digest_equal(&a->digest, &b->digest) &&
	       !strcmp(a->repo, b->repo);
}

/* Tags of one version stand beside each other; `latest` says least. */
static int add_all(struct verify *v)
{
	const struct shale_version_entry *e = v->versions.entries;
	size_t n = v->versions.n, next;
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i = next) {
		const struct shale_version_entry *chosen = &e[i];
		for (next = i + 1; next < n && same_version(&e[i], &e[next]);
		     next++)
			if (!strcmp(chosen->tag, "latest"))
				chosen = &e[next];
		r = add_entry(v, chosen, chosen->tag != NULL);
	}
	return r;
}

/* What index.json lists no more, but a workspace or a mount needs. */
static int add_used(void *arg, const struct shale_digest *manifest,
		    const char *who, struct shale_err *err)
{
	struct verify *v = arg;
	const struct shale_verify_root *roots = (const void *)v->roots.data;
	const struct shale_verify_root root = {.manifest = *manifest,
					       .merge = true};
	(void)err;
	for (size_t i = 0; i < v->roots.len / sizeof(*roots); i++)
		if (shale_digest_equal(&roots[i].manifest, manifest))
			return 0;
	return add_root(v, &root, strdup(who));
}

static int add_ref(struct verify *v, const char *ref, const char *at)
{
	cleanup_version struct shale_version *found = NULL;
	int r = shale_ctx_resolve(v->ctx, v->store, ref, at, &found);
	if (r < 0)
		return r;
	const struct shale_version_entry *entry = NULL;
	for (size_t i = 0; i < v->versions.n && !entry; i++) {
		const struct shale_version_entry *e = &v->versions.entries[i];
		if (found->repo &&
		    shale_digest_equal(&e->digest, &found->digest) &&
		    !strcmp(e->repo, found->repo))
			entry = e;
	}
	const struct shale_verify_root root = {
		.manifest = found->digest, .merge = true, .entry = entry};
	return add_root(v, &root, strdup(ref));
}

/* ------------------------------------------------------------------ output */

static void found_json(const struct shale_finding *f)
{
	static const char *const kinds[] = {"version", "blob", "chunk", "path",
					    "layer",   "more", "cache"};
	char digest[SHALE_DIGEST_STR];
	json_t *doc = json_pack("{s:s}", "found", kinds[f->kind]);

	if (f->version)
		json_object_set_new(doc, "version", json_string(f->version));
	if (f->manifest)
		json_object_set_new(
			doc, "digest",
			json_string(shale_digest_str(f->manifest, digest)));
	if (f->blob)
		json_object_set_new(
			doc, "blob",
			json_string(shale_digest_str(f->blob, digest)));
	if (f->path)
		shale_json_path(doc, f->path, f->path_len);
	if (f->length) {
		json_object_set_new(doc, "offset",
				    json_integer((json_int_t)f->offset));
		json_object_set_new(doc, "length",
				    json_integer((json_int_t)f->length));
	}
	if (f->kind == SHALE_FOUND_MORE)
		json_object_set_new(doc,
				    f->more_versions ? "versions" : "paths",
				    json_integer((json_int_t)f->more));
	if (f->why)
		json_object_set_new(doc, "why", json_string(f->why));
	shale_json_print(doc);
}

static void found_text(const struct shale_finding *f)
{
	cleanup_buf struct shale_buf path = {0};
	char blob[SHALE_DIGEST_STR] = "";

	if (f->blob)
		shale_digest_str(f->blob, blob);
	if (f->path)
		shale_escape(&path, f->path, f->path_len);
	const char *shown = shale_buf_str(&path);
	switch (f->kind) {
	case SHALE_FOUND_VERSION:
		printf("damaged: %s: %s\n", f->version, f->why);
		break;
	case SHALE_FOUND_BLOB:
		printf("damaged: %s: %s\n", blob, f->why);
		break;
	case SHALE_FOUND_CHUNK:
		printf("damaged: %s, %" PRIu64 " bytes at %" PRIu64 ": %s\n",
		       blob, f->length, f->offset, f->why);
		break;
	case SHALE_FOUND_PATH:
		printf("damaged: %s:%s, bytes %" PRIu64 " to %" PRIu64 "\n",
		       f->version, shown ? shown : "", f->offset,
		       f->offset + f->length - 1);
		break;
	case SHALE_FOUND_LAYER:
		printf("damaged: %s:%s\n", f->version, shown ? shown : "");
		break;
	case SHALE_FOUND_MORE:
		printf("damaged: %s%sand %" PRIu64 " more %s\n",
		       f->version ? f->version : "", f->version ? ": " : "",
		       f->more, f->more_versions ? "versions" : "paths");
		break;
	case SHALE_FOUND_CACHE:
		break; /* said as a warning */
	}
}

static void on_found(void *arg, const struct shale_finding *f)
{
	const struct verify *v = arg;

	shale_progress_clear(v->progress);
	if (v->ctx->json)
		found_json(f);
	else if (f->kind == SHALE_FOUND_CACHE)
		shale_warn(v->ctx, "%s", f->why);
	else
		found_text(f);
	fflush(stdout);
}

static bool on_going(void *arg, uint64_t done, uint64_t total)
{
	const struct verify *v = arg;
	shale_progress_set(v->progress, done, total, 0, NULL);
	return shale_interrupted();
}

static void report(const struct shale_ctx *ctx,
		   const struct shale_verify_result *sum)
{
	char size[32];

	if (ctx->json) {
		shale_json_print(json_pack("{s:I, s:I, s:I, s:I, s:I}",
					   "versions",
					   (json_int_t)sum->versions, "damaged",
					   (json_int_t)sum->damaged, "blobs",
					   (json_int_t)sum->blobs, "chunks",
					   (json_int_t)sum->chunks, "bytes",
					   (json_int_t)sum->bytes));
	} else if (!ctx->quiet && !sum->damaged) {
		printf("%" PRIu64 " version%s, %" PRIu64 " blobs",
		       sum->versions, sum->versions == 1 ? "" : "s",
		       sum->blobs);
		if (sum->chunks)
			printf(", %" PRIu64 " chunks", sum->chunks);
		printf(", %s read: all good\n",
		       shale_human_size(sum->bytes, false, size));
	}
}

/* -------------------------------------------------------------- the verb */

static int choose_roots(struct verify *v, char **refs, size_t n, const char *at)
{
	int r = shale_store_versions(v->store, NULL, &v->versions,
				     &v->ctx->err);
	if (r == 0 && n == 0) {
		r = add_all(v);
		if (r == 0)
			r = shale_roots_each(v->store, add_used, v,
					     &v->ctx->err);
	}
	for (size_t i = 0; i < n && r == 0; i++)
		r = add_ref(v, refs[i], at);
	return r;
}

/* Have all of them stay as long as `*lease` is open: nothing goes meanwhile. */
static int hold_roots(struct verify *v, int *lease)
{
	const struct shale_verify_root *roots = (const void *)v->roots.data;
	int r = shale_store_lease(v->store, lease, &v->ctx->err);
	for (size_t i = 0; i < v->roots.len / sizeof(*roots) && r == 0; i++)
		r = shale_lease_add(*lease, &roots[i].manifest, &v->ctx->err);
	return shale_lease_may_lack(r, &v->ctx->err) ? 0 : r;
}

static int choose(struct verify *v, char **refs, size_t n, const char *at,
		  int *lease)
{
	cleanup_fd int lock = -1;
	int r = shale_lock_share(shale_store_dirfd(v->store),
				 SHALE_LOCK_WAIT_MS, &lock, &v->ctx->err);
	if (r == 0)
		r = choose_roots(v, refs, n, at);
	return r < 0 ? r : hold_roots(v, lease);
}

static int verify(struct verify *v, char **refs, size_t n, const char *at,
		  enum shale_verify_depth depth)
{
	struct shale_verify_result sum = {0};
	const struct shale_verify_opts opts = {
		.depth = depth,
		.caches = n == 0,
		.found = on_found,
		.going = on_going,
		.arg = v,
	};
	cleanup_lease int lease = -1;
	int r = shale_ctx_store(v->ctx, false, &v->store);
	if (r == 0)
		r = choose(v, refs, n, at, &lease);
	if (r < 0)
		return r;
	v->progress = shale_progress_new(v->ctx, "verify");
	r = shale_verify(v->store, (const void *)v->roots.data,
			 v->roots.len / sizeof(struct shale_verify_root), &opts,
			 &sum, &v->ctx->err);
	shale_progress_free(v->progress);
	if (r < 0)
		return r;
	report(v->ctx, &sum);
	return sum.damaged == 0
		       ? 0
		       : shale_err_say(&v->ctx->err, EUCLEAN,
				       "%" PRIu64 " of %" PRIu64
				       " versions are damaged; 'shale repair "
				       "REF --from SOURCE' mends one from "
				       "another copy",
				       sum.damaged, sum.versions);
}

static void release(struct verify *v)
{
	char **names = (char **)(void *)v->names.data;
	for (size_t i = 0; i < v->names.len / sizeof(*names); i++)
		free(names[i]);
	shale_buf_release(&v->names);
	shale_buf_release(&v->roots);
	shale_version_list_release(&v->versions);
	shale_store_close(v->store);
}

static int verify_run(struct shale_ctx *ctx, int argc, char **argv)
{
	bool all = false, digests = false, data = false;
	const char *at = NULL;
	const struct shale_opt opts[] = {
		{"all", 0, NULL, "all versions; so it is without a REF too",
		 SHALE_OPT_FLAG, &all},
		{"digests", 0, NULL, "read data blobs too: their SHA-256",
		 SHALE_OPT_FLAG, &digests},
		{"read-data", 0, NULL, "also decompress and check every chunk",
		 SHALE_OPT_FLAG, &data},
		{"at", 0, "TIME", "the newest version made at or before TIME",
		 SHALE_OPT_STRING, &at},
		{0}};
	struct verify v = {.ctx = ctx};
	int n;
	int r = shale_opt_parse(ctx, &shale_cmd_verify, opts, argc, argv, &n);
	if (r)
		return r < 0 ? SHALE_EXIT_USAGE : SHALE_EXIT_OK;
	if (all && n)
		return shale_usage(ctx, "either --all or the images to verify");
	if (at && !n)
		return shale_usage(ctx, "--at chooses the version of a REF");
	r = verify(&v, argv, (size_t)n, at,
		   data      ? SHALE_VERIFY_CHUNKS
		   : digests ? SHALE_VERIFY_DIGESTS
			     : SHALE_VERIFY_STRUCTURE);
	int code = r < 0 ? shale_fail(ctx, r) : SHALE_EXIT_OK;
	release(&v);
	return code;
}

const struct shale_cmd shale_cmd_verify = {
	.name = "verify",
	.args = "[REF...|--all] [--digests|--read-data]",
	.summary = "prove that versions are whole; name damaged paths",
	.detail =
		"Looks at what index.json, manifests and descriptions say, "
		"reads all of each layer's names\nand attributes, and whether "
		"all blobs are there.  --digests reads the data blobs too,\n"
		"--read-data also decompresses each chunk.  What versions "
		"share is checked once.\n\nEach damaged blob or chunk is a "
		"line, and so are the files of the newest versions that\nhave "
		"it, with the bytes that cannot be read.  Exit code 14: "
		"something is damaged; see\n'shale repair'.  A damaged cache "
		"is removed: that is no damage.  The changes in workspaces\n"
		"are not covered, but what they are based on is, with --all.",
	.run = verify_run,
};
