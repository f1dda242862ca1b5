/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_BASE_BYTES_H
#define SHALE_BASE_BYTES_H

/*
 * Little-endian integers on disk: structs of bytes, alignment 1, so that a
 * record is never packed and never mixed with native integers by mistake.
 * Written out byte by byte; compilers turn each into one load or store.
 */

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct le16 {
	uint8_t b[2];
};
struct le32 {
	uint8_t b[4];
};
struct le64 {
	uint8_t b[8];
};

static inline uint16_t le16_get(struct le16 v)
{
	return (uint16_t)(v.b[0] | v.b[1] << 8);
}

static inline uint32_t le32_get(struct le32 v)
{
	return (uint32_t)v.b[0] | (uint32_t)v.b[1] << 8 |
	       (uint32_t)v.b[2] << 16 | (uint32_t)v.b[3] << 24;
}

static inline uint64_t le64_get(struct le64 v)
{
	return (uint64_t)v.b[0] | (uint64_t)v.b[1] << 8 |
	       (uint64_t)v.b[2] << 16 | (uint64_t)v.b[3] << 24 |
	       (uint64_t)v.b[4] << 32 | (uint64_t)v.b[5] << 40 |
	       (uint64_t)v.b[6] << 48 | (uint64_t)v.b[7] << 56;
}

static inline struct le16 le16_make(uint16_t v)
{
	return (struct le16){{(uint8_t)v, (uint8_t)(v >> 8)}};
}

static inline struct le32 le32_make(uint32_t v)
{
	return (struct le32){{(uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16),
			      (uint8_t)(v >> 24)}};
}

static inline struct le64 le64_make(uint64_t v)
{
	return (struct le64){{(uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16),
			      (uint8_t)(v >> 24), (uint8_t)(v >> 32),
			      (uint8_t)(v >> 40), (uint8_t)(v >> 48),
			      (uint8_t)(v >> 56)}};
}

#endif
