/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_LIVE_NAMES_H
#define SHALE_LIVE_NAMES_H

/*
 * Names of directories: what is there, and recording what changes.
 */

#include "fs/live/change.h"
#include "fs/live/merge.h"

/* -EINVAL, -ENAMETOOLONG, -EEXIST for names that cannot be made. */
int shale_names_check(const char *name, size_t len);

/* What `dir`, a directory, has under the name. */
int shale_names_find(struct shale_live *live, const struct shale_live_node *dir,
		     const char *name, size_t len,
		     struct shale_name_state *out);

/* The name is to stand for an inode, or goes: the plan becomes records. */
void shale_names_set(struct shale_change *ch, struct shale_live_node *dir,
		     const char *name, size_t len,
		     const struct shale_name_state *state, uint64_t ino,
		     uint32_t mode);
void shale_names_remove(struct shale_change *ch, struct shale_live_node *dir,
			const char *name, size_t len,
			const struct shale_name_state *state);

/* Does the directory have any name but "." and ".."?  -ENOTEMPTY. */
int shale_names_empty(struct shale_live *live,
		      const struct shale_live_node *dir);

#endif
