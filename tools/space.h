/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_TOOLS_SPACE_H
#define SHALE_TOOLS_SPACE_H

/* What to say when a new version finds no space in the store. */

#include "tools/cmd.h"

/*
 * Put behind the message how much space there is and how many bytes the version
 * may `need` (0: that is not known).
 */
void shale_space_explain(struct shale_ctx *ctx, struct shale_store *store,
			 uint64_t need);

#endif
