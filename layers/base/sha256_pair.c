/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/base/sha256_pair.h"

#ifdef __x86_64__

#include <cpuid.h>
#include <immintrin.h>

/* clang-format off */
static const uint32_t constants[64] __attribute__((aligned(16))) = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1,
	0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3,
	0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786,
	0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
	0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
	0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
	0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a,
	0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
	0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};
/* clang-format on */

#define ABLE   __attribute__((target("sha,sse4.1")))
#define INLINE ABLE __attribute__((always_inline)) static inline

/* One of the two: its state in the order of the instructions, and the words of
 * the message that come next, four a vector. */
struct lane {
	__m128i abef, cdgh;
	__m128i words[4];
};

INLINE void load_state(struct lane *l, const uint32_t state[8])
{
	__m128i dcba = _mm_loadu_si128((const void *)state);
	__m128i hgfe = _mm_loadu_si128((const void *)(state + 4));
	__m128i cdab = _mm_shuffle_epi32(dcba, 0xb1);
	__m128i efgh = _mm_shuffle_epi32(hgfe, 0x1b);
	l->abef = _mm_alignr_epi8(cdab, efgh, 8);
	l->cdgh = _mm_blend_epi16(efgh, cdab, 0xf0);
}

INLINE void store_state(const struct lane *l, uint32_t state[8])
{
	__m128i feba = _mm_shuffle_epi32(l->abef, 0x1b);
	__m128i dchg = _mm_shuffle_epi32(l->cdgh, 0xb1);
	_mm_storeu_si128((void *)state, _mm_blend_epi16(feba, dchg, 0xf0));
	_mm_storeu_si128((void *)(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

INLINE void load_block(struct lane *l, const uint8_t *block)
{
	const __m128i turned =
		_mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
	for (int i = 0; i < 4; i++)
		l->words[i] = _mm_shuffle_epi8(
			_mm_loadu_si128((const void *)(block + 16 * i)),
			turned);
}

/* Four rounds of the sixty-four: the `at`th four. */
INLINE void four_rounds(struct lane *l, int at)
{
	__m128i *w = l->words, w0 = w[at & 3], w1 = w[(at + 1) & 3],
		w2 = w[(at + 2) & 3], w3 = w[(at + 3) & 3];
	__m128i k = _mm_load_si128((const void *)(constants + 4 * at));
	__m128i sum = _mm_add_epi32(w0, k);
	l->cdgh = _mm_sha256rnds2_epu32(l->cdgh, l->abef, sum);
	l->abef = _mm_sha256rnds2_epu32(l->abef, l->cdgh,
					_mm_shuffle_epi32(sum, 0x0e));
	if (at < 12) {
		__m128i part = _mm_add_epi32(_mm_sha256msg1_epu32(w0, w1),
					     _mm_alignr_epi8(w3, w2, 4));
		w[at & 3] = _mm_sha256msg2_epu32(part, w3);
	}
}

ABLE void shale_sha256_pair(uint32_t a[8], const uint8_t *x, uint32_t b[8],
			    const uint8_t *y, size_t n)
{
	struct lane one, two;
	load_state(&one, a);
	load_state(&two, b);
	for (; n; n--, x += 64, y += 64) {
		const struct lane was_one = one, was_two = two;
		load_block(&one, x);
		load_block(&two, y);
#pragma GCC unroll 16
		for (int at = 0; at < 16; at++) {
			four_rounds(&one, at);
			four_rounds(&two, at);
		}
		one.abef = _mm_add_epi32(one.abef, was_one.abef);
		one.cdgh = _mm_add_epi32(one.cdgh, was_one.cdgh);
		two.abef = _mm_add_epi32(two.abef, was_two.abef);
		two.cdgh = _mm_add_epi32(two.cdgh, was_two.cdgh);
	}
	store_state(&one, a);
	store_state(&two, b);
}

bool shale_sha256_pairs(void)
{
	unsigned a, b, c, d;
	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_SSE4_1))
		return false;
	return __get_cpuid_count(7, 0, &a, &b, &c, &d) && b & (1u << 29);
}

#else

#include <assert.h>

void shale_sha256_pair(uint32_t a[8], const uint8_t *x, uint32_t b[8],
		       const uint8_t *y, size_t n)
{
	(void)a, (void)x, (void)b, (void)y, (void)n;
	assert(!"asked shale_sha256_pairs()");
}

bool shale_sha256_pairs(void)
{
	return false;
}

#endif
