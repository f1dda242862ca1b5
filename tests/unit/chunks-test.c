/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/blob/view.h"

#include "tests/lib/check.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { N = 64, LEN = 100000 };

/* A blob of N chunks: text and noise by turns, so LZ4 and raw ones. */
static struct world {
	int dir;
	char path[14 + SHALE_DIGEST_HEX]; /* of the blob, under dir */
	struct shale_blobs *blobs;
	uint8_t *content[N];
	struct shale_chunk chunks[N];
} w;

static void make_content(uint8_t *data, bool noise)
{
	for (size_t i = 0; i < LEN; i++)
		data[i] = noise ? (uint8_t)shale_test_random()
				: (uint8_t) "abcdefgh"[(i ^ i / 900) % 8];
}

static void store_chunk(unsigned i, struct shale_compressor *c, uint8_t *blob,
			size_t *used)
{
	struct shale_chunk *chunk = &w.chunks[i];
	w.content[i] = malloc(LEN);
	make_content(w.content[i], i % 2);
	memcpy(w.content[i], &i, sizeof(i));
	chunk->len = LEN;
	chunk->off = *used;
	chunk->hash = shale_xxh128(w.content[i], LEN);
	chunk->stored = (uint32_t)shale_compress(c, w.content[i], LEN,
						 blob + *used, &chunk->codec);
	CHECK_INT(chunk->codec, i % 2 ? SHALE_CODEC_NONE : SHALE_CODEC_LZ4);
	*used += chunk->stored;
}

static void make_world(void)
{
	struct shale_err err = {0};
	struct shale_compressor *c;
	struct shale_digest digest;

	if (w.blobs)
		return;
	w.dir = shale_test_blobs();
	CHECK_OK(shale_blobs_open(&w.blobs, w.dir, &err));

	uint8_t *blob = malloc(N * shale_codec_bound(LEN));
	size_t used = 0;
	CHECK_OK(shale_compressor_new(&c, SHALE_CODEC_DEFAULT, &err));
	for (unsigned i = 0; i < N; i++)
		store_chunk(i, c, blob, &used);
	shale_compressor_free(c);
	CHECK_OK(shale_blobs_put(w.blobs, blob, used, &digest, &err));
	for (unsigned i = 0; i < N; i++)
		w.chunks[i].blob = digest;
	free(blob);
	memcpy(w.path, "blobs/sha256/", 13);
	shale_hex(w.path + 13, digest.b, 32);
}

/* Change the byte at `off` of the blob by `change`. */
static void flip(uint64_t off, uint8_t change)
{
	uint8_t byte;
	int fd = openat(w.dir, w.path, O_RDWR);
	CHECK(pread(fd, &byte, 1, (off_t)off) == 1);
	byte ^= change;
	CHECK(pwrite(fd, &byte, 1, (off_t)off) == 1);
	close(fd);
}

static struct shale_chunks *make_chunks(size_t cache)
{
	struct shale_err err = {0};
	struct shale_chunks *chunks;
	make_world();
	CHECK_OK(shale_chunks_new(&chunks, w.blobs, cache, &err));
	return chunks;
}

static void read_some(struct shale_chunks *chunks)
{
	struct shale_err err = {0};
	static __thread uint8_t out[LEN];
	unsigned i = (unsigned)rand() % N;
	uint32_t off = (uint32_t)rand() % LEN;
	uint32_t len = (uint32_t)rand() % (LEN - off + 1);
	if (rand() % 4 == 0)
		off = 0, len = LEN;
	int r = shale_chunks_read(chunks, &w.chunks[i], off, len, out, &err);
	if (r < 0 || memcmp(out, w.content[i] + off, len) != 0)
		abort();
}

TEST(any_part_of_a_chunk_is_read_with_any_cache)
{
	static const size_t caches[] = {0, 1, LEN, 3 * LEN, 64 << 20};
	for (size_t k = 0; k < sizeof(caches) / sizeof(caches[0]); k++) {
		struct shale_chunks *chunks = make_chunks(caches[k]);
		for (unsigned i = 0; i < 500; i++)
			read_some(chunks);
		shale_chunks_free(chunks);
	}
}

TEST(what_the_cache_had_is_counted)
{
	struct shale_err err = {0};
	struct shale_chunks *chunks = make_chunks(1 << 20);
	struct shale_chunks_stats stats;
	uint8_t out[2];

	shale_chunks_prefetch(chunks, &w.chunks[0], 1, false);
	for (int i = 0; i < 3; i++)
		CHECK_OK(shale_chunks_read(chunks, &w.chunks[i % 2], 1, 2, out,
					   &err));
	CHECK_OK(shale_chunks_read(chunks, &w.chunks[1], 9, 2, out, &err));
	shale_chunks_stats(chunks, &stats);
	CHECK_INT(stats.hits, 3);
	CHECK_INT(stats.misses, 1);
	CHECK_INT(stats.prefetched, 1);
	CHECK_INT(stats.bytes, 2 * LEN);
	CHECK(stats.limit >= stats.bytes && stats.limit <= 1 << 20);
	shale_chunks_free(chunks);
}

TEST(bytes_outside_a_chunk_are_refused)
{
	struct shale_err err = {0};
	struct shale_chunks *chunks = make_chunks(1 << 20);
	uint8_t out[2];
	CHECK_INT(
		shale_chunks_read(chunks, &w.chunks[0], LEN - 1, 2, out, &err),
		-EUCLEAN);
	CHECK_INT(
		shale_chunks_read(chunks, &w.chunks[0], LEN + 1, 0, out, &err),
		-EUCLEAN);
	CHECK_INT(shale_chunks_read(chunks, &w.chunks[0], UINT32_MAX, 2, out,
				    &err),
		  -EUCLEAN);
	CHECK_INT(shale_chunks_read(chunks, &w.chunks[0], LEN, 0, out, &err),
		  0);
	shale_chunks_free(chunks);
}

TEST(a_flipped_bit_is_an_io_error_that_names_blob_and_offset)
{
	static const uint32_t places[] = {0, 50, 1000};
	struct shale_err err = {0};
	uint8_t *out = malloc(LEN);
	char want[200], name[SHALE_DIGEST_STR];

	for (unsigned i = 2; i < 4; i++) /* one LZ4 and one raw chunk */
		for (unsigned p = 0; p < 3; p++) {
			struct shale_chunks *chunks = make_chunks(1 << 20);
			struct shale_chunk *c = &w.chunks[i];
			uint64_t at = c->off + places[p] % c->stored;
			flip(at, 0x10);
			CHECK_INT(
				shale_chunks_read(chunks, c, 0, LEN, out, &err),
				-EUCLEAN);
			snprintf(want, sizeof(want),
				 "chunk at offset %llu of blob %s",
				 (unsigned long long)c->off,
				 shale_digest_str(&c->blob, name));
			CHECK(strstr(err.msg, want) == err.msg);
			shale_chunks_prefetch(chunks, c, 1, false);
			CHECK_INT(shale_chunks_read(chunks, c, 5, 1, out, &err),
				  -EUCLEAN);
			/* The error is not remembered. */
			flip(at, 0x10);
			CHECK_OK(shale_chunks_read(chunks, c, 5, 1, out, &err));
			CHECK_INT(out[0], w.content[i][5]);
			shale_chunks_free(chunks);
		}
	free(out);
}

TEST(hostile_chunk_records_give_errors)
{
	struct shale_err err = {0};
	struct shale_chunks *chunks = make_chunks(1 << 20);
	uint8_t out[16];
	struct shale_chunk c = w.chunks[0];

	c.off = UINT64_C(1) << 62;
	CHECK_INT(shale_chunks_read(chunks, &c, 0, 16, out, &err), -EUCLEAN);
	c = w.chunks[0];
	c.stored = SHALE_CHUNK_LIMIT - 1;
	CHECK_INT(shale_chunks_read(chunks, &c, 0, 16, out, &err), -EUCLEAN);
	c = w.chunks[0];
	c.codec = SHALE_CODEC_NONE;
	CHECK_INT(shale_chunks_read(chunks, &c, 0, 16, out, &err), -EUCLEAN);
	c = w.chunks[0];
	c.codec = (enum shale_codec)99;
	CHECK_INT(shale_chunks_read(chunks, &c, 0, 16, out, &err),
		  -EPROTONOSUPPORT);
	c = w.chunks[0];
	c.blob.b[0] ^= 1;
	CHECK_INT(shale_chunks_read(chunks, &c, 0, 16, out, &err), -ENOENT);
	shale_chunks_free(chunks);
}

TEST(a_cached_chunk_needs_its_blob_no_more)
{
	struct shale_err err = {0};
	struct shale_chunks *chunks = make_chunks(4 << 20);
	uint8_t out[16];

	shale_chunks_prefetch(chunks, &w.chunks[6], 1, false);
	flip(w.chunks[6].off + 10, 1);
	CHECK_OK(shale_chunks_read(chunks, &w.chunks[6], 99, 16, out, &err));
	CHECK_MEM(out, w.content[6] + 99, 16);
	flip(w.chunks[6].off + 10, 1);
	shale_chunks_free(chunks);
}

TEST(the_cache_keeps_what_was_used_last_within_its_bounds)
{
	struct shale_err err = {0};
	struct shale_chunks *chunks = make_chunks(4 * LEN);
	uint8_t out[1];
	size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;

	for (unsigned i = 0; i < N; i++) {
		CHECK_OK(shale_chunks_read(chunks, &w.chunks[i], 1, 1, out,
					   &err));
		/* Number 0 is used all the time and stays. */
		CHECK_OK(shale_chunks_read(chunks, &w.chunks[0], 1, 1, out,
					   &err));
	}
	size_t after = mallinfo2().uordblks + mallinfo2().hblkhd;
	CHECK(after < before + 8 * LEN + (1 << 20));
	flip(w.chunks[0].off + 10, 1);
	int r = shale_chunks_read(chunks, &w.chunks[0], 2, 1, out, &err);
	flip(w.chunks[0].off + 10, 1);
	CHECK_INT(r, 0);
	flip(w.chunks[1].off, 1);
	r = shale_chunks_read(chunks, &w.chunks[1], 2, 1, out, &err);
	flip(w.chunks[1].off, 1);
	CHECK_INT(r, -EUCLEAN);
	shale_chunks_free(chunks);
}

/* Put together what a view shows. */
static size_t gather(const struct shale_view *view, uint8_t *out)
{
	size_t len = 0;

	for (int k = 0; k < view->n; k++) {
		memcpy(out + len, view->part[k].iov_base,
		       view->part[k].iov_len);
		len += view->part[k].iov_len;
	}
	return len;
}

/* What chunks `i` to `i + n` hold, from `off` of the first on. */
static void check_bytes(const uint8_t *got, unsigned i, uint32_t off,
			size_t len)
{
	for (size_t at = off, done = 0; done < len; at++, done++)
		if (got[done] != w.content[i + at / LEN][at % LEN])
			CHECK_INT(got[done], w.content[i + at / LEN][at % LEN]);
}

static void check_list(struct shale_chunks *chunks, unsigned i, size_t n,
		       uint32_t off, size_t len)
{
	struct shale_err err = {0};
	uint8_t *out = malloc(n * LEN + 1), *shown = malloc(n * LEN);
	struct shale_view view;

	out[len] = 0xee;
	CHECK_OK(shale_chunks_read_list(chunks, &w.chunks[i], n, off, len, out,
					NULL, &err));
	check_bytes(out, i, off, len);
	CHECK_INT(out[len], 0xee);

	shale_view_init(&view);
	CHECK_OK(shale_chunks_read_list(chunks, &w.chunks[i], n, off, len, out,
					&view, &err));
	CHECK_INT(gather(&view, shown), len);
	check_bytes(shown, i, off, len);
	CHECK_INT(out[len], 0xee);
	shale_view_release(&view);
	free(shown);
	free(out);
}

TEST(a_list_of_chunks_reads_as_the_chunks_do_whatever_is_cached)
{
	static const size_t caches[] = {0, 2 * LEN, 64 << 20};

	for (size_t k = 0; k < 3; k++) {
		struct shale_chunks *chunks = make_chunks(caches[k]);
		for (unsigned turn = 0; turn < 60; turn++) {
			unsigned n = 1 + shale_test_random() % 20;
			unsigned i = shale_test_random() % (N - n);
			uint32_t off = shale_test_random() % LEN;
			size_t len = shale_test_random() % (n * LEN - off);
			if (turn % 3 == 0)
				shale_chunks_prefetch(
					chunks,
					&w.chunks[shale_test_random() %
						  (N - 4)],
					4, turn % 2);
			check_list(chunks, i, n, off, len);
		}
		shale_chunks_free(chunks);
	}
}

TEST(damage_in_the_middle_of_a_list_is_that_chunks_alone)
{
	struct shale_err err = {0};
	struct shale_chunks *chunks = make_chunks(16 << 20);
	uint8_t *out = malloc(8 * LEN);
	char want[100];

	flip(w.chunks[13].off + 7, 1);
	for (int once = 0; once < 2; once++) {
		shale_chunks_prefetch(chunks, &w.chunks[10], 8, once);
		CHECK_INT(shale_chunks_read_list(chunks, &w.chunks[10], 8, 0,
						 8 * LEN, out, NULL, &err),
			  -EUCLEAN);
		snprintf(want, sizeof(want), "chunk at offset %llu ",
			 (unsigned long long)w.chunks[13].off);
		CHECK(strstr(err.msg, want) == err.msg);
		check_list(chunks, 10, 3, 0, 3 * LEN);
		check_list(chunks, 14, 4, 5, 4 * LEN - 5);
	}
	flip(w.chunks[13].off + 7, 1);
	check_list(chunks, 10, 8, 0, 8 * LEN);
	free(out);
	shale_chunks_free(chunks);
}

TEST(a_list_whose_blob_ends_early_reads_up_to_there)
{
	struct shale_err err = {0};
	struct shale_chunks *chunks = make_chunks(1 << 20);
	struct shale_chunk list[4] = {w.chunks[0], w.chunks[1], w.chunks[2],
				      w.chunks[3]};
	uint8_t *out = malloc(4 * LEN);

	list[3].stored = SHALE_CHUNK_LIMIT - 1;
	CHECK_INT(shale_chunks_read_list(chunks, list, 4, 0, 4 * LEN, out, NULL,
					 &err),
		  -EUCLEAN);
	CHECK_MEM(out, w.content[0], LEN);
	CHECK_MEM(out + 2 * LEN, w.content[2], LEN);
	list[3] = w.chunks[3];
	list[3].off = UINT64_C(1) << 62;
	shale_chunks_prefetch(chunks, list, 4, true);
	CHECK_INT(shale_chunks_read_list(chunks, list, 4, 0, 4 * LEN, out, NULL,
					 &err),
		  -EUCLEAN);
	free(out);
	shale_chunks_free(chunks);
}

TEST(what_a_view_shows_stays_while_the_cache_moves_on)
{
	struct shale_err err = {0};
	struct shale_chunks *chunks = make_chunks(2 * LEN);
	uint8_t *out = malloc(4 * LEN), *shown = malloc(4 * LEN);
	struct shale_chunks_stats stats;
	struct shale_view view;

	shale_view_init(&view);
	shale_chunks_prefetch(chunks, &w.chunks[2], 2, false);
	CHECK_OK(shale_chunks_read_list(chunks, &w.chunks[1], 3, 0, 3 * LEN,
					out, &view, &err));
	memset(out + LEN, 0xee, 2 * LEN); /* those are in the cache */
	CHECK_INT(view.n, 3);
	for (unsigned i = 10; i < 20; i++)
		CHECK_OK(shale_chunks_read(chunks, &w.chunks[i], 0, 1, shown,
					   &err));
	CHECK_INT(gather(&view, shown), 3 * LEN);
	check_bytes(shown, 1, 0, 3 * LEN);
	shale_view_release(&view);
	CHECK_OK(shale_chunks_read(chunks, &w.chunks[1], 0, 1, shown, &err));
	shale_chunks_stats(chunks, &stats);
	CHECK(stats.bytes <= 2 * LEN);
	free(shown);
	free(out);
	shale_chunks_free(chunks);
}

TEST(a_view_of_very_many_parts_goes_on_in_the_buffer)
{
	enum { PIECES = 3 * SHALE_VIEW_PARTS, PIECE = 50 };
	struct shale_err err = {0};
	struct shale_chunks *chunks = make_chunks(16 << 20);
	uint8_t out[PIECES * PIECE], shown[sizeof(out)];
	struct shale_view view;

	shale_view_init(&view);
	shale_chunks_prefetch(chunks, &w.chunks[20], 5, false);
	for (unsigned k = 0; k < PIECES; k++) /* by turns cached and not */
		CHECK_OK(shale_chunks_read_list(
			chunks, &w.chunks[k % 2 ? 20 : 30], 2, LEN - 20, PIECE,
			out + k * PIECE, &view, &err));
	CHECK_INT(view.n, SHALE_VIEW_PARTS);
	CHECK_INT(gather(&view, shown), sizeof(shown));
	for (unsigned k = 0; k < PIECES; k++)
		check_bytes(shown + k * PIECE, k % 2 ? 20 : 30, LEN - 20,
			    PIECE);
	shale_view_release(&view);
	shale_chunks_free(chunks);
}

static void *reader(void *arg)
{
	struct shale_chunks *chunks = arg;
	for (unsigned i = 0; i < 1500; i++) {
		read_some(chunks);
		shale_chunks_prefetch(chunks, &w.chunks[(unsigned)rand() % N],
				      1, i % 2);
	}
	return NULL;
}

TEST(many_threads_read_through_a_cache_that_is_too_small)
{
	static const size_t caches[] = {0, 5 * LEN, 4 << 20};
	for (size_t k = 0; k < 3; k++) {
		struct shale_chunks *chunks = make_chunks(caches[k]);
		pthread_t threads[4];
		for (unsigned i = 0; i < 4; i++)
			CHECK(pthread_create(&threads[i], NULL, reader,
					     chunks) == 0);
		for (unsigned i = 0; i < 4; i++)
			pthread_join(threads[i], NULL);
		shale_chunks_free(chunks);
	}
}

static atomic_uint errors;

static void *damaged_reader(void *arg)
{
	struct shale_err err;
	uint8_t byte;
	for (unsigned i = 0; i < 50; i++)
		errors += shale_chunks_read(arg, &w.chunks[8], i, 1, &byte,
					    &err) == -EUCLEAN;
	return NULL;
}

TEST(every_thread_that_waited_for_a_damaged_chunk_gets_the_error)
{
	struct shale_chunks *chunks = make_chunks(1 << 20);
	pthread_t threads[4];
	errors = 0;
	flip(w.chunks[8].off + 60, 1);
	for (unsigned i = 0; i < 4; i++)
		CHECK(pthread_create(&threads[i], NULL, damaged_reader,
				     chunks) == 0);
	for (unsigned i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	flip(w.chunks[8].off + 60, 1);
	CHECK_INT(errors, 200);
	shale_chunks_free(chunks);
}
