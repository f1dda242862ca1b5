/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Fuzzes the reading of a journal segment: arbitrary bytes as the file, with
 * the checksums of what looks like records made right first, so that what lies
 * behind them is reached.  The first byte of the input chooses where the
 * segment begins.
 */

#include "fs/workspace/journal_disk.h"
#include "fs/workspace/ops.h"
#include "fs/workspace/pieces.h"
#include "fs/workspace/segment.h"
#include "layers/base/hash.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Walk as a reader would and sign every record that fits. */
static void fix_sums(uint8_t *data, size_t size)
{
	struct shale_disk_record disk;

	for (size_t at = 0; size - at >= sizeof(disk);) {
		memcpy(&disk, data + at, sizeof(disk));
		size_t len = le32_get(disk.len);
		if (le32_get(disk.magic) != SHALE_JOURNAL_MAGIC) {
			at++;
			continue;
		}
		if (len < sizeof(disk) || len > size - at) {
			at++;
			continue;
		}
		disk.sum = le64_make(shale_xxh64(data + at + sizeof(disk.sum),
						 len - sizeof(disk.sum)));
		memcpy(data + at, &disk.sum, sizeof(disk.sum));
		at += len;
	}
}

static void use_pieces(const struct shale_record *record, uint64_t *sum)
{
	const uint8_t *body = record->body;
	size_t len = record->len;
	struct shale_data_piece piece;
	uint64_t ino;

	if (shale_pieces_open(&body, &len, &ino) < 0)
		abort(); /* it was looked at */
	while (shale_pieces_next(&body, &len, &piece) > 0)
		*sum += shale_xxh64(piece.data, piece.len);
}

static int use_record(void *arg, const struct shale_record *record,
		      struct shale_err *err)
{
	uint64_t *sum = arg;
	const uint8_t *body = record->body;
	size_t len = record->len;
	struct shale_op op;

	(void)err;
	if (record->type == SHALE_JOURNAL_DATA)
		use_pieces(record, sum);
	if (record->type != SHALE_JOURNAL_BATCH)
		return 0;
	while (shale_ops_next(&body, &len, &op) > 0) {
		*sum += shale_xxh64(op.key, op.key_len);
		*sum += shale_xxh64(op.value, op.value_len);
	}
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct shale_err err;
	uint64_t sum = 0, end = 0;
	bool more;

	if (size < 1 || size > 1 << 20)
		return 0;
	uint64_t start = (uint64_t)data[0] << 20;
	uint8_t *copy = malloc(size);
	if (!copy)
		return 0;
	memcpy(copy, data + 1, size - 1);
	fix_sums(copy, size - 1);

	int fd = memfd_create("segment", MFD_CLOEXEC);
	if (fd >= 0 && write(fd, copy, size - 1) == (ssize_t)(size - 1)) {
		if (shale_segment_read(fd, start, start, UINT64_MAX, use_record,
				       &sum, &end, &err) < 0 ||
		    end < start || end - start > size)
			abort();
		shale_segment_more(fd, start, end + 1, 0, &more, &err);
	}
	if (fd >= 0)
		close(fd);
	free(copy);
	return 0;
}
