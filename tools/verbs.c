/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/verbs.h"

const struct shale_cmd *const shale_verbs[] = {
	&shale_cmd_images, &shale_cmd_log,  &shale_cmd_inspect, &shale_cmd_tag,
	&shale_cmd_untag,  &shale_cmd_help, &shale_cmd_version, NULL,
};
