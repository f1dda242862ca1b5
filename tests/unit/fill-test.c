/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/mount/fill.h"

#include "layers/base/buf.h"
#include "layers/base/cleanup.h"
#include "tests/lib/check.h"
#include "tests/unit/layers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/*
 * A file of chunks that are not as long as windows and do not end with one, and
 * what a kernel was given of it.
 */
enum {
	INO = 2,
	CHUNK = 50000,
	CHUNKS = 20,
	SIZE = CHUNK * CHUNKS,
	WINDOW = SHALE_FILL_WINDOW,
	WINDOWS = (SIZE + WINDOW - 1) / WINDOW,
	WAIT_S = 60,
};

static struct world {
	struct layers layers;
	struct shale_blobs *blobs;
	int dir; /* of these */
	struct shale_image image;
	struct shale_digest blob;
	uint8_t bytes[SIZE];
	struct shale_fill *fill;
	atomic_uint given[WINDOWS], calls, wrong;
	atomic_int says; /* what the kernel answers */
} w;

static void make_image(void)
{
	struct shale_err err;
	uint32_t blob, number;

	w.layers = layers_begin(INO + 1);
	layers_inode(&w.layers, 1, S_IFDIR | 0755);
	layers_content(&w.layers, INO, SHALE_CONTENT_REPLACED, SIZE, 0);
	for (unsigned i = 0; i < SIZE; i++)
		w.bytes[i] = (uint8_t)shale_test_random();
	CHECK_OK(shale_tree_build_blob(w.layers.top, NULL, 0, &blob, &err));
	for (unsigned i = 0; i < CHUNKS; i++) {
		const uint8_t *data = w.bytes + i * CHUNK;
		struct shale_chunk chunk = {.codec = SHALE_CODEC_NONE,
					    .off = i * CHUNK,
					    .len = CHUNK,
					    .stored = CHUNK,
					    .hash = shale_xxh128(data, CHUNK)};
		struct shale_extent e = {
			.ino = INO, .off = i * CHUNK, .len = CHUNK};
		shale_sha256(data, CHUNK, &chunk.sha256);
		CHECK_OK(shale_tree_build_chunk(w.layers.top, &chunk, blob,
						&number, &err));
		e.chunk = number;
		CHECK_OK(shale_tree_build_extent(w.layers.top, &e, NULL, &err));
	}
	CHECK_OK(shale_blobs_put(w.blobs, w.bytes, SIZE, &w.blob, &err));
	shale_tree_build_own_blob(w.layers.top, &w.blob, SIZE);
	layers_push(&w.layers);
	w.image.trees = w.layers.tree;
	w.image.n_trees = w.layers.n;
}

/* What the kernel does with a window. */
static int store(void *arg, uint64_t ino, uint64_t off, const void *data,
		 size_t len)
{
	uint64_t n = off / WINDOW, left = off < SIZE ? SIZE - off : 0;

	(void)arg;
	atomic_fetch_add(&w.calls, 1);
	if (ino != INO || off % WINDOW || n >= WINDOWS ||
	    len != (left < WINDOW ? left : WINDOW) ||
	    memcmp(data, w.bytes + off, len) != 0)
		atomic_fetch_add(&w.wrong, 1);
	else
		atomic_fetch_add(&w.given[n], 1);
	return atomic_load(&w.says);
}

static void begin(void)
{
	struct shale_err err;

	memset(&w, 0, sizeof(w));
	w.dir = shale_test_blobs();
	CHECK_OK(shale_blobs_open(&w.blobs, w.dir, &err));
	CHECK_OK(shale_chunks_new(&w.image.chunks, w.blobs, 4 << 20, &err));
	make_image();
	CHECK_OK(shale_fill_new(&w.fill, &w.image, &err));
	shale_fill_to(w.fill, store, NULL);
}

static void end(void)
{
	shale_fill_free(w.fill);
	CHECK_INT(w.wrong, 0);
	shale_chunks_free(w.image.chunks);
	shale_blobs_close(w.blobs);
	close(w.dir);
	layers_end(&w.layers);
}

static void note(uint64_t off)
{
	shale_fill_note(w.fill, INO, SIZE, off, 4096);
}

/* Waits until a window has been given so many times. */
static bool given(unsigned n, unsigned times)
{
	const struct timespec pause = {.tv_nsec = 200000};
	time_t until = time(NULL) + WAIT_S;

	while (time(NULL) < until && atomic_load(&w.given[n]) < times)
		nanosleep(&pause, NULL);
	return atomic_load(&w.given[n]) == times;
}

/* The worker has done what came before: it takes one after the other. */
static unsigned calls_so_far(void)
{
	note((WINDOWS - 1) * WINDOW);
	note((WINDOWS - 1) * WINDOW);
	CHECK(given(WINDOWS - 1, 1));
	return atomic_load(&w.calls) - 1;
}

TEST(the_second_small_read_from_a_window_gives_all_of_it)
{
	begin();
	for (unsigned n = 0; n < WINDOWS; n++)
		note((uint64_t)n * WINDOW);
	for (unsigned n = 0; n < WINDOWS; n++) {
		note((uint64_t)n * WINDOW + 4096);
		CHECK(given(n, 1));
	}
	CHECK_INT(w.calls, WINDOWS);
	end();
}

TEST(a_window_that_the_kernel_has_lost_is_given_again)
{
	begin();
	for (unsigned times = 1; times <= 3; times++) {
		note(3 * WINDOW);
		note(3 * WINDOW + 8192);
		CHECK(given(3, times));
	}
	end();
}

TEST(who_reads_far_apart_is_given_nothing)
{
	begin();
	for (uint64_t i = 0; i < 100000; i++) /* of a very long file */
		shale_fill_note(w.fill, INO, UINT64_C(1) << 50, i * 77 * WINDOW,
				4096);
	CHECK_INT(calls_so_far(), 0);
	end();
}

/* Reads of a long file, `together` to a window: how many are far from others.
 */
static unsigned far_ones(unsigned from, unsigned n, unsigned together)
{
	unsigned far = 0;

	for (uint64_t i = from; i < from + n; i++)
		far += shale_fill_note(w.fill, INO, UINT64_C(1) << 50,
				       i / together * 7 * WINDOW + i % 8 * 4096,
				       4096);
	return far;
}

TEST(reads_are_far_from_others_until_many_come_close)
{
	begin();
	CHECK_INT(far_ones(0, 10000, 1), 10000);
	/* Pairs: the first ones, until they are too many. */
	unsigned far = far_ones(200000, 10000, 2);
	CHECK(far > 10);
	CHECK(far < 300);
	CHECK_INT(far_ones(300000, 1000, 2), 0);
	/* And again, when that is long ago. */
	far = far_ones(400000, 10000, 1);
	CHECK(far > 8000);
	CHECK(far < 10000);
	end();
}

TEST(what_is_not_small_or_not_of_a_long_file_is_not_far)
{
	begin();
	CHECK(!shale_fill_note(w.fill, INO, SIZE, 0, SHALE_FILL_SMALL + 1));
	CHECK(!shale_fill_note(w.fill, INO, 2 * WINDOW, 0, 4096));
	CHECK(!shale_fill_note(NULL, INO, SIZE, 0, 4096));
	CHECK(shale_fill_note(w.fill, INO, SIZE, 0, SHALE_FILL_SMALL));
	CHECK(!shale_fill_note(w.fill, INO, SIZE, 0, SHALE_FILL_SMALL));
	/* Where windows cannot be given, chunks are wanted again. */
	shale_fill_to(w.fill, NULL, NULL);
	CHECK_INT(far_ones(0, 100, 1), 0);
	end();
}

TEST(long_reads_and_short_files_are_the_kernels_to_read_ahead)
{
	begin();
	for (unsigned i = 0; i < 10; i++) {
		shale_fill_note(w.fill, INO, SIZE, 0, SHALE_FILL_SMALL + 1);
		shale_fill_note(w.fill, INO, 2 * WINDOW, 0, 4096);
	}
	shale_fill_note(NULL, INO, SIZE, 0, 4096);
	shale_fill_free(NULL);
	CHECK_INT(calls_so_far(), 0);
	end();
}

TEST(files_are_told_apart)
{
	begin();
	shale_fill_note(w.fill, INO, SIZE, 0, 4096);
	shale_fill_note(w.fill, INO + 1, SIZE, 0, 4096);
	shale_fill_note(w.fill, INO, SIZE, WINDOW, 4096);
	CHECK_INT(calls_so_far(), 0);
	end();
}

TEST(a_connection_that_fails_is_not_tried_again)
{
	begin();
	w.says = -ENODEV;
	CHECK_INT(calls_so_far(), 0);
	for (unsigned i = 0; i < 100; i++)
		note(i / 2 % WINDOWS * WINDOW);
	shale_fill_to(w.fill, NULL, NULL);
	CHECK_INT(w.calls, 1);
	end();
}

TEST(nothing_is_given_after_the_end)
{
	begin();
	note(0);
	shale_fill_to(w.fill, NULL, NULL);
	note(0);
	note(0);
	note(0);
	shale_fill_free(w.fill);
	w.fill = NULL;
	CHECK_INT(w.calls, 0);
	end();
}

TEST(a_window_with_damage_is_left_to_who_reads_it)
{
	char path[400], hex[SHALE_DIGEST_HEX + 1];
	uint8_t byte = (uint8_t)~0;

	begin();
	shale_hex(hex, w.blob.b, sizeof(w.blob.b));
	snprintf(path, sizeof(path), "blobs/sha256/%s", hex);
	cleanup_fd int fd = openat(w.dir, path, O_RDWR | O_CLOEXEC);
	byte ^= w.bytes[CHUNK + 9]; /* in the first two windows */
	CHECK(pwrite(fd, &byte, 1, CHUNK + 9) == 1);
	for (unsigned n = 0; n < 3; n++) {
		note((uint64_t)n * WINDOW);
		note((uint64_t)n * WINDOW);
	}
	CHECK(given(2, 1));
	CHECK_INT(calls_so_far(), 1);
	end();
}
