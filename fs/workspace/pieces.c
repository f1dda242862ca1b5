/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/workspace/pieces.h"

#include "fs/workspace/journal_disk.h"

#include <errno.h>
#include <string.h>

int shale_pieces_begin(struct shale_buf *body, uint64_t ino)
{
	struct le64 disk = le64_make(ino);

	return shale_buf_append(body, &disk, sizeof(disk));
}

uint8_t *shale_pieces_add(struct shale_buf *body, uint32_t epoch, uint64_t off,
			  size_t len)
{
	struct shale_disk_piece disk = {
		.off = le64_make(off),
		.len = le32_make((uint32_t)len),
		.epoch = le32_make(epoch),
	};

	if (shale_buf_append(body, &disk, sizeof(disk)) < 0)
		return NULL;
	return shale_buf_add(body, len);
}

int shale_pieces_open(const uint8_t **data, size_t *len, uint64_t *ino)
{
	struct le64 disk;

	if (*len < sizeof(disk))
		return -EUCLEAN;
	memcpy(&disk, *data, sizeof(disk));
	*ino = le64_get(disk);
	*data += sizeof(disk);
	*len -= sizeof(disk);
	return 0;
}

int shale_pieces_next(const uint8_t **data, size_t *len,
		      struct shale_data_piece *out)
{
	struct shale_disk_piece disk;

	if (!*len)
		return 0;
	if (*len < sizeof(disk))
		return -EUCLEAN;
	memcpy(&disk, *data, sizeof(disk));
	struct shale_data_piece piece = {
		.epoch = le32_get(disk.epoch),
		.off = le64_get(disk.off),
		.data = *data + sizeof(disk),
		.len = le32_get(disk.len),
	};
	if (!piece.epoch || !piece.len || piece.len > *len - sizeof(disk) ||
	    piece.off > INT64_MAX || piece.len > INT64_MAX - piece.off)
		return -EUCLEAN;
	*data += sizeof(disk) + piece.len;
	*len -= sizeof(disk) + piece.len;
	*out = piece;
	return 1;
}
