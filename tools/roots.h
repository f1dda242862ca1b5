/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_TOOLS_ROOTS_H
#define SHALE_TOOLS_ROOTS_H

/*
 * Images that are in use although index.json may not list them any more: what
 * workspaces are based on and have committed, and what is mounted.
 */

#include "tools/cmd.h"

/*
 * Call `fn` with each image and who needs it ("workspace 'work'"), until it
 * returns other than 0, and return that.  One image may come several times.
 */
int shale_roots_each(struct shale_store *store,
		     int (*fn)(void *arg, const struct shale_digest *manifest,
			       const char *who, struct shale_err *err),
		     void *arg, struct shale_err *err);

#endif
