/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_TOOLS_SWEEP_H
#define SHALE_TOOLS_SWEEP_H

/*
 * Garbage of daemons that died: the states of their mounts, and ephemeral
 * workspaces that no mount has.
 */

#include "tools/cmd.h"

/* `all`: look into every workspace, not only where a mount's state tells. */
void shale_sweep(struct shale_store *store, bool all);

#endif
