/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_TESTS_TABLE_SUMS_H
#define SHALE_TESTS_TABLE_SUMS_H

/*
 * Makes the checksums of a damaged table file true again, so that tests and
 * fuzzers reach the decoders behind them.  Where the header's own numbers make
 * no sense, only its checksum is made true.
 */

#include "layers/base/hash.h"
#include "layers/blob/table.h"
#include "layers/blob/table_disk.h"

static inline void table_fix_sums(uint8_t *data, uint64_t size)
{
	if (size < SHALE_TABLE_BODY)
		return;
	struct shale_disk_table *head = (struct shale_disk_table *)data;
	uint64_t sums_off = le64_get(head->sums_off);

	if (sums_off >= SHALE_TABLE_BODY && sums_off <= size) {
		uint64_t at = SHALE_TABLE_BODY, sum = sums_off;
		while (at < sums_off && size - sum >= 8) {
			uint64_t len = sums_off - at;
			if (len > SHALE_TABLE_BLOCK)
				len = SHALE_TABLE_BLOCK;
			struct le64 v = le64_make(shale_xxh64(data + at, len));
			memcpy(data + sum, &v, sizeof(v));
			at += len;
			sum += sizeof(v);
		}
		head->sums_hash = le64_make(
			shale_xxh64(data + sums_off, size - sums_off));
	}
	head->hash = le64_make(
		shale_xxh64(head, offsetof(struct shale_disk_table, hash)));
}

#endif
