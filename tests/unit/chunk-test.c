/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "layers/chunk/codec.h"
#include "layers/chunk/cut.h"
#include "layers/chunk/gear.h"
#include "tests/lib/check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { LEN = 4 << 20 };

static uint8_t *random_bytes(size_t len)
{
	uint8_t *data = malloc(len + 8);
	for (size_t i = 0; i < len; i += 8) {
		uint64_t r = shale_test_random();
		memcpy(data + i, &r, 8);
	}
	return data;
}

/* Compresses to about a third. */
static uint8_t *text_bytes(size_t len)
{
	uint8_t *data = malloc(len);
	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)("etaoin shrdlu"[shale_test_random() % 13]);
	for (size_t i = 64; i + 64 < len; i += 128)
		memcpy(data + i, data + i - 64, 64);
	return data;
}

static const char *const choices[] = {
	"none", "lz4",    "lz4hc",   "lz4hc:12",
#ifdef HAVE_ZSTD
	"zstd", "zstd:1", "zstd:12",
#endif
};
enum { N_CHOICES = sizeof(choices) / sizeof(choices[0]) };

/* Compressed form of `data` under choice `i`; the caller's to free. */
static uint8_t *compressed(unsigned i, const void *data, size_t len,
			   size_t *stored, enum shale_codec *codec)
{
	struct shale_err err = {0};
	struct shale_codec_choice choice;
	struct shale_compressor *c;

	CHECK_OK(shale_codec_parse(choices[i], &choice, &err));
	CHECK_OK(shale_compressor_new(&c, choice, &err));
	uint8_t *out = malloc(shale_codec_bound(len));
	*stored = shale_compress(c, data, len, out, codec);
	shale_compressor_free(c);
	return out;
}

static void round_trip(unsigned i, const uint8_t *data, size_t len)
{
	struct shale_err err = {0};
	enum shale_codec codec;
	size_t stored;
	uint8_t *out = compressed(i, data, len, &stored, &codec);
	CHECK(stored <= len);
	CHECK((stored == len) == (codec == SHALE_CODEC_NONE));

	/* Exactly sized heap blocks, so that a sanitizer sees one byte over. */
	uint8_t *in = malloc(stored), *back = malloc(len);
	memcpy(in, out, stored);
	CHECK_OK(shale_decompress(codec, in, stored, back, len, &err));
	CHECK_MEM(back, data, len);
	free(in);
	free(back);
	free(out);
}

TEST(content_survives_every_codec_and_length)
{
	static const size_t lens[] = {1,     2,     15,     4096,  16384,
				      65536, 99999, 131072, 262144};
	uint8_t *noise = random_bytes(262144), *text = text_bytes(262144);
	uint8_t *zeros = calloc(1, 262144);

	for (unsigned i = 0; i < N_CHOICES; i++)
		for (size_t n = 0; n < sizeof(lens) / sizeof(lens[0]); n++) {
			round_trip(i, noise, lens[n]);
			round_trip(i, text, lens[n]);
			round_trip(i, zeros, lens[n]);
		}
	free(noise);
	free(text);
	free(zeros);
}

TEST(what_saves_nothing_is_stored_raw)
{
	uint8_t *noise = random_bytes(65536);
	for (unsigned i = 0; i < N_CHOICES; i++) {
		enum shale_codec codec = SHALE_CODEC_ZSTD;
		size_t stored;
		uint8_t *out = compressed(i, noise, 65536, &stored, &codec);
		CHECK_INT(codec, SHALE_CODEC_NONE);
		CHECK_INT(stored, 65536);
		CHECK_MEM(out, noise, 65536);
		free(out);
	}
	free(noise);
}

TEST(text_is_compressed_the_same_way_by_any_compressor)
{
	uint8_t *text = text_bytes(100000);
	for (unsigned i = 1; i < N_CHOICES; i++) {
		enum shale_codec codec_a, codec_b;
		size_t a_len, b_len;
		uint8_t *a = compressed(i, text, 100000, &a_len, &codec_a);
		uint8_t *b = compressed(i, text, 100000, &b_len, &codec_b);
		CHECK(codec_a != SHALE_CODEC_NONE && codec_a == codec_b);
		CHECK(a_len < 80000);
		CHECK_INT(a_len, b_len);
		CHECK_MEM(a, b, a_len);
		free(a);
		free(b);
	}
	free(text);
}

TEST(one_compressor_does_not_remember_the_chunk_before)
{
	struct shale_err err = {0};
	uint8_t *text = text_bytes(60000), out[2][70000];
	enum shale_codec codec;

	for (unsigned i = 1; i < N_CHOICES; i++) {
		struct shale_codec_choice choice;
		struct shale_compressor *c;
		size_t len[2];
		CHECK_OK(shale_codec_parse(choices[i], &choice, &err));
		CHECK_OK(shale_compressor_new(&c, choice, &err));
		len[0] = shale_compress(c, text, 60000, out[0], &codec);
		shale_compress(c, text + 1000, 59000, out[1], &codec);
		len[1] = shale_compress(c, text, 60000, out[1], &codec);
		CHECK_INT(len[0], len[1]);
		CHECK_MEM(out[0], out[1], len[0]);
		shale_compressor_free(c);
	}
	free(text);
}

/* Decompress exact copies, so that a sanitizer sees reads and writes outside.
 */
static int decompress_copy(enum shale_codec codec, const uint8_t *stored,
			   size_t stored_len, size_t len)
{
	struct shale_err err = {0};
	uint8_t *in = malloc(stored_len ? stored_len : 1);
	uint8_t *back = malloc(len ? len : 1);
	memcpy(in, stored, stored_len);
	int r = shale_decompress(codec, in, stored_len, back, len, &err);
	free(in);
	free(back);
	return r;
}

TEST(truncated_or_lengthened_stored_bytes_are_damage)
{
	uint8_t *text = text_bytes(20000);
	for (unsigned i = 0; i < N_CHOICES; i++) {
		enum shale_codec codec;
		size_t n;
		uint8_t *out = compressed(i, text, 20000, &n, &codec);
		for (size_t cut = 0; cut < n; cut += 1 + cut / 16)
			CHECK_INT(decompress_copy(codec, out, cut, 20000),
				  -EUCLEAN);
		uint8_t *more = calloc(1, n + 8);
		memcpy(more, out, n);
		CHECK_INT(decompress_copy(codec, more, n + 8, 20000), -EUCLEAN);
		free(more);
		CHECK_INT(decompress_copy(codec, out, n, 19999), -EUCLEAN);
		CHECK_INT(decompress_copy(codec, out, n, 20001), -EUCLEAN);
		CHECK_INT(decompress_copy(codec, out, n, 0), -EUCLEAN);
		free(out);
	}
	free(text);
}

TEST(flipped_bits_and_noise_never_reach_outside_the_buffers)
{
	uint8_t *text = text_bytes(5000), *noise = random_bytes(4096);
	for (unsigned i = 1; i < N_CHOICES; i++) {
		enum shale_codec codec;
		size_t n;
		uint8_t *out = compressed(i, text, 5000, &n, &codec);
		for (unsigned k = 0; k < 2000; k++) {
			uint64_t r = shale_test_random();
			uint8_t bit = (uint8_t)(1 << (r & 7));
			out[(r >> 3) % n] ^= bit;
			decompress_copy(codec, out, n, 5000);
			if (k & 1)
				out[(r >> 3) % n] ^= bit;
		}
		free(out);
		for (size_t len = 1; len <= 4096; len *= 2)
			decompress_copy(codec, noise, len, 65536);
	}
	free(text);
	free(noise);
}

TEST(a_codec_of_a_newer_format_is_named_as_such)
{
	uint8_t byte = 0, out;
	struct shale_err err = {0};
	CHECK_INT(
		shale_decompress((enum shale_codec)77, &byte, 1, &out, 1, &err),
		-EPROTONOSUPPORT);
	CHECK_STR(err.msg, "unknown codec 77");
	CHECK_STR(shale_codec_name((enum shale_codec)77), "unknown");
}

TEST(codec_options_are_parsed_or_refused_with_the_reason)
{
	static const char *const wrong[] = {
		"",        "lz",     "lz4x",    "lz4:1",    "none:1",
		"lz4hc:2", "lz4hc:", "zstd:20", "zstd:0",   "zstd:-1",
		"zstd:3x", "ZSTD",   "zstd: 3", "lz4hc:1e1"};
	struct shale_err err = {0};
	struct shale_codec_choice c;

	CHECK_OK(shale_codec_parse("lz4", &c, &err));
	CHECK(c.codec == SHALE_CODEC_LZ4 && c.level == 0);
	CHECK_OK(shale_codec_parse("lz4hc", &c, &err));
	CHECK(c.codec == SHALE_CODEC_LZ4 && c.level == 9);
	CHECK_OK(shale_codec_parse("lz4hc:12", &c, &err));
	CHECK(c.codec == SHALE_CODEC_LZ4 && c.level == 12);
#ifdef HAVE_ZSTD
	CHECK_OK(shale_codec_parse("zstd", &c, &err));
	CHECK(c.codec == SHALE_CODEC_ZSTD && c.level == 3);
#endif
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		err.msg[0] = 0;
		CHECK_INT(shale_codec_parse(wrong[i], &c, &err), -EINVAL);
		CHECK(err.msg[0]);
	}
}

/* Ends of the chunks of data[0, len). */
static size_t cuts(const uint8_t *data, size_t len, size_t *ends)
{
	size_t n = 0;
	for (size_t at = 0; at < len;) {
		size_t cut = shale_cut(data + at, len - at);
		CHECK(cut >= 1 && cut <= SHALE_CHUNK_MAX && cut <= len - at);
		CHECK(cut >= SHALE_CHUNK_MIN || at + cut == len);
		at += cut;
		ends[n++] = at;
	}
	return n;
}

static size_t ends[2][LEN / SHALE_CHUNK_MIN + 2];

TEST(chunks_keep_their_bounds_and_mean)
{
	uint8_t *noise = random_bytes(LEN);
	size_t n = cuts(noise, LEN, ends[0]);
	CHECK(n > LEN / SHALE_CHUNK_MEAN / 2 && n < LEN / SHALE_CHUNK_MEAN * 2);

	CHECK_INT(shale_cut(noise, 0), 0);
	CHECK_INT(shale_cut(noise, 1), 1);
	CHECK_INT(shale_cut(noise, SHALE_CHUNK_MIN), SHALE_CHUNK_MIN);
	memset(noise, 0, SHALE_CHUNK_MAX * 2);
	CHECK_INT(shale_cut(noise, SHALE_CHUNK_MAX * 2), SHALE_CHUNK_MAX);
	free(noise);
}

TEST(a_cut_depends_on_no_more_than_the_longest_chunk)
{
	uint8_t *noise = random_bytes(LEN);
	for (size_t at = 0; at < 64; at++) {
		const uint8_t *here = noise + at * 1001;
		CHECK_INT(shale_cut(here, SHALE_CHUNK_MAX),
			  shale_cut(here, LEN / 2));
	}
	free(noise);
}

/* The definition, one byte a round. */
static size_t cut_by_one(const uint8_t *data, size_t len)
{
	uint64_t hash = 0;
	if (len > SHALE_CHUNK_MAX)
		len = SHALE_CHUNK_MAX;
	for (size_t i = SHALE_CHUNK_MIN; i < len; i++) {
		unsigned bits = i < SHALE_CHUNK_MEAN ? 17 : 13;
		hash = (hash << 1) + shale_gear[data[i]];
		if (!(hash << 1 >> (64 - bits)))
			return i + 1;
	}
	return len;
}

TEST(two_bytes_a_round_cut_where_one_would)
{
	uint8_t *noise = random_bytes(LEN);
	for (size_t at = 0; at < LEN; at += 4001) {
		size_t len = shale_test_random() % (LEN - at + 1);
		CHECK_INT(shale_cut(noise + at, len),
			  cut_by_one(noise + at, len));
	}
	free(noise);
}

TEST(the_end_of_a_chunk_tells_that_it_would_be_cut_there)
{
	uint8_t *noise = random_bytes(LEN);
	size_t n = cuts(noise, LEN, ends[0]);
	for (size_t i = 0; i + 1 < n; i++) {
		size_t from = i ? ends[0][i - 1] : 0;
		CHECK(shale_cut_behind(noise + from, ends[0][i] - from));
	}
	/* Behind the first cut there are others, had it not come before. */
	size_t first = shale_cut(noise, LEN), others = 0;
	for (size_t len = 0; len <= SHALE_CHUNK_MAX + 9; len++) {
		bool here = shale_cut_behind(noise, len);
		if (len <= first)
			CHECK_INT(here, len == first);
		if (len <= SHALE_CHUNK_MIN || len > SHALE_CHUNK_MAX)
			CHECK(!here);
		others += here;
	}
	CHECK(others >= 1 && others < 20);
	free(noise);
}

/* As shale_cut() did when its chunks were longer: so are those of old images.
 */
static size_t cut_longer(const uint8_t *data, size_t len)
{
	uint64_t hash = 0;
	if (len > SHALE_CHUNK_LONGEST)
		len = SHALE_CHUNK_LONGEST;
	for (size_t i = 16 << 10; i < len; i++) {
		unsigned bits = i < 64 << 10 ? 18 : 14;
		hash = (hash << 1) + shale_gear[data[i]];
		if (!(hash << 1 >> (64 - bits)))
			return i + 1;
	}
	return len;
}

static void check_ends(const uint8_t *data,
		       size_t (*cut)(const uint8_t *, size_t))
{
	for (size_t at = 0; at < LEN;) {
		size_t n = cut(data + at, LEN - at);
		CHECK(at + n == LEN || shale_cut_once(data + at, n));
		at += n;
	}
}

TEST(the_end_of_a_chunk_tells_that_it_was_cut_there)
{
	uint8_t *noise = random_bytes(LEN);
	check_ends(noise, shale_cut);
	check_ends(noise, cut_longer);

	/* Where a file ended there is hardly ever such a place. */
	size_t others = 0;
	for (size_t len = 0; len <= SHALE_CHUNK_LONGEST + 9; len++) {
		bool here = shale_cut_once(noise, len);
		if (len <= SHALE_CHUNK_MIN || len > SHALE_CHUNK_LONGEST)
			CHECK(!here);
		CHECK(here || !shale_cut_behind(noise, len));
		others += here;
	}
	CHECK(others > 9 && others < 90);
	free(noise);
}

TEST(cutting_finds_its_step_again_behind_an_insertion)
{
	uint8_t *noise = random_bytes(LEN), *moved = malloc(LEN + 7);
	size_t at = LEN / 3;
	memcpy(moved, noise, at);
	memcpy(moved + at, "shifted", 7);
	memcpy(moved + at + 7, noise + at, LEN - at);

	size_t n = cuts(noise, LEN, ends[0]), m = cuts(moved, LEN + 7, ends[1]);
	size_t same = 0;
	for (size_t i = 0, k = 0; i < n && k < m;) {
		size_t a = ends[0][i], b = ends[1][k];
		size_t want = a < at ? a : a + 7;
		same += want == b;
		i += want <= b;
		k += b <= want;
	}
	CHECK(same + 6 >= n);
	free(noise);
	free(moved);
}
