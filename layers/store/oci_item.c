/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/store/oci_item.h"

#include "layers/store/ref.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void shale_oci_item_release(struct shale_oci_item *item)
{
	free(item->entry.repo);
	free(item->entry.tag);
	json_decref(item->doc);
	memset(item, 0, sizeof(*item));
}

bool shale_oci_item_is_ours(const json_t *d)
{
	const char *artifact =
		json_string_value(json_object_get(d, "artifactType"));
	const json_t *a = json_object_get(d, "annotations");

	return (artifact && !strcmp(artifact, SHALE_MEDIA_IMAGE)) ||
	       json_object_get(a, SHALE_ANN_REPO) ||
	       json_object_get(a, SHALE_ANN_CHECK);
}

/* XXH3-64, in hex, of the entry's fields, a line each. */
static int entry_check(const struct shale_oci_item *item, char out[17],
		       struct shale_err *err)
{
	const struct shale_version_entry *e = &item->entry;
	char digest[SHALE_DIGEST_STR], parent[SHALE_DIGEST_STR] = "";
	char created[40];
	cleanup_buf struct shale_buf text = {0};

	shale_time_format(&e->created, created);
	if (e->has_parent)
		shale_digest_str(&e->parent, parent);
	if (shale_buf_printf(&text,
			     "%s\n%" PRIu64 "\n%s\n%s\n%s\n%s\n%" PRIu64 "\n",
			     shale_digest_str(&e->digest, digest),
			     item->manifest_size, e->repo, e->tag ? e->tag : "",
			     created, parent, e->size) < 0)
		return shale_err_set(err, ENOMEM, "index.json");
	snprintf(out, 17, "%016" PRIx64, shale_xxh64(text.data, text.len));
	return 0;
}

int shale_oci_item_update(struct shale_oci_item *item, struct shale_err *err)
{
	const struct shale_version_entry *e = &item->entry;
	json_t *a = json_object_get(item->doc, "annotations");
	char created[40], parent[SHALE_DIGEST_STR], size[24], check[17];
	char name[256 + 1 + 129];

	int r = entry_check(item, check, err);
	if (r < 0)
		return r;
	shale_time_format(&e->created, created);
	snprintf(size, sizeof(size), "%" PRIu64, e->size);
	json_object_del(a, SHALE_ANN_NAME);
	if (e->tag) {
		snprintf(name, sizeof(name), "%s:%s", e->repo, e->tag);
		r = shale_json_set_text(a, SHALE_ANN_NAME, name, err);
	}
	if (r == 0)
		r = shale_json_set_text(a, SHALE_ANN_CREATED, created, err);
	if (r == 0)
		r = shale_json_set_text(a, SHALE_ANN_REPO, e->repo, err);
	if (r == 0 && e->has_parent)
		r = shale_json_set_text(a, SHALE_ANN_PARENT,
					shale_digest_str(&e->parent, parent),
					err);
	if (r == 0)
		r = shale_json_set_text(a, SHALE_ANN_SIZE, size, err);
	if (r == 0)
		r = shale_json_set_text(a, SHALE_ANN_CHECK, check, err);
	return r;
}

/* "repository:tag" gives the tag; the repository must be the entry's. */
static int get_tag(const json_t *a, struct shale_version_entry *e,
		   struct shale_err *err)
{
	const char *name;
	size_t len = strlen(e->repo);
	int r = shale_json_text(a, SHALE_ANN_NAME, true, &name, err);
	if (r < 0 || !name)
		return r;
	if (strncmp(name, e->repo, len) != 0 || name[len] != ':' ||
	    shale_ref_check_tag(name + len + 1, NULL) < 0)
		return shale_err_say(
			err, EUCLEAN,
			"'" SHALE_ANN_NAME "' is not a tag of '%s'", e->repo);
	e->tag = strdup(name + len + 1);
	return e->tag ? 0 : shale_err_set(err, ENOMEM, "index.json");
}

static int get_size(const json_t *a, uint64_t *out, struct shale_err *err)
{
	const char *text;
	int r = shale_json_text(a, SHALE_ANN_SIZE, false, &text, err);
	if (r < 0)
		return r;
	char *end;
	errno = 0;
	*out = strtoull(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || *out > INT64_MAX)
		return shale_err_say(err, EUCLEAN,
				     "'" SHALE_ANN_SIZE
				     "' is not a number of bytes");
	return 0;
}

int shale_oci_item_decode(struct shale_oci_item *item, struct shale_err *err)
{
	struct shale_version_entry *e = &item->entry;
	const json_t *a = json_object_get(item->doc, "annotations");
	const char *media_type, *artifact, *repo, *check;
	struct shale_layer_desc d;

	int r = shale_json_descriptor_get(item->doc, &media_type, &d, err);
	if (r == 0)
		r = shale_json_text(item->doc, "artifactType", false, &artifact,
				    err);
	if (r == 0 && (strcmp(media_type, SHALE_MEDIA_MANIFEST) != 0 ||
		       strcmp(artifact, SHALE_MEDIA_IMAGE) != 0))
		r = shale_err_say(err, EUCLEAN, "wrong media or artifact type");
	if (r == 0)
		r = shale_json_text(a, SHALE_ANN_REPO, false, &repo, err);
	if (r == 0 && shale_ref_check_repo(repo, err) < 0)
		r = -EUCLEAN;
	if (r == 0 && !(e->repo = strdup(repo)))
		r = shale_err_set(err, ENOMEM, "index.json");
	if (r == 0)
		r = get_tag(a, e, err);
	if (r == 0)
		r = shale_json_time(a, SHALE_ANN_CREATED, &e->created, err);
	if (r == 0)
		r = shale_json_digest(a, SHALE_ANN_PARENT, &e->has_parent,
				      &e->parent, err);
	if (r == 0)
		r = get_size(a, &e->size, err);
	if (r == 0)
		r = shale_json_text(a, SHALE_ANN_CHECK, false, &check, err);
	if (r < 0)
		return r;

	char want[17];
	e->digest = d.digest;
	item->manifest_size = d.size;
	r = entry_check(item, want, err);
	if (r == 0 && strcmp(want, check) != 0)
		r = shale_err_say(err, EUCLEAN, "its checksum does not hold");
	return r;
}
