/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_OPS_XATTRS_H
#define SHALE_OPS_XATTRS_H

/*
 * Extended attributes between a host's files and a tree blob's lists.
 */

#include "layers/base/buf.h"
#include "layers/blob/tree.h"

enum shale_xattr_policy {
	SHALE_XATTRS_DEFAULT, /* of a directory: all; of an archive: user.* and
			       * ACLs, since its security.* and trusted.* were
			       * not set by anybody here */
	SHALE_XATTRS_NONE,
	SHALE_XATTRS_USER, /* user.* */
	SHALE_XATTRS_ALL,
};

/* Does `policy` keep `name`?  `foreign`: it comes from an archive. */
bool shale_xattr_wanted(enum shale_xattr_policy policy, bool foreign,
			const char *name);

/*
 * The xattrs of `name` in `dirfd` (a symlink's own) as an encoded list in
 * `out`, in order.  A file system without any is an empty list.  `marks`:
 * overlayfs's own too, whatever the policy.  -ENOENT as is.
 */
int shale_xattrs_read(int dirfd, const char *name,
		      enum shale_xattr_policy policy, bool marks,
		      struct shale_buf *out, struct shale_err *err);

/*
 * Set a list on what `fd` is (O_PATH will do).  Goes on after an error and
 * returns the first.  What a user may not set (trusted.*, security.* without
 * the right) is passed over unless `privileged`.
 */
int shale_xattrs_write(int fd, const void *list, uint32_t len, bool privileged,
		       struct shale_err *err);

#endif
