/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/store/json.h"
#include "layers/store/oci.h"
#include "layers/store/ref.h"

#include <errno.h>
#include <string.h>

/* ---------------------------------------------------------------- encode */

static int add_layers(json_t *layers, const char *media_type,
		      const struct shale_layer_desc *d, size_t n,
		      struct shale_err *err)
{
	for (size_t i = 0; i < n; i++)
		if (json_array_append_new(
			    layers, shale_json_descriptor(media_type, &d[i])))
			return shale_err_set(err, ENOMEM, "manifest");
	return 0;
}

/* What registries and other tools show; it repeats the description. */
static int set_annotations(json_t *doc, const struct shale_description *d,
			   struct shale_err *err)
{
	char created[40];
	json_t *a = json_object();
	if (json_object_set_new(doc, "annotations", a) < 0)
		return shale_err_set(err, ENOMEM, "annotations");

	shale_time_format(&d->created, created);
	int r = shale_json_set_text(a, "org.opencontainers.image.created",
				    created, err);
	if (r == 0)
		r = shale_json_set_text(a, "org.opencontainers.image.authors",
					d->author, err);
	if (r == 0)
		r = shale_json_set_text(a,
					"org.opencontainers.image.description",
					d->message, err);
	if (r == 0)
		r = shale_json_set_text(a, "org.opencontainers.image.version",
					d->data_version, err);
	return r;
}

int shale_oci_manifest_encode(const struct shale_version *v,
			      const struct shale_layer_desc *config,
			      struct shale_buf *out, struct shale_err *err)
{
	cleanup_json json_t *doc = json_pack(
		"{s:i, s:s, s:s, s:o, s:[]}", "schemaVersion", 2, "mediaType",
		SHALE_MEDIA_MANIFEST, "artifactType", SHALE_MEDIA_IMAGE,
		"config",
		shale_json_descriptor(SHALE_MEDIA_DESCRIPTION, config),
		"layers");
	json_t *layers = json_object_get(doc, "layers");
	if (!layers)
		return shale_err_set(err, ENOMEM, "manifest");

	int r = add_layers(layers, SHALE_MEDIA_TREE, v->trees, v->n_trees, err);
	if (r == 0)
		r = add_layers(layers, SHALE_MEDIA_DATA, v->data, v->n_data,
			       err);
	if (r == 0 && v->has_metadata)
		r = add_layers(layers, SHALE_MEDIA_METADATA, &v->metadata, 1,
			       err);
	if (r == 0)
		r = set_annotations(doc, &v->description, err);
	if (r == 0)
		r = shale_json_dump(doc, out, err);
	return r;
}

/* ---------------------------------------------------------------- decode */

static int add_layer(struct shale_version *v, const char *media_type,
		     const struct shale_layer_desc *d, struct shale_err *err)
{
	if (!strcmp(media_type, SHALE_MEDIA_TREE)) {
		v->trees[v->n_trees++] = *d;
	} else if (!strcmp(media_type, SHALE_MEDIA_DATA)) {
		v->data[v->n_data++] = *d;
	} else if (strcmp(media_type, SHALE_MEDIA_METADATA) != 0) {
		/* What it says of the image is not known: not to be guessed */
		return shale_err_say(err, EPROTONOSUPPORT,
				     "a layer of type '%s' is not known to "
				     "this version of shale",
				     media_type);
	} else if (v->has_metadata) {
		return shale_err_say(err, EUCLEAN, "two metadata layers");
	} else {
		v->metadata = *d;
		v->has_metadata = true;
	}
	return 0;
}

static int get_layers(const json_t *doc, struct shale_version *v,
		      struct shale_err *err)
{
	const json_t *layers = json_object_get(doc, "layers");
	size_t n = json_array_size(layers);
	if (n == 0 || n > SHALE_LAYERS_MAX)
		return shale_err_say(err, EUCLEAN,
				     "'layers' does not hold 1 to %d layers",
				     SHALE_LAYERS_MAX);

	v->trees = calloc(n, sizeof(*v->trees));
	v->data = calloc(n, sizeof(*v->data));
	if (!v->trees || !v->data)
		return shale_err_set(err, ENOMEM, "layers");

	for (size_t i = 0; i < n; i++) {
		const char *media_type;
		struct shale_layer_desc d;
		int r = shale_json_descriptor_get(json_array_get(layers, i),
						  &media_type, &d, err);
		if (r == 0)
			r = add_layer(v, media_type, &d, err);
		if (r < 0)
			return shale_err_wrap(err, r, "layer %zu", i);
	}
	if (v->n_trees == 0)
		return shale_err_say(err, EUCLEAN, "no tree layer");
	return 0;
}

static int check_type(const json_t *doc, struct shale_err *err)
{
	uint64_t schema;
	const char *media_type, *artifact;
	int r = shale_json_number(doc, "schemaVersion", &schema, err);
	if (r == 0)
		r = shale_json_text(doc, "mediaType", true, &media_type, err);
	if (r == 0)
		r = shale_json_text(doc, "artifactType", true, &artifact, err);
	if (r < 0)
		return r;
	if (schema != 2 ||
	    (media_type && strcmp(media_type, SHALE_MEDIA_MANIFEST) != 0))
		return shale_err_say(err, EPROTONOSUPPORT,
				     "it is not an OCI image manifest");
	if (!artifact || strcmp(artifact, SHALE_MEDIA_IMAGE) != 0)
		return shale_err_say(err, EPROTONOSUPPORT,
				     "it is not a Shale image but '%s'",
				     artifact ? artifact : "a container image");
	return 0;
}

int shale_oci_manifest_decode(const void *data, size_t len,
			      struct shale_version *v,
			      struct shale_layer_desc *config,
			      struct shale_err *err)
{
	if (len > SHALE_MANIFEST_LIMIT)
		return shale_err_say(err, EUCLEAN,
				     "the manifest is larger than 8 MiB");
	cleanup_json json_t *doc = NULL;
	int r = shale_json_parse(&doc, data, len, "the manifest", err);
	if (r < 0)
		return r;

	const char *media_type;
	r = check_type(doc, err);
	if (r == 0)
		r = shale_json_descriptor_get(json_object_get(doc, "config"),
					      &media_type, config, err);
	if (r == 0 && strcmp(media_type, SHALE_MEDIA_DESCRIPTION) != 0)
		r = shale_err_say(err, EPROTONOSUPPORT,
				  "its config is '%s', not a description",
				  media_type);
	if (r == 0)
		r = get_layers(doc, v, err);
	if (r < 0)
		return shale_err_wrap(err, r, "cannot use the manifest");
	return 0;
}
