/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_OPS_METADOC_H
#define SHALE_OPS_METADOC_H

/*
 * Writes metadata documents (docs/format.md 8) as a stream: memory does not
 * grow with the number of files.  That of a version's own change:
 *
 *     {"schema":1,
 *      "sources":[{"name":…,"kind":"directory"|"archive"|…,"size":…,
 *                  "mtime":…,"digest":"sha256:…"},…],
 *      "files":[{"path":…,"type":"file"|"directory"|"symlink"|"fifo"|
 *                "socket"|"char"|"block"|"deleted","size":…,"mtime":…,
 *                "mode":"0644"},…]}
 *
 * and that of a whole image, with "image":"sha256:…" in place of "sources", and
 * more about each file.
 *
 * One object a line.  Times are RFC 3339 in UTC.  A path that is not UTF-8 is
 * escaped (\xNN as text), and "path_b64" beside it has its bytes.
 */

#include "layers/base/buf.h"
#include "layers/blob/tree.h"

struct shale_metadoc {
	int fd;
	struct shale_buf buf;
	struct shale_sha256 *sha; /* NULL: nobody wants the document's own */
	uint64_t size;
	bool in_files, any;
};

/* Write to `fd` (empty), which stays the caller's. */
int shale_metadoc_begin(struct shale_metadoc *doc, int fd,
			struct shale_err *err);
/* That of a whole image, which has no sources. */
int shale_metadoc_begin_image(struct shale_metadoc *doc, int fd,
			      const struct shale_digest *manifest,
			      struct shale_err *err);
void shale_metadoc_release(struct shale_metadoc *doc);

/* All sources come before the first file.  `digest` may be NULL. */
int shale_metadoc_source(struct shale_metadoc *doc, const char *name,
			 const char *kind, uint64_t size,
			 const struct timespec *mtime,
			 const struct shale_digest *digest,
			 struct shale_err *err);
int shale_metadoc_file(struct shale_metadoc *doc, const char *path, size_t len,
		       const struct shale_attr *attr, struct shale_err *err);

/* What the document of an image says of a file beside its attributes. */
struct shale_metadoc_more {
	const char *target; /* of a symlink; no NUL; else NULL */
	uint32_t target_len;
	const struct shale_digest *digest; /* of the content; NULL: not asked */
	const char *damage;                /* why there is none, or NULL */
};
int shale_metadoc_entry(struct shale_metadoc *doc, const char *path, size_t len,
			const struct shale_attr *attr,
			const struct shale_metadoc_more *more,
			struct shale_err *err);
int shale_metadoc_deleted(struct shale_metadoc *doc, const char *path,
			  size_t len, struct shale_err *err);

/* End the document: SHA-256 (not of an image's) and size of what was written;
 * each may be NULL. */
int shale_metadoc_finish(struct shale_metadoc *doc, struct shale_digest *digest,
			 uint64_t *size, struct shale_err *err);

/* "file", "directory", … for a mode. */
const char *shale_type_name(uint32_t mode);

#endif
