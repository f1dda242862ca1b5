/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_TESTS_FIXUP_H
#define SHALE_TESTS_FIXUP_H

/*
 * Makes the checksums of a damaged table file hold, so that a fuzzer gets past
 * them to what decodes the records.  Sizes in the header are made to fit too.
 */

#include "layers/base/hash.h"
#include "layers/blob/table.h"
#include "layers/blob/table_disk.h"

/* Fix `data` in place; returns how many of its bytes to use. */
static inline size_t fixup_table(uint8_t *data, size_t size,
				 const struct shale_table_kind *kind)
{
	struct shale_disk_table head;
	const size_t block = SHALE_TABLE_BLOCK, sum = sizeof(struct le64);

	if (size < SHALE_TABLE_BODY)
		return size;
	size_t rest = size - SHALE_TABLE_BODY;
	size_t blocks = (rest + block + sum - 1) / (block + sum);
	size_t body = (rest - blocks * sum) & ~(size_t)7;
	if (rest < blocks * sum || body <= (blocks - (blocks > 0)) * block)
		return size;
	size_t sums = SHALE_TABLE_BODY + body;
	size = sums + blocks * sum;

	for (size_t i = 0; i < blocks; i++) {
		size_t len =
			body - i * block < block ? body - i * block : block;
		struct le64 hash = le64_make(
			shale_xxh64(data + SHALE_TABLE_BODY + i * block, len));
		memcpy(data + sums + i * sum, &hash, sum);
	}
	memcpy(&head, data, sizeof(head));
	memcpy(head.magic, kind->magic, sizeof(head.magic));
	head.version = le16_make(kind->version);
	head.sections = le16_make((uint16_t)kind->sections);
	head.header_size = le32_make(SHALE_TABLE_HEADER);
	head.file_size = le64_make(size);
	head.sums_off = le64_make(sums);
	head.blocks = le64_make(blocks);
	head.body_off = le64_make(SHALE_TABLE_BODY);
	head.sums_hash = le64_make(shale_xxh64(data + sums, blocks * sum));
	head.hash = le64_make(
		shale_xxh64(&head, offsetof(struct shale_disk_table, hash)));
	memcpy(data, &head, sizeof(head));
	return size;
}

#endif
