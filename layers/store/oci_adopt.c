/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/store/oci_adopt.h"

#include "layers/store/agree.h"
#include "layers/store/ref.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define UNNAMED "unnamed"

static int read_into(shale_read_document_fn *read, void *arg,
		     struct shale_version *v, struct shale_err *err)
{
	struct shale_layer_desc config;
	cleanup_buf struct shale_buf text = {0};

	int r = read(arg, &v->digest, SHALE_MANIFEST_LIMIT, &text, err);
	if (r < 0)
		return r;
	v->manifest_size = text.len;
	r = shale_oci_manifest_decode(text.data, text.len, v, &config, err);
	if (r < 0)
		return r;
	text.len = 0;
	r = read(arg, &config.digest, SHALE_DESCRIPTION_LIMIT, &text, err);
	return r < 0 ? r
		     : shale_oci_description_decode(text.data, text.len,
						    &v->description, err);
}

int shale_oci_version_read(shale_read_document_fn *read, void *arg,
			   const struct shale_digest *digest,
			   struct shale_version **out, struct shale_err *err)
{
	struct shale_version *v = calloc(1, sizeof(*v));
	if (!v)
		return shale_err_set(err, ENOMEM, "read a version");
	v->digest = *digest;
	int r = read_into(read, arg, v, err);
	if (r < 0) {
		shale_version_free(v);
		return r;
	}
	*out = v;
	return 0;
}

static bool has_tag(const struct shale_oci_index *ix, const char *repo,
		    const char *tag)
{
	for (size_t i = 0; i < shale_oci_index_count(ix); i++) {
		const struct shale_version_entry *e =
			shale_oci_index_entry(ix, i);
		if (e->tag && !strcmp(e->repo, repo) && !strcmp(e->tag, tag))
			return true;
	}
	return false;
}

/* What the name says, as far as it is a reference of ours. */
static void read_name(const char *name, struct shale_ref *ref)
{
	if (!name || shale_ref_parse(name, ref, NULL) < 0 || !ref->repo[0] ||
	    ref->digest[0] || ref->ancestor) {
		*ref = (struct shale_ref){.repo = UNNAMED};
		return;
	}
	if (!ref->tag[0])
		memcpy(ref->tag, "latest", sizeof("latest"));
}

static int adopt(struct shale_oci_index *ix, size_t i,
		 shale_read_document_fn *read, void *arg,
		 const struct shale_version *v, struct shale_err *err)
{
	struct shale_version *parent = NULL;
	struct shale_ref ref;
	read_name(shale_oci_index_foreign_name(ix, i), &ref);
	if (v->description.has_parent)
		/* It may well not be here. */
		shale_oci_version_read(read, arg, &v->description.parent,
				       &parent, NULL);
	const struct shale_version_entry e = {
		.digest = v->digest,
		.repo = ref.repo,
		.tag = ref.tag[0] && !has_tag(ix, ref.repo, ref.tag) ? ref.tag
								     : NULL,
		.created = v->description.created,
		.parent = v->description.parent,
		.has_parent = v->description.has_parent,
		.size = shale_version_new_size(v, parent),
	};
	shale_version_free(parent);
	int r = shale_oci_index_add(ix, &e, v->manifest_size, err);
	if (r == 0)
		shale_oci_index_drop_foreign(ix, i);
	return r;
}

int shale_oci_adopt(struct shale_oci_index *ix, shale_read_document_fn *read,
		    void *arg, struct shale_err *err)
{
	struct shale_digest digest;
	int r;
	for (size_t i = 0;
	     (r = shale_oci_index_foreign(ix, i, &digest)) != -ENOENT;) {
		struct shale_version *v = NULL;
		if (r == 0)
			r = shale_oci_version_read(read, arg, &digest, &v,
						   NULL);
		if (r == -ENOMEM)
			return shale_err_set(err, ENOMEM, "index.json");
		if (r < 0) {
			i++; /* not ours */
			continue;
		}
		r = adopt(ix, i, read, arg, v, err);
		shale_version_free(v);
		if (r < 0)
			return r;
	}
	return 0;
}
