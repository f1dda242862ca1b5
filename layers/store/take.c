/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/store/take.h"

#include "layers/store/hold.h"
#include "layers/store/lock.h"
#include "layers/store/ref.h"
#include "layers/store/store_impl.h"
#include "layers/store/tags.h"

#include <errno.h>
#include <string.h>

/* The descriptor of a version, in any repository; NULL: it is not here. */
static const struct shale_version_entry *
find_version(const struct shale_oci_index *ix,
	     const struct shale_digest *digest)
{
	for (size_t i = 0; i < shale_oci_index_count(ix); i++) {
		const struct shale_version_entry *e =
			shale_oci_index_entry(ix, i);
		if (shale_digest_equal(&e->digest, digest))
			return e;
	}
	return NULL;
}

/* Does the line of `child` go back to `ancestor`? */
static bool descends(const struct shale_oci_index *ix,
		     const struct shale_digest *child,
		     const struct shale_digest *ancestor)
{
	const struct shale_version_entry *e = find_version(ix, child);
	/* A line longer than the list is a circle. */
	size_t left = shale_oci_index_count(ix);
	while (e && left--) {
		if (!e->has_parent)
			return false;
		if (shale_digest_equal(&e->parent, ancestor))
			return true;
		e = find_version(ix, &e->parent);
	}
	return false;
}

/* Have the version in the repository, without a tag if it is not there. */
static int take_version(struct shale_oci_index *ix, struct shale_take *t,
			struct shale_err *err)
{
	const struct shale_version *v = t->version;
	t->new_version = !shale_tags_descriptors(ix, &v->digest, t->repo);
	t->outcome = t->new_version ? SHALE_TAKEN_NEW : SHALE_TAKEN_SAME;
	if (!t->new_version)
		return 0;
	const struct shale_version_entry e = {
		.digest = v->digest,
		.repo = (char *)t->repo,
		.created = v->description.created,
		.parent = v->description.parent,
		.has_parent = v->description.has_parent,
		.size = t->size,
	};
	return shale_oci_index_add(ix, &e, v->manifest_size, err);
}

static int take_tag(struct shale_oci_index *ix, struct shale_take *t,
		    bool force, struct shale_err *err)
{
	const struct shale_digest *digest = &t->version->digest;
	size_t at = shale_tags_find(ix, t->repo, t->tag);
	if (at == shale_oci_index_count(ix)) {
		t->outcome = SHALE_TAKEN_NEW;
		return shale_tags_move(ix, digest, t->repo, t->tag, err);
	}
	t->was = shale_oci_index_entry(ix, at)->digest;
	if (shale_digest_equal(&t->was, digest))
		t->outcome = SHALE_TAKEN_SAME;
	else if (descends(ix, digest, &t->was))
		t->outcome = SHALE_TAKEN_FORWARD;
	else if (force)
		t->outcome = SHALE_TAKEN_MOVED;
	else if (descends(ix, &t->was, digest))
		t->outcome = SHALE_TAKEN_OLDER;
	else
		t->outcome = SHALE_TAKEN_KEPT;
	if (t->outcome != SHALE_TAKEN_FORWARD &&
	    t->outcome != SHALE_TAKEN_MOVED)
		return 0;
	return shale_tags_move(ix, digest, t->repo, t->tag, err);
}

static int check_items(struct shale_store *store, const struct shale_take *item,
		       size_t n, struct shale_err *err)
{
	int r = 0;
	for (size_t i = 0; i < n && r == 0; i++) {
		r = shale_ref_check_repo(item[i].repo, err);
		if (r == 0 && item[i].tag)
			r = shale_ref_check_tag(item[i].tag, err);
		if (r == 0 &&
		    !shale_blobs_has(store->blobs, &item[i].version->digest))
			r = shale_err_say(err, ENOKEY, "a manifest is gone");
		if (r == 0)
			r = shale_version_present(store, item[i].version, err);
	}
	return r;
}

int shale_store_take(struct shale_store *store, struct shale_take *items,
		     size_t n, bool force, struct shale_err *err)
{
	cleanup_lock int lock = -1;
	cleanup_oci_index struct shale_oci_index *ix = NULL;

	int r = shale_lock_take(store->dirfd, SHALE_LOCK_WAIT_MS, &lock, err);
	if (r == 0)
		r = check_items(store, items, n, err);
	if (r == 0)
		r = shale_store_read_index(store, &ix, err);
	/* All versions first: tags look along their lines. */
	for (size_t i = 0; i < n && r == 0; i++)
		r = take_version(ix, &items[i], err);
	for (size_t i = 0; i < n && r == 0; i++)
		if (items[i].tag)
			r = take_tag(ix, &items[i], force, err);
	return r < 0 ? r : shale_store_write_index(store, ix, err);
}
