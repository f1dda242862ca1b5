/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_CHUNK_GEAR_H
#define SHALE_CHUNK_GEAR_H

/*
 * The random number of each byte value in the rolling hash of the cutter.
 * Another table cuts elsewhere: what is stored stays readable, but nothing
 * written with the one is shared with what the other writes.
 */

#include <stdint.h>

extern const uint64_t shale_gear[256];

#endif
