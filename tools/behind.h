/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_TOOLS_BEHIND_H
#define SHALE_TOOLS_BEHIND_H

#include "layers/store/version.h"

/*
 * After `v` was published: merge older layers for versions to come, in a
 * process of its own that has nothing of ours but the memory: nobody waits for
 * it, and without it only a later commit or mount is slower.  Call it last,
 * with one thread.
 */
void shale_compact_behind(const struct shale_store *store,
			  const struct shale_version *v);

#endif
