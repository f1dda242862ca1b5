/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/verify_impl.h"

#include "layers/base/cleanup.h"
#include "layers/store/agree.h"

#include <errno.h>
#include <inttypes.h>
#include <search.h>
#include <string.h>

/* A blob's number, found by its digest. */
struct named {
	struct shale_digest digest;
	uint32_t number;
};

static int by_digest(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct shale_digest));
}

void shale_verify_versions_release(struct shale_verify *v)
{
	for (size_t i = 0; i < v->n_versions; i++) {
		free(v->versions[i].trees);
		free(v->versions[i].data);
	}
	free(v->versions);
	tdestroy(v->by_digest, free);
	free(v->blobs);
}

static void version_bad(struct shale_verify *v,
			struct shale_verify_version *version, const char *why)
{
	const struct shale_finding f = {
		.kind = SHALE_FOUND_VERSION,
		.why = why,
		.version = version->root->name,
		.manifest = &version->root->manifest,
	};
	version->damaged = true;
	shale_verify_found(v, &f);
}

static int append_blob(struct shale_verify *v, const struct shale_layer_desc *d,
		       enum shale_verify_kind kind)
{
	if (v->n_blobs == v->cap_blobs) {
		uint32_t cap = v->cap_blobs ? v->cap_blobs * 2 : 64;
		struct shale_verify_blob *more =
			reallocarray(v->blobs, cap, sizeof(*more));
		if (!more)
			return -ENOMEM;
		v->blobs = more;
		v->cap_blobs = cap;
	}
	v->blobs[v->n_blobs++] =
		(struct shale_verify_blob){.digest = d->digest,
					   .size = d->size,
					   .kind = kind,
					   .owner = SHALE_VERIFY_NONE};
	return 0;
}

/*
 * The number of a blob, which is noted when it is new.  Returns 1 when another
 * version names it with another size or as something else.
 */
static int number_of(struct shale_verify *v, const struct shale_layer_desc *d,
		     enum shale_verify_kind kind, uint32_t *out)
{
	struct named key = {.digest = d->digest};
	struct named *const *found = tfind(&key, &v->by_digest, by_digest);

	if (found) {
		const struct shale_verify_blob *b = &v->blobs[(*found)->number];
		*out = (*found)->number;
		return b->size != d->size || b->kind != kind;
	}
	struct named *node = malloc(sizeof(*node));
	if (!node)
		return -ENOMEM;
	*node = (struct named){d->digest, v->n_blobs};
	if (append_blob(v, d, kind) < 0 ||
	    !tsearch(node, &v->by_digest, by_digest)) {
		free(node);
		return -ENOMEM;
	}
	*out = node->number;
	return 0;
}

static int number_all(struct shale_verify *v,
		      const struct shale_layer_desc *list, size_t n,
		      enum shale_verify_kind kind, uint32_t **out,
		      uint32_t *count, bool *odd)
{
	*out = calloc(n ? n : 1, sizeof(**out));
	if (!*out)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		int r = number_of(v, &list[i], kind, &(*out)[i]);
		if (r < 0)
			return r;
		*odd = *odd || r > 0;
	}
	*count = (uint32_t)n;
	return 0;
}

/* Note what blobs a version has. */
static int note_blobs(struct shale_verify *v,
		      struct shale_verify_version *version,
		      const struct shale_version *read, struct shale_err *err)
{
	bool odd = false;
	int r = number_all(v, read->trees, read->n_trees, SHALE_VERIFY_TREE,
			   &version->trees, &version->n_trees, &odd);
	if (r == 0)
		r = number_all(v, read->data, read->n_data, SHALE_VERIFY_DATA,
			       &version->data, &version->n_data, &odd);
	if (r == 0 && read->has_metadata) {
		r = number_of(v, &read->metadata, SHALE_VERIFY_METADATA,
			      &version->metadata);
		odd = odd || r > 0;
	}
	if (r < 0)
		return shale_err_set(err, -r, "verify");
	if (version->n_trees) {
		struct shale_verify_blob *own =
			&v->blobs[version->trees[version->n_trees - 1]];
		if (own->owner == SHALE_VERIFY_NONE)
			own->owner = (uint32_t)(version - v->versions);
	}
	if (odd)
		version_bad(v, version,
			    "its manifest gives a blob another size or type "
			    "than other versions do");
	return 0;
}

/* Does index.json repeat what manifest and description say? */
static void check_entry(struct shale_verify *v,
			struct shale_verify_version *version,
			const struct shale_version *read)
{
	struct shale_err why;
	if (shale_version_agrees(read, version->root->entry, &why) < 0)
		version_bad(v, version, why.msg);
}

static int add_version(struct shale_verify *v,
		       struct shale_verify_version *version,
		       struct shale_err *err)
{
	struct shale_err why;
	cleanup_version struct shale_version *read = NULL;
	int r = shale_store_manifest(v->store, &version->root->manifest, &read,
				     &why);
	if (r < 0 && !shale_verify_is_damage(r)) {
		if (err)
			*err = why;
		return r;
	}
	version->unread = r < 0;
	if (r < 0) {
		version_bad(v, version, why.msg);
		version->told = true;
		return 0;
	}
	version->inodes = read->description.inodes;
	version->bytes = read->description.bytes;
	if (version->root->entry)
		check_entry(v, version, read);
	return note_blobs(v, version, read, err);
}

int shale_verify_versions(struct shale_verify *v,
			  const struct shale_verify_root *roots, size_t n,
			  struct shale_err *err)
{
	v->versions = calloc(n ? n : 1, sizeof(*v->versions));
	if (!v->versions)
		return shale_err_set(err, ENOMEM, "verify");
	for (size_t i = 0; i < n; i++) {
		struct shale_verify_version *version =
			&v->versions[v->n_versions++];
		*version = (struct shale_verify_version){
			.root = &roots[i], .metadata = SHALE_VERIFY_NONE};
		int r = add_version(v, version, err);
		if (r < 0)
			return r;
		if (!shale_verify_go_on(v, 0))
			return shale_err_say(err, EINTR, "interrupted");
	}
	return 0;
}
