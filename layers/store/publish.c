/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/base/buf.h"
#include "layers/base/clock.h"
#include "layers/store/agree.h"
#include "layers/store/hold.h"
#include "layers/store/lock.h"
#include "layers/store/ref.h"
#include "layers/store/store_impl.h"
#include "layers/store/tags.h"
#include "layers/store/version.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------- publishing */

/* a, or just above b if a is not. */
static void raise_above(struct timespec *a, const struct timespec *b)
{
	if (shale_time_order(a, b) > 0)
		return;
	*a = *b;
	if (++a->tv_nsec == 1000000000) {
		a->tv_nsec = 0;
		a->tv_sec++;
	}
}

/* Times within a repository, and from parent to child, only go up. */
static void set_created(const struct shale_oci_index *ix, const char *repo,
			const struct shale_version *parent,
			struct shale_description *d)
{
	if (d->created.tv_sec == 0 && d->created.tv_nsec == 0)
		clock_gettime(CLOCK_REALTIME, &d->created);
	if (parent)
		raise_above(&d->created, &parent->description.created);
	for (size_t i = 0; i < shale_oci_index_count(ix); i++) {
		const struct shale_version_entry *e =
			shale_oci_index_entry(ix, i);
		if (!strcmp(e->repo, repo))
			raise_above(&d->created, &e->created);
	}
}

/* Config and manifest as blobs; sets the digest of `v`. */
static int store_documents(struct shale_store *store, struct shale_version *v,
			   struct shale_err *err)
{
	struct shale_layer_desc config;
	cleanup_buf struct shale_buf text = {0};

	int r = shale_oci_description_encode(&v->description, &text, err);
	if (r == 0 && text.len > SHALE_DESCRIPTION_LIMIT)
		r = shale_err_say(err, EFBIG,
				  "the description (message, labels) is "
				  "larger than 1 MiB");
	if (r == 0)
		r = shale_blobs_put(store->blobs, text.data, text.len,
				    &config.digest, err);
	if (r < 0)
		return r;
	config.size = text.len;
	text.len = 0;
	r = shale_oci_manifest_encode(v, &config, &text, err);
	if (r == 0)
		r = shale_blobs_put(store->blobs, text.data, text.len,
				    &v->digest, err);
	if (r == 0)
		v->manifest_size = text.len;
	return r;
}

static int add_version(struct shale_oci_index *ix,
		       const struct shale_version *v,
		       const struct shale_version *parent, const char *repo,
		       struct shale_err *err)
{
	const struct shale_version_entry e = {
		.digest = v->digest,
		.repo = (char *)repo,
		.created = v->description.created,
		.parent = v->description.parent,
		.has_parent = v->description.has_parent,
		.size = shale_version_own_size(v, parent),
	};
	return shale_oci_index_add(ix, &e, v->manifest_size, err);
}

/* With the lock held. */
static int publish(struct shale_store *store, struct shale_version *v,
		   const char *repo, const char *tag, bool latest,
		   struct shale_err *err)
{
	cleanup_oci_index struct shale_oci_index *ix = NULL;
	struct shale_version *parent = NULL;

	int r = shale_version_present(store, v, err);
	if (r < 0)
		return shale_err_wrap(err, -EUCLEAN,
				      "what the version is made of went "
				      "before it was published");
	r = shale_store_read_index(store, &ix, err);
	if (r == 0 && v->description.has_parent) {
		r = shale_store_version_in(
			store, ix, NULL, &v->description.parent, &parent, err);
		/*
		 * Pulled without its history, or damaged: nothing that the
		 * child's content needs, and no reason to lose the child.
		 */
		if (r == -ENOKEY || r == -EUCLEAN || r == -EPROTONOSUPPORT)
			r = 0;
	}
	if (r == 0) {
		set_created(ix, repo, parent, &v->description);
		r = store_documents(store, v, err);
	}
	if (r == 0)
		r = add_version(ix, v, parent, repo, err);
	if (r == 0 && tag)
		r = shale_tags_move(ix, &v->digest, repo, tag, err);
	if (r == 0 && latest)
		r = shale_tags_move(ix, &v->digest, repo, "latest", err);
	if (r == 0)
		r = shale_store_write_index(store, ix, err);
	shale_version_free(parent);
	return r;
}

static int check_names(const char *repo, const char *tag, struct shale_err *err)
{
	int r = shale_ref_check_repo(repo, err);
	if (r == 0 && tag)
		r = shale_ref_check_tag(tag, err);
	return r;
}

int shale_store_publish(struct shale_store *store, struct shale_version *v,
			const char *repo, const char *tag, bool latest,
			struct shale_err *err)
{
	if (v->n_trees == 0 ||
	    v->n_trees + v->n_data + v->has_metadata > SHALE_LAYERS_MAX)
		return shale_err_say(err, EINVAL,
				     "a version has 1 to %d layers",
				     SHALE_LAYERS_MAX);
	cleanup_lock int lock = -1;
	int r = check_names(repo, tag, err);
	if (r == 0)
		r = shale_lock_take(store->dirfd, SHALE_LOCK_WAIT_MS, &lock,
				    err);
	if (r == 0)
		r = publish(store, v, repo, tag, latest, err);
	return r;
}

/* ---------------------------------------------------------------- tagging */

int shale_store_tag(struct shale_store *store,
		    const struct shale_digest *digest, const char *repo,
		    const char *tag, struct shale_err *err)
{
	cleanup_lock int lock = -1;
	cleanup_oci_index struct shale_oci_index *ix = NULL;

	int r = check_names(repo, tag, err);
	if (r == 0)
		r = shale_lock_take(store->dirfd, SHALE_LOCK_WAIT_MS, &lock,
				    err);
	if (r == 0)
		r = shale_store_read_index(store, &ix, err);
	if (r < 0)
		return r;
	if (shale_tags_descriptors(ix, digest, NULL) == 0) {
		char text[SHALE_DIGEST_STR];
		return shale_err_say(err, ENOKEY, "no image %s in %s",
				     shale_digest_str(digest, text),
				     store->path);
	}
	r = shale_tags_move(ix, digest, repo, tag, err);
	if (r == 0)
		r = shale_store_write_index(store, ix, err);
	return r;
}

int shale_store_untag(struct shale_store *store, const char *repo,
		      const char *tag, bool purge, struct shale_err *err)
{
	cleanup_lock int lock = -1;
	cleanup_oci_index struct shale_oci_index *ix = NULL;

	int r = shale_lock_take(store->dirfd, SHALE_LOCK_WAIT_MS, &lock, err);
	if (r == 0)
		r = shale_store_read_index(store, &ix, err);
	if (r < 0)
		return r;

	size_t i = shale_tags_find(ix, repo, tag);
	if (i == shale_oci_index_count(ix))
		return shale_err_say(err, ENOKEY, "no image '%s:%s' in %s",
				     repo, tag, store->path);
	if (purge)
		shale_oci_index_remove(ix, i);
	else
		r = shale_tags_drop(ix, i, err);
	if (r == 0)
		r = shale_store_write_index(store, ix, err);
	return r;
}
