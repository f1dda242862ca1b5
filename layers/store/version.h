/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_STORE_VERSION_H
#define SHALE_STORE_VERSION_H

/*
 * Versions: what a store holds.  A version is a manifest; its description is
 * the manifest's config.  index.json lists all of them, tagged or not.
 */

#include "layers/store/store.h"

#include <time.h>

/* One key and value of a description's labels, or an annotation. */
struct shale_label {
	char *key, *value;
};

/*
 * The description (application/vnd.shale.description.v1+json).  Strings are
 * owned; NULL: not given.
 */
struct shale_description {
	char *author, *message, *data_version;
	struct shale_label *labels;
	size_t n_labels;
	struct timespec created;
	struct shale_digest parent; /* manifest of the parent */
	bool has_parent;
	uint64_t next_ino;
	/* totals of the image, for `images` and `inspect` without an index */
	uint64_t inodes, bytes;
	/* stack commits: the other images below it */
	struct shale_digest *also;
	size_t n_also;
};
void shale_description_release(struct shale_description *d);

/* A layer as the manifest lists it. */
struct shale_layer_desc {
	struct shale_digest digest;
	uint64_t size;
};

/* A whole version, manifest and description read and checked. */
struct shale_version {
	struct shale_digest digest; /* of the manifest */
	uint64_t manifest_size;
	struct shale_description description;
	struct shale_layer_desc *trees; /* bottom first */
	size_t n_trees;
	struct shale_layer_desc *data;
	size_t n_data;
	/* The last so many of them only its last tree names; known while a
	 * version is made (shale_version_list_data()), else 0. */
	size_t n_own;
	struct shale_layer_desc metadata; /* metadata.json of its own change */
	bool has_metadata;
	char *repo; /* from index.json */
	char **tags;
	size_t n_tags;
};
void shale_version_free(struct shale_version *v);
SHALE_DEFINE_CLEANUP(version, struct shale_version *, shale_version_free);
#define cleanup_version SHALE_CLEANUP(shale_cleanup_version)

/* A line of index.json: what can be known without opening the manifest. */
struct shale_version_entry {
	struct shale_digest digest;
	char *repo;
	char *tag; /* NULL: not tagged.  A version with two tags has two lines
		    */
	struct timespec created;
	struct shale_digest parent;
	bool has_parent;
	uint64_t size; /* bytes that its own change added: tree and data */
};

struct shale_version_list {
	struct shale_version_entry *entries; /* repo, then newest first */
	size_t n;
};
void shale_version_list_release(struct shale_version_list *list);
#define cleanup_versions SHALE_CLEANUP(shale_version_list_release)

/* All versions, or those of one repository (`repo` not NULL).  -EUCLEAN when
 * index.json is damaged. */
int shale_store_versions(struct shale_store *store, const char *repo,
			 struct shale_version_list *out, struct shale_err *err);

/* Read a version by its manifest's digest.  -ENOKEY, -EUCLEAN. */
int shale_store_version(struct shale_store *store,
			const struct shale_digest *digest,
			struct shale_version **out, struct shale_err *err);

/* The same without repository and tags: index.json is not read.  For going
 * through many. */
int shale_store_manifest(struct shale_store *store,
			 const struct shale_digest *digest,
			 struct shale_version **out, struct shale_err *err);

/*
 * Resolve a reference (CLI.md: `[host/]repo[:tag][@sha256:…][~N]`, a digest
 * prefix of 6 or more digits, bare or after @).  `at`: NULL, or the newest
 * version of that repository created at or before that time.  -ENOKEY with what
 * exists in the message; -EINVAL: not a reference.
 */
int shale_store_resolve(struct shale_store *store, const char *ref,
			const struct timespec *at, struct shale_version **out,
			struct shale_err *err);

/* Does it have versions of `repo`?  -ENOKEY: no, and which repositories it has
 * is told. */
int shale_store_has_repo(struct shale_store *store, const char *repo,
			 struct shale_err *err);

/*
 * Publish a version.  The blobs named in `v` (trees, data, metadata) are
 * durable already.  Writes config and manifest, then index.json under the lock:
 * an entry with repository `repo`, tagged `tag` (NULL: untagged) and, if
 * `latest`, also `latest`; tags move, the versions that had them stay.
 * `v->digest` is set. Created times within a repository never go back:
 * `description.created` is raised above its parent's if need be.
 */
int shale_store_publish(struct shale_store *store, struct shale_version *v,
			const char *repo, const char *tag, bool latest,
			struct shale_err *err);

/* Point repo:tag at a version that the store has. */
int shale_store_tag(struct shale_store *store,
		    const struct shale_digest *digest, const char *repo,
		    const char *tag, struct shale_err *err);
/* Remove a tag; with `purge`, the version too if no other tag names it.
 * -ENOKEY. */
int shale_store_untag(struct shale_store *store, const char *repo,
		      const char *tag, bool purge, struct shale_err *err);

/*
 * Remove versions from a repository, tags and all, in one step.  Digests that
 * it does not have are passed over; `*removed` (may be NULL) says how many it
 * had.  Their blobs stay until gc.
 */
int shale_store_forget(struct shale_store *store, const char *repo,
		       const struct shale_digest *digests, size_t n,
		       size_t *removed, struct shale_err *err);

/*
 * Manifests in index.json that are not ours: gc keeps them and what they name.
 * `*out` is allocated (NULL when there are none).
 */
int shale_store_foreign(struct shale_store *store, struct shale_digest **out,
			size_t *n, struct shale_err *err);

/*
 * Have a version that is being made list the data blobs that its trees refer
 * to: sets `data`, `n_data` and `n_own`.
 */
int shale_version_list_data(struct shale_store *store, struct shale_version *v,
			    struct shale_err *err);

/*
 * The data blobs that these trees refer to, each once, in the order in which
 * the trees name them, bottom first: what a version with these trees lists.
 * `*out` is allocated (NULL when there are none).
 */
int shale_version_data_blobs(struct shale_store *store,
			     const struct shale_layer_desc *trees, size_t n,
			     struct shale_layer_desc **out, size_t *n_out,
			     struct shale_err *err);

/* ------------------------------------------------------ opening images */

/*
 * Open one tree blob of the store.  -EUCLEAN: missing, or its header is
 * damaged.
 */
int shale_store_open_tree(struct shale_store *store,
			  const struct shale_layer_desc *desc,
			  struct shale_tree **out, struct shale_err *err);

/* Open the trees of a version, bottom first, for contents by inode number. */
int shale_store_open_trees(struct shale_store *store,
			   const struct shale_version *v,
			   struct shale_image **out, struct shale_err *err);

/*
 * Open a version, or a stack of them (bottom first), with its index; the index
 * is built if the cache has none or a damaged one.
 */
int shale_store_open_image(struct shale_store *store,
			   struct shale_version *const *stack, size_t n,
			   struct shale_image **out, struct shale_err *err);

/*
 * Open what manifests name, an image or a stack of them (bottom first).
 * Without `index`, one image is opened for contents by inode number only; a
 * stack always has its index.  -ENOKEY, -EUCLEAN.
 */
int shale_store_open_manifests(struct shale_store *store,
			       const struct shale_digest *manifests, size_t n,
			       bool index, struct shale_image **out,
			       struct shale_err *err);

/*
 * Drop a cached index in which damage was found later than at its opening, so
 * that the next need builds it anew.
 */
void shale_store_drop_index(struct shale_store *store, const char *name);

/*
 * Name of the index file of that image under indexes/ (made if need be), for
 * handing to a daemon; where that is a patch, `base` gets the name of the one
 * that it changes, else "" (it may be NULL).  Both have 80 bytes.
 */
int shale_store_need_index(struct shale_store *store,
			   struct shale_version *const *stack, size_t n,
			   char *name, char *base, struct shale_err *err);

#endif
