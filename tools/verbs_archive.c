/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/verbs.h"

const struct shale_cmd *const shale_verbs[] = {
	&shale_cmd_export,
	&shale_cmd_import,
	&shale_cmd_load,
	&shale_cmd_save,
	NULL,
};
