/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/base/text.h"
#include "layers/store/oci.h"
#include "tools/describe.h"
#include "tools/tree_digest.h"
#include "tools/verbs.h"

#include <stdio.h>
#include <string.h>

struct inspect {
	struct shale_ctx *ctx;
	struct shale_store *store;
	struct shale_version *v;
	bool exact, tree_digest;
	struct shale_digest tree;
};

/* Calls `fn` for every layer, in the manifest's order. */
static void each_layer(const struct shale_version *v,
		       void (*fn)(void *arg, const char *kind,
				  const struct shale_layer_desc *d),
		       void *arg)
{
	for (size_t i = 0; i < v->n_trees; i++)
		fn(arg, "tree", &v->trees[i]);
	for (size_t i = 0; i < v->n_data; i++)
		fn(arg, "data", &v->data[i]);
	if (v->has_metadata)
		fn(arg, "metadata", &v->metadata);
}

static void add_size(void *sum, const char *kind,
		     const struct shale_layer_desc *d)
{
	(void)kind;
	*(uint64_t *)sum += d->size;
}

/* Records of a tree; false: it cannot be opened. */
static bool tree_counts(const struct inspect *in,
			const struct shale_layer_desc *d, uint64_t *inodes,
			uint64_t *names)
{
	struct shale_tree *tree;
	if (shale_store_open_tree(in->store, d, &tree, NULL) < 0)
		return false;
	*inodes = shale_tree_count(tree, SHALE_TREE_INODES);
	*names = shale_tree_count(tree, SHALE_TREE_DIRENTS);
	shale_tree_close(tree);
	return true;
}

/* ---------------------------------------------------------------- document */

static const char *media_type(const char *kind)
{
	if (!strcmp(kind, "tree"))
		return SHALE_MEDIA_TREE;
	return !strcmp(kind, "data") ? SHALE_MEDIA_DATA : SHALE_MEDIA_METADATA;
}

struct json_layers {
	const struct inspect *in;
	json_t *array;
};

static void add_json_layer(void *arg, const char *kind,
			   const struct shale_layer_desc *d)
{
	const struct json_layers *to = arg;
	const struct inspect *in = to->in;
	char text[SHALE_DIGEST_STR];
	uint64_t inodes, names;

	json_t *o = json_pack("{s:s, s:s, s:s, s:I}", "kind", kind, "mediaType",
			      media_type(kind), "digest",
			      shale_digest_str(&d->digest, text), "size",
			      (json_int_t)d->size);
	if (!shale_blobs_has(shale_store_blobs(in->store), &d->digest)) {
		json_object_set_new(o, "missing", json_true());
	} else if (!strcmp(kind, "tree") &&
		   tree_counts(in, d, &inodes, &names)) {
		json_object_set_new(o, "inodes",
				    json_integer((json_int_t)inodes));
		json_object_set_new(o, "names",
				    json_integer((json_int_t)names));
	}
	json_array_append_new(to->array, o);
}

/* A small JSON blob as it stands in the store. */
static json_t *load_blob(const struct inspect *in,
			 const struct shale_digest *digest, size_t limit)
{
	cleanup_buf struct shale_buf text = {0};
	if (shale_blobs_read(shale_store_blobs(in->store), digest, limit, &text,
			     NULL) < 0)
		return NULL;
	return json_loadb((char *)text.data, text.len, 0, NULL);
}

static void print_json(const struct inspect *in)
{
	const struct shale_version *v = in->v;
	char text[SHALE_DIGEST_STR];
	uint64_t stored = 0;
	json_t *doc = json_object(), *tags = json_array();
	struct json_layers layers = {in, json_array()};

	for (size_t i = 0; i < v->n_tags; i++)
		json_array_append_new(tags, json_string(v->tags[i]));
	each_layer(v, add_json_layer, &layers);
	each_layer(v, add_size, &stored);
	if (v->repo)
		json_object_set_new(doc, "repository", json_string(v->repo));
	json_object_set_new(doc, "tags", tags);
	json_object_set_new(doc, "digest",
			    json_string(shale_digest_str(&v->digest, text)));
	shale_json_description(doc, &v->description);
	json_object_set_new(doc, "stored", json_integer((json_int_t)stored));
	if (in->tree_digest)
		json_object_set_new(
			doc, "tree_digest",
			json_string(shale_digest_str(&in->tree, text)));
	json_object_set_new(doc, "layers", layers.array);

	json_t *manifest = load_blob(in, &v->digest, SHALE_MANIFEST_LIMIT);
	struct shale_digest config;
	const char *digest = json_string_value(
		json_object_get(json_object_get(manifest, "config"), "digest"));
	if (digest && shale_digest_parse(digest, &config) == 0)
		json_object_set_new(
			doc, "description",
			load_blob(in, &config, SHALE_DESCRIPTION_LIMIT));
	json_object_set_new(doc, "manifest", manifest);
	shale_json_print(doc);
}

/* -------------------------------------------------------------- for people */

static void field(const char *name, const char *value)
{
	cleanup_buf struct shale_buf text = {0};
	if (!value)
		return;
	/* further lines of a message stand under its first */
	for (const char *line = value;; line++) {
		size_t len = strcspn(line, "\n");
		shale_escape(&text, line, len);
		line += len;
		if (!*line)
			break;
		shale_buf_printf(&text, "\n%15s", "");
	}
	const char *s = shale_buf_str(&text);
	printf("%-14s %s\n", name, s ? s : "");
}

static void print_description(const struct inspect *in)
{
	const struct shale_description *d = &in->v->description;
	char text[SHALE_DIGEST_STR], when[32];

	field("Created:", shale_human_time(&d->created, when));
	field("Author:", d->author);
	field("Message:", d->message);
	field("Data version:", d->data_version);
	for (size_t i = 0; i < d->n_labels; i++) {
		cleanup_buf struct shale_buf label = {0};
		shale_buf_printf(&label, "%s=%s", d->labels[i].key,
				 d->labels[i].value);
		field("Label:", shale_buf_str(&label));
	}
	if (d->has_parent)
		field("Parent:", shale_digest_str(&d->parent, text));
	for (size_t i = 0; i < d->n_also; i++)
		field("Stacked on it:", shale_digest_str(&d->also[i], text));
}

struct rows {
	const struct inspect *in;
	struct shale_columns *table;
};

static void add_row(void *arg, const char *kind,
		    const struct shale_layer_desc *d)
{
	const struct rows *to = arg;
	char digest[13], size[32], a[24] = "", b[24] = "";
	uint64_t inodes, names;

	if (!shale_blobs_has(shale_store_blobs(to->in->store), &d->digest)) {
		snprintf(a, sizeof(a), "missing");
	} else if (!strcmp(kind, "tree") &&
		   tree_counts(to->in, d, &inodes, &names)) {
		snprintf(a, sizeof(a), "%llu", (unsigned long long)inodes);
		snprintf(b, sizeof(b), "%llu", (unsigned long long)names);
	}
	shale_columns_add(to->table, kind);
	shale_columns_add(to->table, shale_short_digest(&d->digest, digest));
	shale_columns_add(to->table,
			  shale_human_size(d->size, to->in->exact, size));
	shale_columns_add(to->table, a);
	shale_columns_add(to->table, b);
}

static void print_layers(const struct inspect *in)
{
	static const char *const heading[] = {"LAYER", "DIGEST", ">SIZE",
					      ">INODES", ">NAMES"};
	struct rows rows = {in, shale_columns_new(5)};
	for (int i = 0; i < 5; i++)
		shale_columns_add(rows.table, heading[i]);
	each_layer(in->v, add_row, &rows);
	putchar('\n');
	shale_columns_print(rows.table, true);
}

static void print_text(const struct inspect *in)
{
	const struct shale_version *v = in->v;
	char text[SHALE_DIGEST_STR], size[32], number[32];
	uint64_t stored = 0;
	cleanup_buf struct shale_buf tags = {0};

	for (size_t i = 0; i < v->n_tags; i++)
		shale_buf_printf(&tags, "%s%s", i ? " " : "", v->tags[i]);
	each_layer(v, add_size, &stored);
	field("Repository:", v->repo);
	if (v->n_tags)
		field("Tags:", shale_buf_str(&tags));
	field("Digest:", shale_digest_str(&v->digest, text));
	print_description(in);
	snprintf(number, sizeof(number), "%llu",
		 (unsigned long long)v->description.inodes);
	field("Inodes:", number);
	field("Size:", shale_human_size(v->description.bytes, in->exact, size));
	field("Stored:", shale_human_size(stored, in->exact, size));
	print_layers(in);
}

static int find_tree_digest(struct inspect *in)
{
	cleanup_image struct shale_image *image = NULL;
	int r = shale_ctx_open(in->ctx, in->store, in->v, &image);
	return r < 0 ? r : shale_tree_digest(in->ctx, image, &in->tree);
}

static int inspect(struct inspect *in, const char *ref, const char *at)
{
	char text[SHALE_DIGEST_STR];
	int r = shale_ctx_store(in->ctx, false, &in->store);
	if (r == 0)
		r = shale_ctx_resolve(in->ctx, in->store, ref, at, &in->v);
	if (r == 0 && in->tree_digest)
		r = find_tree_digest(in);
	if (r < 0)
		return r;
	if (in->ctx->json)
		print_json(in);
	else if (in->tree_digest)
		puts(shale_digest_str(&in->tree, text));
	else
		print_text(in);
	return 0;
}

static int inspect_run(struct shale_ctx *ctx, int argc, char **argv)
{
	const char *at = NULL;
	struct inspect in = {.ctx = ctx};
	const struct shale_opt opts[] = {
		{"at", 0, "TIME", "the version of that time", SHALE_OPT_STRING,
		 &at},
		{"bytes", 0, NULL, "sizes in bytes", SHALE_OPT_FLAG, &in.exact},
		{"tree-digest", 0, NULL,
		 "print a digest of the files, whatever they are stored as",
		 SHALE_OPT_FLAG, &in.tree_digest},
		{0}};
	int n;
	int r = shale_opt_parse(ctx, &shale_cmd_inspect, opts, argc, argv, &n);
	if (r)
		return r < 0 ? SHALE_EXIT_USAGE : SHALE_EXIT_OK;
	if (n != 1)
		return shale_usage(ctx, "which image?");
	r = inspect(&in, argv[0], at);
	shale_version_free(in.v);
	shale_store_close(in.store);
	return r < 0 ? shale_fail(ctx, r) : SHALE_EXIT_OK;
}

const struct shale_cmd shale_cmd_inspect = {
	.name = "inspect",
	.args = "REF",
	.summary = "show one image: manifest, description, layers, sizes",
	.detail = "SIZE is what the files hold, STORED what the image's blobs "
		  "take, those among them that\nit shares with other versions. "
		  " --tree-digest reads all contents.",
	.run = inspect_run,
};
