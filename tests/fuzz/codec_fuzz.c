/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decompression of hostile stored bytes.  Input: a byte that names the codec,
 * three bytes of claimed content length (little-endian, 20 bits of it: enough
 * for any chunk that is written, and cheap to allocate), then the stored bytes.
 * The output buffer has exactly the claimed length.
 */
#include "layers/chunk/codec.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 4)
		return 0;
	size_t len =
		data[1] | (size_t)data[2] << 8 | (size_t)(data[3] & 15) << 16;
	uint8_t *out = malloc(len ? len : 1);
	if (!out)
		return 0;

	struct shale_err err;
	shale_decompress((enum shale_codec)data[0], data + 4, size - 4, out,
			 len, &err);
	free(out);
	return 0;
}
