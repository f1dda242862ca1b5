/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_BASE_SHA256_PAIR_H
#define SHALE_BASE_SHA256_PAIR_H

/*
 * Two SHA-256 at a time.  Each step of the digest waits for the one before, so a
 * processor with instructions for it spends half of its time waiting; the steps
 * of two digests, by turns, take as long as those of one (Gopal et al., "Fast
 * SHA-256 Implementations on Intel Architecture Processors", 2012, for the
 * message schedule; Linux's sha256_finup_2x does the same for fs-verity).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Has this processor what shale_sha256_pair() needs?  Costs some microseconds.
 */
bool shale_sha256_pairs(void);

/* Put `n` blocks of 64 bytes of `x` into state `a`, and as many of `y` into
 * `b`. */
void shale_sha256_pair(uint32_t a[8], const uint8_t *x, uint32_t b[8],
		       const uint8_t *y, size_t n);

#endif
