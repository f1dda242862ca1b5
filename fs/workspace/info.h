/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_WORKSPACE_INFO_H
#define SHALE_WORKSPACE_INFO_H

/*
 * workspace.json:
 *
 *     {"version": 1, "name": NAME,
 *      "images": [{"ref": REF, "manifest": "sha256:…"}, …],   bottom first
 *      "created": {"seconds": S, "nanoseconds": N},           since 1970, UTC
 *      "quota": {"bytes": N, "inodes": N},                    if it has one
 *      "generation": N,                                       1 to 2^32-1
 *      "ephemeral": true}                                     if it is
 */

#include "fs/workspace/workspace.h"
#include "layers/base/buf.h"

/* Append the document.  -EINVAL when something is not UTF-8. */
int shale_workspace_info_encode(const struct shale_workspace_info *info,
				struct shale_buf *out, struct shale_err *err);
/* `out` is the caller's, to release.  -EUCLEAN, -EPROTONOSUPPORT. */
int shale_workspace_info_decode(const void *data, size_t len,
				struct shale_workspace_info *out,
				struct shale_err *err);

/* Write it durably.  -EINVAL when something is not UTF-8. */
int shale_workspace_info_write(int dirfd,
			       const struct shale_workspace_info *info,
			       struct shale_err *err);
/* The same from the file, which may also be missing: -ENOENT. */
int shale_workspace_info_read(int dirfd, struct shale_workspace_info *out,
			      struct shale_err *err);

/*
 * Take a workspace's lock (workspace.c).  Both descriptors are the caller's.
 * -EBUSY, -ENOKEY.
 */
int shale_workspace_lock(int store_dirfd, const char *name, int *dirfd,
			 int *lock, struct shale_err *err);

#endif
