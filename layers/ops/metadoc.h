/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_OPS_METADOC_H
#define SHALE_OPS_METADOC_H

/*
 * Writes the metadata.json of a version's own change, as a stream: memory does
 * not grow with the number of files.
 *
 *     {"schema":1,
 *      "sources":[{"name":…,"kind":"directory"|"archive"|…,"size":…,
 *                  "mtime":…,"digest":"sha256:…"},…],
 *      "files":[{"path":…,"type":"file"|"directory"|"symlink"|"fifo"|
 *                "socket"|"char"|"block"|"deleted","size":…,"mtime":…,
 *                "mode":"0644"},…]}
 *
 * One object a line.  Times are RFC 3339 in UTC.  A path that is not UTF-8 is
 * escaped (\xNN as text), and "path_b64" beside it has its bytes.
 */

#include "layers/base/buf.h"
#include "layers/blob/tree.h"

struct shale_metadoc {
	int fd;
	struct shale_buf buf;
	struct shale_sha256 *sha;
	uint64_t size;
	bool in_files, any;
};

/* Write to `fd` (empty), which stays the caller's. */
int shale_metadoc_begin(struct shale_metadoc *doc, int fd,
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
int shale_metadoc_deleted(struct shale_metadoc *doc, const char *path,
			  size_t len, struct shale_err *err);

/* End the document: SHA-256 and size of what was written. */
int shale_metadoc_finish(struct shale_metadoc *doc, struct shale_digest *digest,
			 uint64_t *size, struct shale_err *err);

/* "file", "directory", … for a mode. */
const char *shale_type_name(uint32_t mode);

#endif
