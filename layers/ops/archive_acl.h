/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_OPS_ARCHIVE_ACL_H
#define SHALE_OPS_ARCHIVE_ACL_H

#include "layers/base/buf.h"
#include "layers/base/err.h"

struct archive_entry;

/*
 * Append the POSIX ACLs of an archive's entry to an xattr list, as Linux keeps
 * them (system.posix_acl_access, system.posix_acl_default).  An ACL that names
 * users without numbers is left out.
 */
int shale_archive_acl(struct archive_entry *entry, struct shale_buf *list,
		      struct shale_err *err);

/*
 * The other way: if `name` is one of those two xattrs, give the entry that ACL.
 * Returns 1 if it is; 0: it is another xattr, or its value is no ACL that we
 * know.
 */
int shale_archive_acl_set(struct archive_entry *entry, const char *name,
			  const void *value, size_t len, struct shale_err *err);

#endif
