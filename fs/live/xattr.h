/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_LIVE_XATTR_H
#define SHALE_LIVE_XATTR_H

#include "fs/live/change.h"

/* Append the encoded list of all xattrs of a node; nothing if it has none. */
int shale_xattr_load(struct shale_live *live,
		     const struct shale_live_node *node,
		     struct shale_buf *list);

/* From now on these are all its xattrs. */
void shale_xattr_store(struct shale_change *ch, struct shale_live_node *node,
		       const struct shale_buf *list);

/* Copy `list` to `out` without `name`: -ENODATA if it is not there. */
int shale_xattr_without(const struct shale_buf *list, const char *name,
			struct shale_buf *out);

/*
 * Take away setuid, setgid and security.capability, as a write by an ordinary
 * user does.  setgid of what its group may not run stays if `who` is in that
 * group.  Directories keep theirs.  1, and `who` is told, if there was anything
 * to take; 0, or -errno.
 */
int shale_xattr_kill_privileges(struct shale_change *ch,
				const struct shale_caller *who,
				struct shale_live_node *node);

#endif
