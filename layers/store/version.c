/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/store/version.h"

#include "layers/base/cleanup.h"
#include "layers/base/clock.h"
#include "layers/store/store_impl.h"

#include <string.h>

void shale_version_free(struct shale_version *v)
{
	if (!v)
		return;
	shale_description_release(&v->description);
	free(v->trees);
	free(v->data);
	free(v->repo);
	for (size_t i = 0; i < v->n_tags; i++)
		free(v->tags[i]);
	free(v->tags);
	free(v);
}

/* ------------------------------------------------------------------- list */

void shale_version_list_release(struct shale_version_list *list)
{
	if (!list)
		return;
	for (size_t i = 0; i < list->n; i++) {
		free(list->entries[i].repo);
		free(list->entries[i].tag);
	}
	free(list->entries);
	*list = (struct shale_version_list){0};
}

/* Repository, then newest first; tags of one version by name. */
static int by_repo_and_age(const void *pa, const void *pb)
{
	const struct shale_version_entry *a = pa, *b = pb;
	int c = strcmp(a->repo, b->repo);
	if (c == 0)
		c = shale_time_order(&b->created, &a->created);
	if (c == 0)
		c = memcmp(&a->digest, &b->digest, sizeof(a->digest));
	if (c == 0)
		c = strcmp(a->tag ? a->tag : "", b->tag ? b->tag : "");
	return c;
}

static int copy_entry(const struct shale_version_entry *from,
		      struct shale_version_list *list, struct shale_err *err)
{
	struct shale_version_entry *to = &list->entries[list->n++];
	*to = *from;
	to->repo = strdup(from->repo);
	to->tag = from->tag ? strdup(from->tag) : NULL;
	if (!to->repo || (from->tag && !to->tag))
		return shale_err_set(err, ENOMEM, "list versions");
	return 0;
}

int shale_store_versions(struct shale_store *store, const char *repo,
			 struct shale_version_list *out, struct shale_err *err)
{
	cleanup_oci_index struct shale_oci_index *ix = NULL;
	int r = shale_store_read_index(store, &ix, err);
	if (r < 0)
		return r;

	struct shale_version_list list = {0};
	size_t n = shale_oci_index_count(ix);
	list.entries = calloc(n ? n : 1, sizeof(*list.entries));
	if (!list.entries)
		return shale_err_set(err, ENOMEM, "list versions");
	for (size_t i = 0; i < n && r == 0; i++) {
		const struct shale_version_entry *e =
			shale_oci_index_entry(ix, i);
		if (!repo || !strcmp(repo, e->repo))
			r = copy_entry(e, &list, err);
	}
	if (r < 0) {
		shale_version_list_release(&list);
		return r;
	}
	qsort(list.entries, list.n, sizeof(*list.entries), by_repo_and_age);
	*out = list;
	return 0;
}

/* ------------------------------------------------------------- one version */

/* A blob of JSON.  One that is not as its name says is -EUCLEAN. */
static int read_document(struct shale_store *store,
			 const struct shale_digest *digest, size_t limit,
			 const char *what, struct shale_buf *out,
			 struct shale_err *err)
{
	char text[SHALE_DIGEST_STR];
	int r = shale_blobs_read(store->blobs, digest, limit, out, err);
	shale_digest_str(digest, text);
	if (r == -ENOENT)
		return shale_err_say(err, ENOENT, "%s %s is missing", what,
				     text);
	if (r == -EFBIG)
		r = -EUCLEAN;
	return r < 0 ? shale_err_wrap(err, r, "%s %s", what, text) : 0;
}

static int read_version(struct shale_store *store, struct shale_version *v,
			struct shale_err *err)
{
	struct shale_layer_desc config;
	cleanup_buf struct shale_buf manifest = {0}, description = {0};

	int r = read_document(store, &v->digest, SHALE_MANIFEST_LIMIT,
			      "manifest", &manifest, err);
	if (r < 0)
		return r;
	v->manifest_size = manifest.len;
	r = shale_oci_manifest_decode(manifest.data, manifest.len, v, &config,
				      err);
	if (r == 0) {
		r = read_document(store, &config.digest,
				  SHALE_DESCRIPTION_LIMIT, "description",
				  &description, err);
		if (r == -ENOENT)
			r = -EUCLEAN;
	}
	if (r == 0)
		r = shale_oci_description_decode(description.data,
						 description.len,
						 &v->description, err);
	char text[SHALE_DIGEST_STR];
	return r < 0 ? shale_err_wrap(err, r, "image %s",
				      shale_digest_str(&v->digest, text))
		     : 0;
}

static int add_tag(struct shale_version *v, const char *tag,
		   struct shale_err *err)
{
	char **tags = reallocarray(v->tags, v->n_tags + 1, sizeof(*tags));
	if (!tags)
		return shale_err_set(err, ENOMEM, "read a version");
	v->tags = tags;
	v->tags[v->n_tags] = strdup(tag);
	if (!v->tags[v->n_tags])
		return shale_err_set(err, ENOMEM, "read a version");
	v->n_tags++;
	return 0;
}

/*
 * Repository and tags.  A version may stand in several repositories: the one
 * asked for counts, else the first.
 */
static int read_names(const struct shale_oci_index *ix, const char *repo,
		      struct shale_version *v, struct shale_err *err)
{
	for (size_t i = 0; i < shale_oci_index_count(ix); i++) {
		const struct shale_version_entry *e =
			shale_oci_index_entry(ix, i);
		if (!shale_digest_equal(&e->digest, &v->digest) ||
		    (repo && strcmp(repo, e->repo) != 0))
			continue;
		if (!v->repo && !(v->repo = strdup(e->repo)))
			return shale_err_set(err, ENOMEM, "read a version");
		if (e->tag && !strcmp(v->repo, e->repo)) {
			int r = add_tag(v, e->tag, err);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

int shale_store_version_in(struct shale_store *store,
			   const struct shale_oci_index *ix, const char *repo,
			   const struct shale_digest *digest,
			   struct shale_version **out, struct shale_err *err)
{
	cleanup_version struct shale_version *v = calloc(1, sizeof(*v));
	if (!v)
		return shale_err_set(err, ENOMEM, "read a version");

	v->digest = *digest;
	int r = ix ? read_names(ix, repo, v, err) : 0;
	if (r == 0)
		r = read_version(store, v, err);
	/* what index.json lists must be there; what it does not, may be */
	if (r == -ENOENT)
		r = v->repo ? -EUCLEAN : -ENOKEY;
	if (r < 0)
		return r;
	*out = steal_ptr(&v);
	return 0;
}

int shale_store_manifest(struct shale_store *store,
			 const struct shale_digest *digest,
			 struct shale_version **out, struct shale_err *err)
{
	return shale_store_version_in(store, NULL, NULL, digest, out, err);
}

int shale_store_version(struct shale_store *store,
			const struct shale_digest *digest,
			struct shale_version **out, struct shale_err *err)
{
	cleanup_oci_index struct shale_oci_index *ix = NULL;
	int r = shale_store_read_index(store, &ix, err);
	if (r < 0)
		return r;
	return shale_store_version_in(store, ix, NULL, digest, out, err);
}
