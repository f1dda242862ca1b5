/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/verify_impl.h"

#include "layers/base/cleanup.h"
#include "layers/ops/verify_files.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Versions of which paths are looked up; the newest come first. */
enum { VERSIONS_TOLD = 16 };

/* ------------------------------------------------ bad chunks of the trees */

/* Which chunks of a tree blob are bad; made at first need. */
static int mark_tree(struct shale_verify *v, uint32_t number,
		     struct shale_bad_chunks *bad, struct shale_err *err)
{
	const struct shale_verify_blob *b = &v->blobs[number];
	const struct shale_layer_desc desc = {b->digest, b->size};
	struct shale_tree *tree;

	if (bad->known || b->damaged)
		return 0;
	int r = shale_store_open_tree(v->store, &desc, &tree, err);
	if (r < 0)
		return shale_verify_is_damage(r) ? 0 : r;
	bad->known = true;
	uint64_t n = shale_tree_count(tree, SHALE_TREE_CHUNKS);
	for (uint64_t i = 0; i < n; i++) {
		struct shale_chunk c;
		if (shale_tree_chunk(tree, i, &c, NULL) < 0 ||
		    !shale_keyset_has(&v->bad_chunks,
				      shale_verify_chunk_key(&c)))
			continue;
		if (!bad->bits)
			bad->bits = calloc(n / 8 + 1, 1);
		if (!bad->bits) {
			r = shale_err_set(err, ENOMEM, "verify");
			break;
		}
		bad->bits[i / 8] |= (uint8_t)(1u << i % 8);
	}
	shale_tree_close(tree);
	return r;
}

/* The marks of a version's trees, bottom first; `*any`: there is one. */
static int mark_version(struct shale_verify *v,
			const struct shale_verify_version *version,
			struct shale_bad_chunks *all,
			struct shale_bad_chunks *own, bool *any,
			struct shale_err *err)
{
	for (uint32_t i = 0; v->any_bad_chunk && i < version->n_trees; i++) {
		uint32_t number = version->trees[i];
		int r = mark_tree(v, number, &all[number], err);
		if (r < 0)
			return r;
		own[i] = all[number];
		*any = *any || own[i].bits;
	}
	return 0;
}

/* ---------------------------------------------------------------- telling */

static void tell(struct shale_verify *v, struct shale_verify_version *version,
		 const char *why)
{
	const struct shale_finding f = {
		.kind = SHALE_FOUND_VERSION,
		.why = why,
		.version = version->root->name,
		.manifest = &version->root->manifest,
	};
	shale_verify_found(v, &f);
	version->told = true;
}

/* A tree blob that cannot be read: what its metadata.json says is in it. */
static int tell_layer(struct shale_verify *v,
		      struct shale_verify_version *version, uint32_t i,
		      struct shale_err *err)
{
	const struct shale_verify_blob *b = &v->blobs[version->trees[i]];
	const struct shale_verify_version *owner =
		b->owner == SHALE_VERIFY_NONE ? NULL : &v->versions[b->owner];
	char why[80];

	bool told = false;
	if (owner && owner->metadata != SHALE_VERIFY_NONE &&
	    !v->blobs[owner->metadata].damaged) {
		int r = shale_verify_layer_paths(v, version,
						 &v->blobs[owner->metadata],
						 &b->digest, &told, err);
		if (r < 0)
			return r;
	}
	snprintf(why, sizeof(why), "layer %u of %u cannot be read%s", i + 1,
		 version->n_trees,
		 told ? ", which changed the paths above" : "");
	tell(v, version, why);
	return 0;
}

/* Which bytes of which files the bad chunks are. */
static int tell_files(struct shale_verify *v,
		      struct shale_verify_version *version,
		      const struct shale_bad_chunks *bad, struct shale_err *err)
{
	struct shale_err why;
	cleanup_image struct shale_image *image = NULL;
	bool told = false;
	int r = shale_verify_open(v, version, true, &image, &why);

	if (r < 0 && !shale_verify_is_damage(r)) {
		if (err)
			*err = why;
		return r;
	}
	if (r == 0)
		r = shale_verify_files(v, version, image, bad, &told, err);
	if (r < 0 && !shale_verify_is_damage(r))
		return r;
	if (!told)
		tell(v, version,
		     r < 0 ? "chunks of it are damaged; its names cannot be "
			     "read either"
			   : "chunks of it are damaged, but no file of it "
			     "shows them");
	version->told = true;
	return 0;
}

static const char *other_damage(const struct shale_verify *v,
				const struct shale_verify_version *version)
{
	if (version->metadata != SHALE_VERIFY_NONE &&
	    v->blobs[version->metadata].damaged)
		return "its metadata.json is damaged; its files are not";
	for (uint32_t i = 0; i < version->n_data; i++)
		if (v->blobs[version->data[i]].damaged)
			return "a data blob of it is damaged, but no file of "
			       "it shows that";
	return NULL;
}

static bool tree_damage(const struct shale_verify *v,
			const struct shale_verify_version *version)
{
	for (uint32_t i = 0; i < version->n_trees; i++)
		if (v->blobs[version->trees[i]].damaged)
			return true;
	return false;
}

static int tell_version(struct shale_verify *v,
			struct shale_verify_version *version,
			const struct shale_bad_chunks *bad, bool chunks,
			struct shale_err *err)
{
	int r = 0;
	for (uint32_t i = 0; r == 0 && i < version->n_trees; i++)
		if (v->blobs[version->trees[i]].damaged)
			r = tell_layer(v, version, i, err);
	if (r == 0 && chunks)
		r = tell_files(v, version, bad, err);
	const char *other = other_damage(v, version);
	if (r == 0 && other && !version->told)
		tell(v, version, other);
	return r;
}

/* One version: is it damaged, and if so, where? */
static int look_at(struct shale_verify *v, struct shale_verify_version *version,
		   struct shale_bad_chunks *all, size_t *told, uint64_t *more,
		   struct shale_err *err)
{
	bool chunks = false;
	cleanup_free struct shale_bad_chunks *own =
		calloc(version->n_trees + 1, sizeof(*own));
	if (!own)
		return shale_err_set(err, ENOMEM, "verify");
	int r = mark_version(v, version, all, own, &chunks, err);
	if (r < 0)
		return r;
	if (!chunks && !tree_damage(v, version) && !other_damage(v, version))
		return 0;
	version->damaged = true;
	if (*told == VERSIONS_TOLD) {
		++*more;
		return 0;
	}
	++*told;
	return tell_version(v, version, own, chunks, err);
}

int shale_verify_paths(struct shale_verify *v, struct shale_err *err)
{
	struct shale_bad_chunks *all = calloc(v->n_blobs + 1, sizeof(*all));
	uint64_t more = 0;
	size_t told = 0;
	int r = all ? 0 : shale_err_set(err, ENOMEM, "verify");

	for (size_t i = 0; r == 0 && i < v->n_versions; i++) {
		if (!v->versions[i].unread)
			r = look_at(v, &v->versions[i], all, &told, &more, err);
		if (r == 0 && !shale_verify_go_on(v, 0))
			break;
	}
	for (uint32_t i = 0; all && i < v->n_blobs; i++)
		free(all[i].bits);
	free(all);
	if (r == 0 && more) {
		const struct shale_finding f = {.kind = SHALE_FOUND_MORE,
						.more = more,
						.more_versions = true};
		shale_verify_found(v, &f);
	}
	return r;
}
