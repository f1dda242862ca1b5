/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/store/oci.h"

#include "layers/store/oci_item.h"
#include "layers/store/oci_scan.h"

#include <errno.h>
#include <string.h>

struct shale_oci_index {
	json_t *doc;     /* "manifests" emptied */
	json_t *foreign; /* array of descriptors that are not ours */
	struct shale_oci_item *items;
	size_t n, cap;
};

struct shale_oci_index *shale_oci_index_new(void)
{
	struct shale_oci_index *ix = calloc(1, sizeof(*ix));
	if (!ix)
		return NULL;
	ix->foreign = json_array();
	ix->doc = json_pack("{s:i, s:s, s:[]}", "schemaVersion", 2, "mediaType",
			    SHALE_MEDIA_INDEX, "manifests");
	if (!ix->doc || !ix->foreign) {
		shale_oci_index_free(ix);
		return NULL;
	}
	return ix;
}

void shale_oci_index_free(struct shale_oci_index *ix)
{
	if (!ix)
		return;
	for (size_t i = 0; i < ix->n; i++)
		shale_oci_item_release(&ix->items[i]);
	free(ix->items);
	json_decref(ix->doc);
	json_decref(ix->foreign);
	free(ix);
}

/* ---------------------------------------------------------- whole document */

/* Takes over what `item` owns, also after an error. */
static int append_item(struct shale_oci_index *ix, struct shale_oci_item *item,
		       struct shale_err *err)
{
	if (ix->n == ix->cap) {
		size_t cap = ix->cap ? ix->cap * 2 : 16;
		struct shale_oci_item *items =
			reallocarray(ix->items, cap, sizeof(*items));
		if (!items) {
			shale_oci_item_release(item);
			return shale_err_set(err, ENOMEM, "index.json");
		}
		ix->items = items;
		ix->cap = cap;
	}
	ix->items[ix->n++] = *item;
	return 0;
}

static int decode_manifests(struct shale_oci_index *ix, json_t *manifests,
			    struct shale_err *err)
{
	cleanup_json json_t *names = json_object();

	for (size_t i = 0; i < json_array_size(manifests); i++) {
		json_t *d = json_array_get(manifests, i);
		if (json_is_object(d) && !shale_oci_item_is_ours(d)) {
			if (json_array_append(ix->foreign, d) < 0)
				return shale_err_set(err, ENOMEM, "index.json");
			continue;
		}
		struct shale_oci_item item = {.doc = json_incref(d)};
		int r = shale_oci_item_decode(&item, err);
		if (r < 0) {
			shale_oci_item_release(&item);
			return shale_err_wrap(err, r, "entry %zu", i);
		}
		r = append_item(ix, &item, err);
		if (r < 0)
			return r;
		const char *name = json_string_value(json_object_get(
			json_object_get(d, "annotations"), SHALE_ANN_NAME));
		if (name && json_object_get(names, name))
			return shale_err_say(err, EUCLEAN,
					     "entry %zu: '%s' stands twice", i,
					     name);
		if (name && json_object_set_new(names, name, json_true()) < 0)
			return shale_err_set(err, ENOMEM, "index.json");
	}
	return 0;
}

static int decode_document(struct shale_oci_index *ix, json_t *doc,
			   struct shale_err *err)
{
	uint64_t schema;
	const char *media_type;
	json_t *manifests = json_object_get(doc, "manifests");

	int r = shale_json_number(doc, "schemaVersion", &schema, err);
	if (r == 0)
		r = shale_json_text(doc, "mediaType", true, &media_type, err);
	if (r == 0 && (schema != 2 ||
		       (media_type && strcmp(media_type, SHALE_MEDIA_INDEX))))
		r = shale_err_say(err, EUCLEAN, "it is not an OCI image index");
	if (r == 0 && !json_is_array(manifests))
		r = shale_err_say(err, EUCLEAN, "'manifests' is not an array");
	if (r == 0)
		r = decode_manifests(ix, manifests, err);
	if (r < 0)
		return r;

	json_array_clear(manifests);
	json_decref(ix->doc);
	ix->doc = json_incref(doc);
	return 0;
}

int shale_oci_layout_check(const void *data, size_t len, struct shale_err *err)
{
	cleanup_json json_t *doc = NULL;
	const char *version;

	int r = shale_json_parse(&doc, data, len, "oci-layout", err);
	if (r == 0)
		r = shale_json_text(doc, "imageLayoutVersion", false, &version,
				    err);
	if (r == 0 && strncmp(version, "1.", 2) != 0)
		r = shale_err_say(err, EPROTONOSUPPORT,
				  "it is an OCI layout of version %s", version);
	return r;
}

int shale_oci_index_decode(struct shale_oci_index **out, const void *data,
			   size_t len, struct shale_err *err)
{
	cleanup_json json_t *doc = NULL;
	int r = shale_json_parse(&doc, data, len, "index.json", err);
	if (r < 0)
		return r;

	cleanup_oci_index struct shale_oci_index *ix = shale_oci_index_new();
	if (!ix)
		return shale_err_set(err, ENOMEM, "index.json");
	r = decode_document(ix, doc, err);
	if (r < 0)
		return shale_err_wrap(err, r, "index.json is damaged");
	*out = steal_ptr(&ix);
	return 0;
}

/* A copy of the document's own fields, the seal still open. */
static json_t *copy_fields(const struct shale_oci_index *ix)
{
	json_t *doc = json_copy(ix->doc);
	json_t *a = json_object_get(doc, "annotations");

	a = json_is_object(a) ? json_copy(a) : json_object();
	if (json_object_set_new(a, SHALE_ANN_TEXT,
				json_string("0000000000000000")) < 0 ||
	    json_object_set_new(doc, "annotations", a) < 0) {
		json_decref(doc);
		return NULL;
	}
	return doc;
}

int shale_oci_index_encode(const struct shale_oci_index *ix,
			   struct shale_buf *out, struct shale_err *err)
{
	cleanup_json json_t *doc = copy_fields(ix);
	cleanup_json json_t *manifests = json_copy(ix->foreign);
	cleanup_buf struct shale_buf text = {0};

	if (!doc || !manifests)
		return shale_err_set(err, ENOMEM, "index.json");
	for (size_t i = 0; i < ix->n; i++)
		if (json_array_append(manifests, ix->items[i].doc) < 0)
			return shale_err_set(err, ENOMEM, "index.json");
	if (json_object_set(doc, "manifests", manifests) < 0)
		return shale_err_set(err, ENOMEM, "index.json");
	int r = shale_json_dump(doc, &text, err);
	if (r == 0) {
		shale_oci_seal(&text);
		if (shale_buf_append(out, text.data, text.len) < 0)
			r = shale_err_set(err, ENOMEM, "index.json");
	}
	return r;
}

/* ------------------------------------------------------------- the entries */

size_t shale_oci_index_count(const struct shale_oci_index *ix)
{
	return ix->n;
}

const struct shale_version_entry *
shale_oci_index_entry(const struct shale_oci_index *ix, size_t i)
{
	return &ix->items[i].entry;
}

uint64_t shale_oci_index_manifest_size(const struct shale_oci_index *ix,
				       size_t i)
{
	return ix->items[i].manifest_size;
}

int shale_oci_index_foreign(const struct shale_oci_index *ix, size_t i,
			    struct shale_digest *out)
{
	const char *media_type;
	struct shale_layer_desc d;
	const json_t *doc = json_array_get(ix->foreign, i);

	if (!doc)
		return -ENOENT;
	int r = shale_json_descriptor_get(doc, &media_type, &d, NULL);
	if (r == 0)
		*out = d.digest;
	return r;
}

const char *shale_oci_index_foreign_name(const struct shale_oci_index *ix,
					 size_t i)
{
	const json_t *doc = json_array_get(ix->foreign, i);
	return json_string_value(json_object_get(
		json_object_get(doc, "annotations"), SHALE_ANN_NAME));
}

void shale_oci_index_drop_foreign(struct shale_oci_index *ix, size_t i)
{
	json_array_remove(ix->foreign, i);
}

int shale_oci_index_add(struct shale_oci_index *ix,
			const struct shale_version_entry *entry,
			uint64_t manifest_size, struct shale_err *err)
{
	struct shale_layer_desc d = {entry->digest, manifest_size};
	struct shale_oci_item item = {.entry = *entry,
				      .manifest_size = manifest_size};

	item.doc = shale_json_descriptor(SHALE_MEDIA_MANIFEST, &d);
	item.entry.repo = strdup(entry->repo);
	item.entry.tag = entry->tag ? strdup(entry->tag) : NULL;
	int r = 0;
	if (!item.doc || !item.entry.repo || (entry->tag && !item.entry.tag) ||
	    json_object_set_new(item.doc, "artifactType",
				json_string(SHALE_MEDIA_IMAGE)) < 0 ||
	    json_object_set_new(item.doc, "annotations", json_object()) < 0)
		r = shale_err_set(err, ENOMEM, "index.json");
	if (r == 0)
		r = shale_oci_item_update(&item, err);
	if (r < 0) {
		shale_oci_item_release(&item);
		return r;
	}
	return append_item(ix, &item, err);
}

int shale_oci_index_set_tag(struct shale_oci_index *ix, size_t i,
			    const char *tag, struct shale_err *err)
{
	char *copy = tag ? strdup(tag) : NULL;
	if (tag && !copy)
		return shale_err_set(err, ENOMEM, "index.json");
	free(ix->items[i].entry.tag);
	ix->items[i].entry.tag = copy;
	return shale_oci_item_update(&ix->items[i], err);
}

void shale_oci_index_remove(struct shale_oci_index *ix, size_t i)
{
	shale_oci_item_release(&ix->items[i]);
	memmove(&ix->items[i], &ix->items[i + 1],
		(ix->n - i - 1) * sizeof(*ix->items));
	ix->n--;
}
