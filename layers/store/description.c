/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/store/json.h"
#include "layers/store/oci.h"
#include "layers/store/ref.h"

#include <errno.h>
#include <string.h>

void shale_description_release(struct shale_description *d)
{
	if (!d)
		return;
	free(d->author);
	free(d->message);
	free(d->data_version);
	for (size_t i = 0; i < d->n_labels; i++) {
		free(d->labels[i].key);
		free(d->labels[i].value);
	}
	free(d->labels);
	free(d->also);
	memset(d, 0, sizeof(*d));
}

/* ---------------------------------------------------------------- encode */

static int set_labels(json_t *doc, const struct shale_description *d,
		      struct shale_err *err)
{
	if (d->n_labels == 0)
		return 0;
	json_t *labels = json_object();
	if (json_object_set_new(doc, "labels", labels) < 0)
		return shale_err_set(err, ENOMEM, "labels");
	for (size_t i = 0; i < d->n_labels; i++) {
		const struct shale_label *l = &d->labels[i];
		int r = shale_json_set_text(labels, l->key, l->value, err);
		if (r < 0)
			return shale_err_wrap(err, r, "label '%s'", l->key);
	}
	return 0;
}

static int set_also(json_t *doc, const struct shale_description *d,
		    struct shale_err *err)
{
	if (d->n_also == 0)
		return 0;
	json_t *also = json_array();
	if (json_object_set_new(doc, "also", also) < 0)
		return shale_err_set(err, ENOMEM, "also");
	for (size_t i = 0; i < d->n_also; i++) {
		char text[SHALE_DIGEST_STR];
		shale_digest_str(&d->also[i], text);
		if (json_array_append_new(also, json_string(text)) < 0)
			return shale_err_set(err, ENOMEM, "also");
	}
	return 0;
}

int shale_oci_description_encode(const struct shale_description *d,
				 struct shale_buf *out, struct shale_err *err)
{
	char created[40], parent[SHALE_DIGEST_STR];
	cleanup_json json_t *doc = json_object();

	shale_time_format(&d->created, created);
	int r = shale_json_set_text(doc, "created", created, err);
	if (r == 0)
		r = shale_json_set_text(doc, "author", d->author, err);
	if (r == 0)
		r = shale_json_set_text(doc, "message", d->message, err);
	if (r == 0)
		r = shale_json_set_text(doc, "dataVersion", d->data_version,
					err);
	if (r == 0)
		r = set_labels(doc, d, err);
	if (r == 0 && d->has_parent)
		r = shale_json_set_text(doc, "parent",
					shale_digest_str(&d->parent, parent),
					err);
	if (r == 0)
		r = set_also(doc, d, err);
	if (r == 0)
		r = shale_json_set_number(doc, "nextInode", d->next_ino, err);
	if (r == 0)
		r = shale_json_set_number(doc, "inodes", d->inodes, err);
	if (r == 0)
		r = shale_json_set_number(doc, "bytes", d->bytes, err);
	if (r == 0)
		r = shale_json_dump(doc, out, err);
	return r;
}

/* ---------------------------------------------------------------- decode */

static int get_labels(const json_t *doc, struct shale_description *d,
		      struct shale_err *err)
{
	json_t *labels = json_object_get(doc, "labels");
	if (!labels)
		return 0;
	if (!json_is_object(labels))
		return shale_err_say(err, EUCLEAN, "'labels' is not an object");

	size_t n = json_object_size(labels);
	d->labels = calloc(n ? n : 1, sizeof(*d->labels));
	if (!d->labels)
		return shale_err_set(err, ENOMEM, "labels");

	const char *key;
	json_t *value;
	json_object_foreach(labels, key, value)
	{
		if (!json_is_string(value))
			return shale_err_say(err, EUCLEAN,
					     "label '%s' is not a string", key);
		struct shale_label *l = &d->labels[d->n_labels++];
		l->key = strdup(key);
		l->value = strdup(json_string_value(value));
		if (!l->key || !l->value)
			return shale_err_set(err, ENOMEM, "labels");
	}
	return 0;
}

static int get_also(const json_t *doc, struct shale_description *d,
		    struct shale_err *err)
{
	json_t *also = json_object_get(doc, "also");
	if (!also)
		return 0;
	if (!json_is_array(also))
		return shale_err_say(err, EUCLEAN, "'also' is not an array");

	size_t n = json_array_size(also);
	d->also = calloc(n ? n : 1, sizeof(*d->also));
	if (!d->also)
		return shale_err_set(err, ENOMEM, "also");
	for (size_t i = 0; i < n; i++) {
		const char *text = json_string_value(json_array_get(also, i));
		if (!text || strncmp(text, "sha256:", 7) ||
		    shale_digest_parse(text, &d->also[d->n_also++]) < 0)
			return shale_err_say(err, EUCLEAN,
					     "'also' does not hold digests");
	}
	return 0;
}

static int decode_fields(const json_t *doc, struct shale_description *d,
			 struct shale_err *err)
{
	int r = shale_json_time(doc, "created", &d->created, err);
	if (r == 0)
		r = shale_json_text_copy(doc, "author", &d->author, err);
	if (r == 0)
		r = shale_json_text_copy(doc, "message", &d->message, err);
	if (r == 0)
		r = shale_json_text_copy(doc, "dataVersion", &d->data_version,
					 err);
	if (r == 0)
		r = get_labels(doc, d, err);
	if (r == 0)
		r = shale_json_digest(doc, "parent", &d->has_parent, &d->parent,
				      err);
	if (r == 0)
		r = get_also(doc, d, err);
	if (r == 0)
		r = shale_json_number(doc, "nextInode", &d->next_ino, err);
	if (r == 0)
		r = shale_json_number(doc, "inodes", &d->inodes, err);
	if (r == 0)
		r = shale_json_number(doc, "bytes", &d->bytes, err);
	if (r == 0 &&
	    (d->next_ino <= SHALE_ROOT_INO || d->next_ino > SHALE_INO_MAX + 1))
		r = shale_err_say(err, EUCLEAN,
				  "'nextInode' is not above 1 and below 2^40");
	return r;
}

int shale_oci_description_decode(const void *data, size_t len,
				 struct shale_description *out,
				 struct shale_err *err)
{
	if (len > SHALE_DESCRIPTION_LIMIT)
		return shale_err_say(err, EUCLEAN,
				     "the description is larger "
				     "than 1 MiB");
	cleanup_json json_t *doc = NULL;
	int r = shale_json_parse(&doc, data, len, "the description", err);
	if (r < 0)
		return r;

	struct shale_description d = {0};
	r = decode_fields(doc, &d, err);
	if (r < 0) {
		shale_description_release(&d);
		return shale_err_wrap(err, r, "the description is damaged");
	}
	*out = d;
	return 0;
}
