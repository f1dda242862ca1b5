/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our compressor to LZ4 blocks: what it writes, liblz4 reads; it stays within
 * its buffers (each has just the size that is promised, so the sanitizers see
 * a byte too much), and it is worth having.
 */
#include "layers/chunk/lz4.h"
#include "tests/lib/check.h"

#include <lz4.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM = 32 };

/* Compress and decompress; 0: it was not to become shorter. */
static size_t there_and_back(const uint8_t *data, size_t len)
{
	struct shale_lz4 *state = malloc(sizeof(*state));
	uint8_t *in = malloc(len ? len : 1), *out = malloc(len + ROOM);
	uint8_t *back = malloc(len ? len : 1);

	CHECK(state && in && out && back);
	memset(state, 0xa5, sizeof(*state));
	memcpy(in, data, len);
	size_t n = shale_lz4_compress(state, in, len, out);
	CHECK(n == 0 || n < len);
	if (n > 0) {
		CHECK_INT(LZ4_decompress_safe((char *)out, (char *)back, (int)n,
					      (int)len),
			  len);
		CHECK_MEM(back, data, len);
	}
	free(state);
	free(in);
	free(out);
	free(back);
	return n;
}

/* Bytes of `letters` kinds with copies of what was before; 0: none. */
static void fill(uint8_t *data, size_t len, unsigned letters, unsigned copies)
{
	for (size_t i = 0; i < len;) {
		uint64_t dice = shale_test_random();
		size_t n = 1 + dice % 40, from = (dice >> 8) % (i + 1);
		if (copies && (dice >> 40) % 100 < copies && i > 0) {
			for (; n > 0 && i < len; n--)
				data[i++] = data[from++];
		} else {
			data[i++] = (uint8_t)((dice >> 50) % letters);
		}
	}
}

TEST(every_length_comes_back_as_it_was)
{
	static uint8_t data[700];

	for (unsigned letters = 1; letters <= 256; letters *= 4)
		for (size_t len = 0; len <= sizeof(data); len++) {
			fill(data, len, letters, 30);
			there_and_back(data, len);
		}
}

TEST(chunks_of_any_size_come_back_as_they_were)
{
	enum { MOST = 256 << 10 };
	uint8_t *data = malloc(MOST);

	CHECK(data);
	for (int i = 0; i < 120; i++) {
		size_t len = shale_test_random() % MOST + 1;
		fill(data, len, 1 + shale_test_random() % 256,
		     (unsigned)(shale_test_random() % 100));
		there_and_back(data, len);
	}
	free(data);
}

TEST(one_byte_repeated_is_next_to_nothing)
{
	uint8_t *data = calloc(1, 256 << 10);

	CHECK(data);
	CHECK(there_and_back(data, 256 << 10) < 1100);
	free(data);
}

TEST(what_does_not_become_shorter_is_told)
{
	static uint8_t noise[100000];

	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = (uint8_t)shale_test_random();
	CHECK_INT(there_and_back(noise, sizeof(noise)), 0);
	CHECK_INT(there_and_back(noise, 0), 0);
	CHECK_INT(there_and_back(noise, 1), 0);
	CHECK_INT(there_and_back(noise, 31), 0);
}

/* Farther than an offset can say: what is 65,535 back is a match, what is one
 * more is not. */
TEST(matches_do_not_reach_farther_back_than_64_kib)
{
	enum { LEN = 200000 };
	static uint8_t data[LEN];

	for (size_t distance = 65530; distance < 65542; distance++) {
		for (size_t i = 0; i < LEN; i++)
			data[i] = i < distance ? (uint8_t)shale_test_random()
					       : data[i - distance];
		size_t n = there_and_back(data, LEN);
		if (distance <= 65535)
			CHECK(n > 0 && n < LEN / 2);
		else
			CHECK_INT(n, 0);
	}
}

/* What was in the state before does not count. */
TEST(the_same_input_gives_the_same_output)
{
	enum { LEN = 70000 };
	static uint8_t data[LEN], a[LEN + ROOM], b[LEN + ROOM];
	static struct shale_lz4 state;

	fill(data, LEN, 20, 60);
	size_t n = shale_lz4_compress(&state, data, LEN, a);
	memset(&state, 0x5a, sizeof(state));
	CHECK_INT(shale_lz4_compress(&state, data, LEN, b), n);
	CHECK_MEM(a, b, n);
}

/* Rows of a table, as people have them. */
TEST(tables_become_smaller_than_with_liblz4)
{
	enum { CHUNK = 128 << 10 };
	static char text[CHUNK + 100], out[CHUNK + ROOM + CHUNK / 255];
	static struct shale_lz4 state;
	size_t ours, theirs, len = 0;

	for (unsigned row = 0; len < CHUNK; row++) {
		uint64_t dice = shale_test_random();
		len += (size_t)snprintf(
			text + len, sizeof(text) - len,
			"%u,2024-%02u-%02u,customer%04u,%u.%02u,%s\n", row,
			(unsigned)(dice % 12 + 1), (unsigned)(dice % 28 + 1),
			(unsigned)((dice >> 8) % 3000),
			(unsigned)((dice >> 20) % 500),
			(unsigned)((dice >> 30) % 100),
			dice >> 63 ? "paid" : "open");
	}
	ours = shale_lz4_compress(&state, text, CHUNK, out);
	theirs = (size_t)LZ4_compress_default(text, out, CHUNK, sizeof(out));
	CHECK(ours > 0 && ours < theirs * 95 / 100);
}
