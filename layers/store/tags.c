/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/store/tags.h"

#include <string.h>

static bool is_version(const struct shale_version_entry *e,
		       const struct shale_digest *digest, const char *repo)
{
	return shale_digest_equal(&e->digest, digest) &&
	       (!repo || !strcmp(repo, e->repo));
}

size_t shale_tags_find(const struct shale_oci_index *ix, const char *repo,
		       const char *tag)
{
	size_t i = 0;
	for (; i < shale_oci_index_count(ix); i++) {
		const struct shale_version_entry *e =
			shale_oci_index_entry(ix, i);
		if (e->tag && !strcmp(e->repo, repo) && !strcmp(e->tag, tag))
			break;
	}
	return i;
}

static size_t find_version(const struct shale_oci_index *ix,
			   const struct shale_digest *digest, const char *repo,
			   bool untagged_only)
{
	size_t i = 0;
	for (; i < shale_oci_index_count(ix); i++) {
		const struct shale_version_entry *e =
			shale_oci_index_entry(ix, i);
		if (is_version(e, digest, repo) && !(untagged_only && e->tag))
			break;
	}
	return i;
}

size_t shale_tags_descriptors(const struct shale_oci_index *ix,
			      const struct shale_digest *digest,
			      const char *repo)
{
	size_t n = 0;
	for (size_t i = 0; i < shale_oci_index_count(ix); i++)
		n += is_version(shale_oci_index_entry(ix, i), digest, repo);
	return n;
}

int shale_tags_drop(struct shale_oci_index *ix, size_t i, struct shale_err *err)
{
	const struct shale_version_entry *e = shale_oci_index_entry(ix, i);
	if (shale_tags_descriptors(ix, &e->digest, e->repo) == 1)
		return shale_oci_index_set_tag(ix, i, NULL, err);
	shale_oci_index_remove(ix, i);
	return 0;
}

int shale_tags_move(struct shale_oci_index *ix,
		    const struct shale_digest *digest, const char *repo,
		    const char *tag, struct shale_err *err)
{
	size_t old = shale_tags_find(ix, repo, tag);
	if (old < shale_oci_index_count(ix)) {
		if (is_version(shale_oci_index_entry(ix, old), digest, NULL))
			return 0;
		int r = shale_tags_drop(ix, old, err);
		if (r < 0)
			return r;
	}
	size_t bare = find_version(ix, digest, repo, true);
	if (bare < shale_oci_index_count(ix))
		return shale_oci_index_set_tag(ix, bare, tag, err);

	size_t any = find_version(ix, digest, NULL, false);
	struct shale_version_entry e = *shale_oci_index_entry(ix, any);
	e.repo = (char *)repo;
	e.tag = (char *)tag;
	return shale_oci_index_add(ix, &e,
				   shale_oci_index_manifest_size(ix, any), err);
}
