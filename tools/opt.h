/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_TOOLS_OPT_H
#define SHALE_TOOLS_OPT_H

/*
 * The options of a verb, and those that stand before it.  The latter are taken
 * behind it too, where the verb has none of that name.
 */

#include "tools/cmd.h"

/* The options before a verb, for help and completion; `to` is NULL. */
extern const struct shale_opt shale_opt_globals[];

/*
 * Take argv[*at], a long option, or a letter.  `*at` is left at the last word
 * used.  Returns 0, or -EINVAL: wrong usage, said already.
 */
int shale_opt_global_long(struct shale_ctx *ctx, int argc, char **argv,
			  int *at);
int shale_opt_global_letter(struct shale_ctx *ctx, char letter);

/* Print a verb's help on standard output. */
void shale_opt_help(const struct shale_cmd *cmd, const struct shale_opt *opts);

#endif
