/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/gc_impl.h"

#include "layers/base/buf.h"
#include "layers/base/cleanup.h"
#include "layers/base/clock.h"
#include "layers/blob/blobs_sweep.h"
#include "layers/store/json.h"
#include "layers/store/oci.h"

#include <errno.h>
#include <string.h>

static uint64_t key_of(const struct shale_digest *digest)
{
	uint64_t key;
	memcpy(&key, digest->b, sizeof(key));
	return key;
}

void shale_gc_marks_release(struct shale_gc_marks *marks)
{
	shale_keyset_release(&marks->blobs);
	shale_keyset_release(&marks->documents);
	shale_leases_release(&marks->leases);
}

bool shale_gc_marked(const struct shale_gc_marks *marks,
		     const struct shale_digest *digest)
{
	return shale_keyset_has(&marks->blobs, key_of(digest));
}

bool shale_gc_is_young(const struct shale_gc_marks *marks,
		       const struct timespec *time)
{
	return marks->leases.any &&
	       shale_time_order(time, &marks->leases.oldest) >= 0;
}

/* -------------------------------------------------------------- documents */

static bool is_document(const char *media_type)
{
	static const char *const types[] = {
		SHALE_MEDIA_MANIFEST,
		SHALE_MEDIA_INDEX,
		"application/vnd.docker.distribution.manifest.v2+json",
		"application/vnd.docker.distribution.manifest.list.v2+json",
	};
	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
		if (!strcmp(media_type, types[i]))
			return true;
	return false;
}

static int follow_one(const json_t *descriptor,
		      int (*each)(void *, const struct shale_digest *, bool),
		      void *arg, struct shale_err *err)
{
	const char *media_type;
	struct shale_layer_desc d;

	/* other digests than SHA-256 are not in this store */
	const char *text =
		json_string_value(json_object_get(descriptor, "digest"));
	if (text && strncmp(text, "sha256:", 7) != 0)
		return 0;
	int r = shale_json_descriptor_get(descriptor, &media_type, &d, err);
	return r < 0 ? r : each(arg, &d.digest, is_document(media_type));
}

int shale_gc_follow(const void *text, size_t len,
		    int (*each)(void *arg, const struct shale_digest *digest,
				bool is_document),
		    void *arg, struct shale_err *err)
{
	static const char *const one[] = {"config", "subject"};
	static const char *const many[] = {"layers", "manifests", "blobs"};
	cleanup_json json_t *doc = NULL;
	int r = shale_json_parse(&doc, text, len, "a manifest", err);

	for (size_t i = 0; r == 0 && i < sizeof(one) / sizeof(*one); i++) {
		const json_t *d = json_object_get(doc, one[i]);
		if (d)
			r = follow_one(d, each, arg, err);
	}
	for (size_t i = 0; r == 0 && i < sizeof(many) / sizeof(*many); i++) {
		const json_t *list = json_object_get(doc, many[i]);
		for (size_t k = 0; r == 0 && k < json_array_size(list); k++)
			r = follow_one(json_array_get(list, k), each, arg, err);
	}
	return r;
}

/* Documents that are to be read still. */
struct work {
	struct shale_gc_marks *marks;
	struct shale_buf todo; /* struct shale_digest */
};

static int mark_one(void *arg, const struct shale_digest *digest, bool document)
{
	struct work *w = arg;

	if (shale_keyset_add(&w->marks->blobs, key_of(digest)) < 0)
		return -ENOMEM;
	if (!document)
		return 0;
	int r = shale_keyset_add(&w->marks->documents, key_of(digest));
	if (r > 0 && shale_buf_append(&w->todo, digest, sizeof(*digest)) < 0)
		r = -ENOMEM;
	return r < 0 ? r : 0;
}

static int read_one(struct work *w, const struct shale_digest *digest,
		    struct shale_err *err)
{
	cleanup_buf struct shale_buf text = {0};
	int r = shale_blobs_read(shale_store_blobs(w->marks->store), digest,
				 SHALE_MANIFEST_LIMIT, &text, err);
	return r < 0 ? r
		     : shale_gc_follow(text.data, text.len, mark_one, w, err);
}

/*
 * Mark a manifest and all that it needs.  `missing`: it may be missing, as may
 * what a foreign one names.
 */
static int mark_root(struct shale_gc_marks *marks,
		     const struct shale_digest *manifest, const char *who,
		     bool missing, struct shale_err *err)
{
	struct work w = {.marks = marks};
	int r = mark_one(&w, manifest, true);

	while (r == 0 && w.todo.len) {
		struct shale_digest digest;
		w.todo.len -= sizeof(digest);
		memcpy(&digest, w.todo.data + w.todo.len, sizeof(digest));
		r = read_one(&w, &digest, err);
		bool first = shale_digest_equal(&digest, manifest);
		if (r == -ENOENT && (missing || !first))
			r = 0;
	}
	shale_buf_release(&w.todo);
	if (r == -ENOMEM)
		return shale_err_set(err, ENOMEM, "gc");
	if (r == -ENOENT || r == -EFBIG)
		r = -EUCLEAN;
	if (r < 0)
		return shale_err_wrap(
			err, r,
			"what %s needs cannot be told, so nothing "
			"is removed ('shale verify' tells more)",
			who);
	return 0;
}

static int mark_added(void *to, const struct shale_digest *manifest,
		      const char *who, struct shale_err *err)
{
	return mark_root(to, manifest, who, false, err);
}

/* ------------------------------------------------------------------ roots */

static int mark_index(struct shale_gc_marks *marks, struct shale_err *err)
{
	cleanup_free struct shale_digest *foreign = NULL;
	struct shale_version_list list = {0};
	size_t n = 0;
	int r = shale_store_versions(marks->store, NULL, &list, err);

	for (size_t i = 0; r == 0 && i < list.n; i++)
		r = mark_root(marks, &list.entries[i].digest,
			      list.entries[i].repo, false, err);
	shale_version_list_release(&list);
	if (r == 0)
		r = shale_store_foreign(marks->store, &foreign, &n, err);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = mark_root(marks, &foreign[i], "a foreign image", true, err);
	return r;
}

static int read_leases(struct shale_gc_marks *marks, struct shale_err *err)
{
	struct shale_leases leases;
	size_t dead;
	int r = shale_leases_look(marks->store, -1, marks->keep_dead, &leases,
				  &dead, err);
	if (r < 0)
		return r;
	shale_leases_release(&marks->leases);
	marks->leases = leases;
	marks->dead_leases += dead;
	return 0;
}

int shale_gc_mark(struct shale_gc_marks *marks,
		  const struct shale_gc_opts *opts, struct shale_err *err)
{
	/* G3: leases first.  Who has let go of one has put its root in place */
	int r = read_leases(marks, err);
	for (size_t i = 0; r == 0 && i < marks->leases.n; i++)
		r = mark_root(marks, &marks->leases.images[i],
			      "a running command", true, err);
	if (r == 0 && opts->roots)
		r = opts->roots(opts->arg, mark_added, marks, err);
	return r < 0 ? r : mark_index(marks, err);
}
