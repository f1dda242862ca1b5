/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzzes the reader of /proc/self/mountinfo and of a Shale mount's source. */
#include "fs/control/mountinfo.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct shale_mountinfo m;
	char *store, *id;

	if (shale_mountinfo_find((const char *)data, size, "/m", &m, NULL) < 0)
		return 0;
	if (shale_mountinfo_source(m.source, &store, &id) == 0) {
		free(store);
		free(id);
	}
	shale_mountinfo_release(&m);
	return 0;
}
