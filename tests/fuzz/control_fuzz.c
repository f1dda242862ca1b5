/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzzes the parsers of a control request and of a mount's info.json. */
#include "fs/control/control.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct shale_mount_info info;
	json_t *request;
	const char *what;

	if (shale_control_parse((const char *)data, size, &request, &what,
				NULL) == 0)
		json_decref(request);
	if (shale_mount_parse(data, size, &info, NULL) == 0)
		shale_mount_info_release(&info);
	return 0;
}
