/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_LIVE_ACL_H
#define SHALE_LIVE_ACL_H

/*
 * POSIX ACLs as xattr values of the kernel's version 2 (posix_acl_xattr.h):
 * le32 version, then entries of le16 tag, le16 permissions, le32 id.  The rules
 * are those of POSIX 1003.1e draft 17.  Pure.
 */

#include "layers/base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHALE_ACL_ACCESS  "system.posix_acl_access"
#define SHALE_ACL_DEFAULT "system.posix_acl_default"

/* Is this a well-formed ACL?  0 or -EINVAL. */
int shale_acl_check(const void *acl, size_t len);

/*
 * The mode that an access ACL stands for: user and other, and the mask (the
 * group without one) as group.  `*equal`: the mode says all of it.  -EINVAL.
 */
int shale_acl_mode(const void *acl, size_t len, uint32_t *mode, bool *equal);

/* Bring an access ACL in line with a new mode (chmod).  Checked before. */
void shale_acl_chmod(void *acl, size_t len, uint32_t mode);

/*
 * What a new node inherits: `list` has the xattrs of its directory; the default
 * ACL among them cuts down `*mode`, and becomes the node's in `out` (an encoded
 * list).  -ENODATA: no default ACL; the umask rules.
 */
int shale_acl_inherit(const struct shale_buf *list, uint32_t *mode,
		      struct shale_buf *out);

#endif
