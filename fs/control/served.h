/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_CONTROL_SERVED_H
#define SHALE_CONTROL_SERVED_H

/*
 * Which mountpoints and workspaces the mounts of a store that are served have,
 * as of one look at all states: who asks for many does not look for each.  What
 * comes later is missing, so an answer "nobody" may be old.  One thread.
 */

#include "fs/control/control.h"
#include "layers/base/buf.h"

struct shale_served {
	struct shale_buf names; /* private */
};

/* Look.  One that is only being started may fail, and has no place yet; nor has
 * what cannot be read.  -ENOMEM. */
int shale_served_look(struct shale_served *served, int store_dirfd,
		      struct shale_err *err);
void shale_served_release(struct shale_served *served);

/* Has another mount the mountpoint or the workspace of this one? */
bool shale_served_instead(const struct shale_served *served,
			  const struct shale_mount_info *of);

#endif
