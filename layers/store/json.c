/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/store/json.h"

#include "layers/store/ref.h"

#include <errno.h>
#include <string.h>

int shale_json_parse(json_t **out, const void *data, size_t len,
		     const char *what, struct shale_err *err)
{
	json_error_t why;
	json_t *doc = json_loadb(data, len, JSON_REJECT_DUPLICATES, &why);
	if (!doc)
		return shale_err_say(err, EUCLEAN, "%s is damaged: line %d: %s",
				     what, why.line, why.text);
	if (!json_is_object(doc)) {
		json_decref(doc);
		return shale_err_say(err, EUCLEAN,
				     "%s is damaged: not a JSON object", what);
	}
	*out = doc;
	return 0;
}

static int append(const char *data, size_t len, void *to)
{
	return shale_buf_append(to, data, len);
}

int shale_json_dump(const json_t *doc, struct shale_buf *out,
		    struct shale_err *err)
{
	if (json_dump_callback(doc, append, out, JSON_COMPACT) < 0)
		return shale_err_set(err, ENOMEM, "encode JSON");
	return 0;
}

int shale_json_set_text(json_t *object, const char *key, const char *text,
			struct shale_err *err)
{
	if (!text)
		return 0;
	json_t *value = json_string(text);
	if (!value)
		return shale_err_say(err, EILSEQ, "%s is not UTF-8", key);
	if (json_object_set_new(object, key, value) < 0)
		return shale_err_set(err, EILSEQ, "set '%s'", key);
	return 0;
}

int shale_json_set_number(json_t *object, const char *key, uint64_t value,
			  struct shale_err *err)
{
	if (value > INT64_MAX)
		return shale_err_set(err, EOVERFLOW, "%s", key);
	if (json_object_set_new(object, key, json_integer((json_int_t)value)))
		return shale_err_set(err, ENOMEM, "set '%s'", key);
	return 0;
}

int shale_json_text(const json_t *object, const char *key, bool optional,
		    const char **out, struct shale_err *err)
{
	const json_t *value = json_object_get(object, key);
	if (!value && optional) {
		*out = NULL;
		return 0;
	}
	if (!json_is_string(value))
		return shale_err_say(err, EUCLEAN, "'%s' is not a string", key);
	*out = json_string_value(value);
	return 0;
}

int shale_json_text_copy(const json_t *object, const char *key, char **out,
			 struct shale_err *err)
{
	const char *text = NULL;
	int r = shale_json_text(object, key, true, &text, err);
	if (r < 0 || !text)
		return r;
	char *copy = strdup(text);
	if (!copy)
		return shale_err_set(err, ENOMEM, "'%s'", key);
	*out = copy;
	return 0;
}

int shale_json_number(const json_t *object, const char *key, uint64_t *out,
		      struct shale_err *err)
{
	const json_t *value = json_object_get(object, key);
	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return shale_err_say(err, EUCLEAN,
				     "'%s' is not a number from 0 to 2^63-1",
				     key);
	*out = (uint64_t)json_integer_value(value);
	return 0;
}

int shale_json_digest(const json_t *object, const char *key, bool *has,
		      struct shale_digest *out, struct shale_err *err)
{
	const char *text = NULL;
	int r = shale_json_text(object, key, has != NULL, &text, err);
	if (r < 0)
		return r;
	if (has)
		*has = text != NULL;
	if (!text)
		return 0;
	/* bare digits are fine for people, not for documents */
	if (strncmp(text, "sha256:", 7) || shale_digest_parse(text, out) < 0)
		return shale_err_say(err, EUCLEAN,
				     "'%s' is not a SHA-256 digest", key);
	return 0;
}

int shale_json_time(const json_t *object, const char *key, struct timespec *out,
		    struct shale_err *err)
{
	const char *text = NULL;
	int r = shale_json_text(object, key, false, &text, err);
	if (r == 0 && shale_time_parse_utc(text, out) < 0)
		r = shale_err_say(err, EUCLEAN, "'%s' is not a time (RFC 3339)",
				  key);
	return r;
}

json_t *shale_json_descriptor(const char *media_type,
			      const struct shale_layer_desc *d)
{
	char digest[SHALE_DIGEST_STR];
	if (d->size > INT64_MAX)
		return NULL;
	return json_pack("{s:s, s:s, s:I}", "mediaType", media_type, "digest",
			 shale_digest_str(&d->digest, digest), "size",
			 (json_int_t)d->size);
}

int shale_json_descriptor_get(const json_t *object, const char **media_type,
			      struct shale_layer_desc *out,
			      struct shale_err *err)
{
	int r = 0;
	if (!json_is_object(object))
		r = shale_err_say(err, EUCLEAN, "not a descriptor");
	if (r == 0)
		r = shale_json_text(object, "mediaType", false, media_type,
				    err);
	if (r == 0)
		r = shale_json_digest(object, "digest", NULL, &out->digest,
				      err);
	if (r == 0)
		r = shale_json_number(object, "size", &out->size, err);
	return r;
}
