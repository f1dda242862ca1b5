/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_BLOB_TABLE_DISK_H
#define SHALE_BLOB_TABLE_DISK_H

/*
 * A table file, transcribed from docs/format.md 2:
 *
 *   0             header, 1024 bytes
 *   1024          zeros
 *   4096          body: the sections, in any order, each at a multiple of 8,
 *                 zeros between them, padded with zeros to a multiple of 8
 *   sums_off      for each 64 KiB block of the body (the last one may be
 *                 short): le64, its XXH3-64
 *   file_size     the end
 *
 * Magic, version and the place of the header's own checksum stay the same in
 * every version, so that a reader can tell "newer" from "damaged".
 */

#include "layers/base/bytes.h"

enum {
	SHALE_TABLE_HEADER = 1024,
	SHALE_TABLE_BODY = 4096, /* offset of the body */
	SHALE_TABLE_ALIGN = 8,   /* of sections and of the body's length */
};

struct shale_disk_section {
	struct le64 off;         /* +0x00  absolute; 0 when empty */
	struct le64 count;       /* +0x08  records */
	struct le32 record_size; /* +0x10  bytes; 1: plain bytes */
	struct le32 reserved;    /* +0x14  0 */
};                               /* +0x18 */
static_assert(sizeof(struct shale_disk_section) == 0x18, "docs/format.md 2");

struct shale_disk_table {
	uint8_t magic[8];        /* +0x000  of the kind */
	struct le16 version;     /* +0x008  of the kind */
	struct le16 sections;    /* +0x00a  slots in use, from the first */
	struct le32 header_size; /* +0x00c  1024 */
	struct le64 file_size;   /* +0x010 */
	struct le64 sums_off;    /* +0x018  where the body ends */
	struct le64 blocks;      /* +0x020  entries of the checksum table */
	struct le64 body_off;    /* +0x028  4096 */
	struct le64 sums_hash;   /* +0x030  XXH3-64 of the checksum table */
	struct le64 field[8];    /* +0x038  the kind's own */
	struct shale_disk_section section[16]; /* +0x078  unused ones: 0 */
	uint8_t reserved[0x200];               /* +0x1f8  0 */
	struct le64 hash; /* +0x3f8  XXH3-64 of the 1016 bytes before */
};                        /* +0x400 */
static_assert(sizeof(struct shale_disk_table) == SHALE_TABLE_HEADER,
	      "docs/format.md 2");
static_assert(offsetof(struct shale_disk_table, section) == 0x78,
	      "docs/format.md 2");
static_assert(offsetof(struct shale_disk_table, hash) == 0x3f8,
	      "docs/format.md 2");

#endif
