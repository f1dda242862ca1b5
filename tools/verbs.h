/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_TOOLS_VERBS_H
#define SHALE_TOOLS_VERBS_H

#include "tools/cmd.h"

/*
 * The verbs of this program, in the order of `shale help`; ends with NULL.
 * Every program defines its own: tools/verbs.c for shale, tools/verbs_*.c for
 * those under libexec/shale/.
 */
extern const struct shale_cmd *const shale_verbs[];

extern const struct shale_cmd shale_cmd_browse;
extern const struct shale_cmd shale_cmd_cat;
extern const struct shale_cmd shale_cmd_commit;
extern const struct shale_cmd shale_cmd_completion;
extern const struct shale_cmd shale_cmd_diff;
extern const struct shale_cmd shale_cmd_discard;
extern const struct shale_cmd shale_cmd_export;
extern const struct shale_cmd shale_cmd_gc;
extern const struct shale_cmd shale_cmd_help;
extern const struct shale_cmd shale_cmd_images;
extern const struct shale_cmd shale_cmd_import;
extern const struct shale_cmd shale_cmd_inspect;
extern const struct shale_cmd shale_cmd_load;
extern const struct shale_cmd shale_cmd_log;
extern const struct shale_cmd shale_cmd_ls;
extern const struct shale_cmd shale_cmd_metadata;
extern const struct shale_cmd shale_cmd_mount;
extern const struct shale_cmd shale_cmd_replay;
extern const struct shale_cmd shale_cmd_save;
extern const struct shale_cmd shale_cmd_status;
extern const struct shale_cmd shale_cmd_tag;
extern const struct shale_cmd shale_cmd_umount;
extern const struct shale_cmd shale_cmd_untag;
extern const struct shale_cmd shale_cmd_verify;
extern const struct shale_cmd shale_cmd_version;
extern const struct shale_cmd shale_cmd_workspace;
extern const struct shale_cmd shale_cmd_workspaces;

/* The verb of that name in shale_verbs, or NULL. */
const struct shale_cmd *shale_verb_find(const char *name);

/* Replace this process by the libexec program that has `cmd`; returns only
 * when that fails, with -errno. */
int shale_verb_exec(struct shale_ctx *ctx, const struct shale_cmd *cmd,
		    char **argv);

#endif
