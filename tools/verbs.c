/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/verbs.h"

const struct shale_cmd *const shale_verbs[] = {
	&shale_cmd_mount,
	&shale_cmd_umount,
	&shale_cmd_status,
	&shale_cmd_browse,
	&shale_cmd_help,
	&shale_cmd_version,
	NULL,
};
