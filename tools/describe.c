/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/base/cleanup.h"
#include "layers/store/ref.h"
#include "tools/describe.h"

#include <string.h>

static void set_text(json_t *object, const char *key, const char *text)
{
	if (text)
		json_object_set_new(object, key, json_string(text));
}

static void set_digest(json_t *object, const char *key,
		       const struct shale_digest *digest)
{
	char text[SHALE_DIGEST_STR];
	set_text(object, key, shale_digest_str(digest, text));
}

static void set_number(json_t *object, const char *key, uint64_t value)
{
	json_object_set_new(object, key, json_integer((json_int_t)value));
}

static void set_created(json_t *object, const struct timespec *t)
{
	char text[40];
	shale_time_format(t, text);
	set_text(object, "created", text);
}

void shale_json_entry(json_t *object, const struct shale_version_entry *e)
{
	set_text(object, "repository", e->repo);
	set_digest(object, "digest", &e->digest);
	set_created(object, &e->created);
	if (e->has_parent)
		set_digest(object, "parent", &e->parent);
	set_number(object, "added", e->size);
}

void shale_json_description(json_t *object, const struct shale_description *d)
{
	set_created(object, &d->created);
	set_text(object, "author", d->author);
	set_text(object, "message", d->message);
	set_text(object, "data_version", d->data_version);
	if (d->n_labels) {
		json_t *labels = json_object();
		for (size_t i = 0; i < d->n_labels; i++)
			set_text(labels, d->labels[i].key, d->labels[i].value);
		json_object_set_new(object, "labels", labels);
	}
	if (d->has_parent)
		set_digest(object, "parent", &d->parent);
	set_number(object, "inodes", d->inodes);
	set_number(object, "bytes", d->bytes);
}

const char *shale_first_line(const char *message, struct shale_buf *out)
{
	if (message)
		shale_buf_append(out, message, strcspn(message, "\r\n"));
	const char *line = shale_buf_str(out);
	return line ? line : "";
}
