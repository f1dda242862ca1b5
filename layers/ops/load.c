/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/load.h"

#include "layers/base/cleanup.h"
#include "layers/store/agree.h"
#include "layers/store/oci.h"
#include "layers/store/oci_adopt.h"

#include <string.h>

void shale_loading_release(struct shale_loading *l)
{
	shale_load_blobs_release(&l->blobs);
	shale_buf_release(&l->layout);
	shale_buf_release(&l->index);
	shale_buf_release(&l->copies);
}

void shale_loaded_release(struct shale_loaded *loaded)
{
	for (size_t i = 0; i < loaded->n_versions; i++)
		shale_version_free(loaded->versions[i]);
	free(loaded->versions);
	free(loaded->items);
	shale_oci_index_free(loaded->index);
	*loaded = (struct shale_loaded){0};
}

static int check_layout(const struct shale_loading *l, struct shale_err *err)
{
	if (!l->index.len && l->docker)
		return shale_err_say(err, EBADMSG,
				     "it is a container image as docker saves "
				     "it; 'shale import' reads tars of files");
	if (!l->layout.len || !l->index.len)
		return shale_err_say(
			err, EBADMSG, "it is no saved image: it has no %s",
			l->layout.len ? "index.json" : "oci-layout");
	return shale_oci_layout_check(l->layout.data, l->layout.len, err);
}

/* ---------------------------------------------------------------- versions */

static struct shale_version *known(const struct shale_loaded *out,
				   const struct shale_digest *digest)
{
	for (size_t i = 0; i < out->n_versions; i++)
		if (shale_digest_equal(&out->versions[i]->digest, digest))
			return out->versions[i];
	return NULL;
}

static int want_all(struct shale_loading *l, const struct shale_layer_desc *d,
		    size_t n, struct shale_err *err)
{
	int r = 0;
	for (size_t i = 0; i < n && r == 0; i++)
		r = shale_load_blobs_want(&l->blobs, &d[i].digest, d[i].size,
					  err);
	return r;
}

/* The version of an entry, complete, and as the entry has it. */
static int read_version(struct shale_loading *l, struct shale_loaded *out,
			const struct shale_version_entry *e,
			struct shale_err *err)
{
	struct shale_version *v = known(out, &e->digest);
	int r = 0;
	if (!v) {
		r = shale_oci_version_read(shale_load_blobs_read, &l->blobs,
					   &e->digest, &v, err);
		if (r == -ENOENT)
			return shale_err_say(err, EBADMSG,
					     "it is not complete: a manifest "
					     "or description is missing");
		if (r < 0)
			return r;
		out->versions[out->n_versions++] = v;
		r = want_all(l, v->trees, v->n_trees, err);
		if (r == 0)
			r = want_all(l, v->data, v->n_data, err);
		if (r == 0 && v->has_metadata)
			r = want_all(l, &v->metadata, 1, err);
	}
	return r == 0 ? shale_version_agrees(v, e, err) : r;
}

static int read_versions(struct shale_loading *l, struct shale_loaded *out,
			 struct shale_err *err)
{
	int r = shale_oci_index_decode(&out->index, l->index.data, l->index.len,
				       err);
	if (r == 0)
		r = shale_oci_adopt(out->index, shale_load_blobs_read,
				    &l->blobs, err);
	if (r < 0)
		return r;
	size_t n = shale_oci_index_count(out->index);
	if (!n)
		return shale_err_say(err, EBADMSG,
				     "it holds no Shale image; 'shale import' "
				     "reads tars of files");
	out->items = calloc(n, sizeof(*out->items));
	out->versions = calloc(n, sizeof(*out->versions));
	if (!out->items || !out->versions)
		return shale_err_set(err, ENOMEM, "versions to load");
	for (size_t i = 0; i < n && r == 0; i++) {
		const struct shale_version_entry *e =
			shale_oci_index_entry(out->index, i);
		r = read_version(l, out, e, err);
		if (r < 0)
			return shale_err_wrap(err, r, "'%s%s%s'", e->repo,
					      e->tag ? ":" : "",
					      e->tag ? e->tag : "");
		out->items[out->n++] = (struct shale_take){
			.version = known(out, &e->digest),
			.repo = e->repo,
			.tag = e->tag,
			.size = e->size,
		};
	}
	return r;
}

/* What people read in it must be what is loaded. */
static int check_copies(const struct shale_loading *l, struct shale_err *err)
{
	const struct shale_digest *copy = (const void *)l->copies.data;
	for (size_t i = 0; i < l->copies.len / sizeof(*copy); i++)
		if (!shale_load_blobs_find(&l->blobs, &copy[i]))
			return shale_err_say(err, EBADMSG,
					     "a document under versions/ is "
					     "not what its blob says");
	return 0;
}

int shale_load_take(struct shale_loading *l, bool force,
		    struct shale_loaded *out, struct shale_err *err)
{
	int r = check_layout(l, err);
	if (r == 0)
		r = shale_load_blobs_sort(&l->blobs, err);
	if (r == 0)
		r = read_versions(l, out, err);
	if (r == 0)
		r = check_copies(l, err);
	/* Damage of the file, not of the store. */
	if (r == -EUCLEAN || r == -ENOENT)
		r = -EBADMSG;
	if (r == 0)
		r = shale_load_blobs_publish(&l->blobs, err);
	if (r == 0)
		r = shale_store_take(l->blobs.store, out->items, out->n, force,
				     err);
	out->blobs = l->blobs.published;
	out->bytes = l->blobs.bytes;
	return r;
}
