/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzzes what a history's daemon reads of the one before: `names`. */
#include "fs/mount/synth.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct timespec now = {1, 0};
	struct shale_synth *known, *next;
	size_t used;

	if (shale_synth_load(&known, data, size, &used, NULL) < 0)
		return 0;
	if (shale_synth_new(&next, known, &now) == 0) {
		(void)shale_synth_add(next, "r/by-tag/a", SHALE_SYNTH_LINK,
				      "../by-id/0", 0, &now);
		(void)shale_synth_seal(next);
		shale_synth_unref(next);
	}
	shale_synth_unref(known);
	return 0;
}
