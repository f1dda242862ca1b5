/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_STORE_OCI_H
#define SHALE_STORE_OCI_H

/*
 * The JSON of a store, to and from native structures: manifest, description
 * (the manifest's config) and index.json (OCI image specification 1.1; what
 * Shale adds is in docs/format.md 9).  Decoders check every field that they
 * use and trust none: -EUCLEAN says what is wrong.  Fields that are not known
 * are left alone; index.json keeps them, and descriptors that are not ours,
 * when it is written again.  Pure: no file is read or written.
 */

#include "layers/base/buf.h"
#include "layers/store/version.h"

#define SHALE_MEDIA_IMAGE       "application/vnd.shale.image.v1"
#define SHALE_MEDIA_DESCRIPTION "application/vnd.shale.description.v1+json"
#define SHALE_MEDIA_TREE        "application/vnd.shale.tree.v1"
#define SHALE_MEDIA_DATA        "application/vnd.shale.data.v1"
#define SHALE_MEDIA_METADATA    "application/vnd.shale.metadata.v1+json"
#define SHALE_MEDIA_MANIFEST    "application/vnd.oci.image.manifest.v1+json"
#define SHALE_MEDIA_INDEX       "application/vnd.oci.image.index.v1+json"

/* Larger documents are refused before they are parsed. */
#define SHALE_MANIFEST_LIMIT    (8u << 20)
#define SHALE_DESCRIPTION_LIMIT (1u << 20)
#define SHALE_INDEX_LIMIT       (256u << 20)

/* Layers of one manifest, by kind. */
enum { SHALE_LAYERS_MAX = 65536 };

/* ------------------------------------------------- manifest, description */

/* -EILSEQ: a text is not UTF-8. */
int shale_oci_description_encode(const struct shale_description *d,
				 struct shale_buf *out, struct shale_err *err);
/* `*out` is the caller's, to shale_description_release(). */
int shale_oci_description_decode(const void *data, size_t len,
				 struct shale_description *out,
				 struct shale_err *err);

/* Layers and description of `v`; `config` names the encoded description. */
int shale_oci_manifest_encode(const struct shale_version *v,
			      const struct shale_layer_desc *config,
			      struct shale_buf *out, struct shale_err *err);
/*
 * Sets trees, data and metadata of a zeroed `v`, which stays the caller's, to
 * release, also after an error.  -EPROTONOSUPPORT: not a Shale image, or one
 * with layers of a later Shale.
 */
int shale_oci_manifest_decode(const void *data, size_t len,
			      struct shale_version *v,
			      struct shale_layer_desc *config,
			      struct shale_err *err);

/* ------------------------------------------------- oci-layout, index.json */

/* The text of `oci-layout`: -EUCLEAN; -EPROTONOSUPPORT: of a version that we do
 * not know. */
int shale_oci_layout_check(const void *data, size_t len, struct shale_err *err);

struct shale_oci_index;

/* An index without entries.  NULL: no memory. */
struct shale_oci_index *shale_oci_index_new(void);
void shale_oci_index_free(struct shale_oci_index *ix);
SHALE_DEFINE_CLEANUP(oci_index, struct shale_oci_index *, shale_oci_index_free);
#define cleanup_oci_index SHALE_CLEANUP(shale_cleanup_oci_index)

/* -EUCLEAN also when an entry's own checksum does not hold, or a tag stands
 * twice. */
int shale_oci_index_decode(struct shale_oci_index **out, const void *data,
			   size_t len, struct shale_err *err);
int shale_oci_index_encode(const struct shale_oci_index *ix,
			   struct shale_buf *out, struct shale_err *err);

/* Our entries, in the order in which they stand.  Pointers are good until the
 * index changes. */
size_t shale_oci_index_count(const struct shale_oci_index *ix);
const struct shale_version_entry *
shale_oci_index_entry(const struct shale_oci_index *ix, size_t i);
uint64_t shale_oci_index_manifest_size(const struct shale_oci_index *ix,
				       size_t i);

/* Digests of descriptors that are not ours; -ENOENT after the last. */
int shale_oci_index_foreign(const struct shale_oci_index *ix, size_t i,
			    struct shale_digest *out);

/* The name (org.opencontainers.image.ref.name) of such a descriptor, or NULL.
 */
const char *shale_oci_index_foreign_name(const struct shale_oci_index *ix,
					 size_t i);
/* Remove such a descriptor; those behind it move up. */
void shale_oci_index_drop_foreign(struct shale_oci_index *ix, size_t i);

/* Append an entry (copied). */
int shale_oci_index_add(struct shale_oci_index *ix,
			const struct shale_version_entry *entry,
			uint64_t manifest_size, struct shale_err *err);
/* Give entry `i` a tag, or none (NULL). */
int shale_oci_index_set_tag(struct shale_oci_index *ix, size_t i,
			    const char *tag, struct shale_err *err);
/* Remove entry `i`; those behind it move up. */
void shale_oci_index_remove(struct shale_oci_index *ix, size_t i);

#endif
