/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_TOOLS_GO_ON_H
#define SHALE_TOOLS_GO_ON_H

#include "tools/target.h"

/* Does the workspace of a mount hold what no version has, and outlive it? */
bool shale_holds_changes(const struct shale_target *t);

/* How to mount it again, or to commit it; what can be pasted into a shell. */
void shale_say_how_to_go_on(const struct shale_ctx *ctx, const char *dir,
			    const struct shale_target *t);

#endif
