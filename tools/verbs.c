/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/verbs.h"

/* In libexec/shale/shale-archive, which links libarchive. */
static const struct shale_cmd import_elsewhere = {
	.name = "import",
	.summary = "pack directories and archives into an image",
	.program = "shale-archive",
};
static const struct shale_cmd export_elsewhere = {
	.name = "export",
	.summary = "write an image, or a part of one, into a directory or an "
		   "archive",
	.program = "shale-archive",
};
static const struct shale_cmd save_elsewhere = {
	.name = "save",
	.summary = "write whole images into one portable file",
	.program = "shale-archive",
};
static const struct shale_cmd load_elsewhere = {
	.name = "load",
	.summary = "read images from a file that 'shale save' wrote",
	.program = "shale-archive",
};

const struct shale_cmd *const shale_verbs[] = {
	/* clang-format off */
	&import_elsewhere,
	&export_elsewhere,
	&shale_cmd_images,
	&shale_cmd_log,
	&shale_cmd_inspect,
	&shale_cmd_metadata,
	&shale_cmd_ls,
	&shale_cmd_cat,
	&shale_cmd_diff,
	&shale_cmd_tag,
	&shale_cmd_untag,
	&shale_cmd_mount,
	&shale_cmd_umount,
	&shale_cmd_status,
	&shale_cmd_commit,
	&shale_cmd_discard,
	&shale_cmd_workspaces,
	&shale_cmd_workspace,
	&shale_cmd_browse,
	&shale_cmd_replay,
	&save_elsewhere,
	&load_elsewhere,
	&shale_cmd_verify,
	&shale_cmd_gc,
	&shale_cmd_completion,
	&shale_cmd_help,
	&shale_cmd_version,
	NULL,
	/* clang-format on */
};
