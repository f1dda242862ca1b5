/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/mount/push.h"

#include "layers/base/buf.h"
#include "layers/base/cleanup.h"
#include "tests/lib/check.h"
#include "tests/unit/layers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/*
 * An image of N small files, inodes 2 and up, eight to a chunk, and what a
 * kernel would have been given of them.
 */
enum { N = 1200, FIRST = 2, LEN = 3000, A_CHUNK = 8, WAIT_S = 60 };

static struct world {
	struct layers layers;
	struct shale_blobs *blobs;
	int dir; /* of these */
	struct shale_image image;
	struct shale_digest blob;
	uint8_t bytes[N][LEN];
	struct shale_push *push;
	atomic_bool has[N]; /* the kernel has it */
	atomic_uint calls, wrong;
	atomic_int says;   /* what the kernel answers */
	atomic_uint known; /* inodes that it knows are below */
} w;

static uint32_t len_of(unsigned i)
{
	return 1 + i * 37 % LEN;
}

static void add_files(struct shale_buf *stored, uint32_t blob, unsigned from)
{
	struct shale_err err;
	struct shale_chunk chunk = {.codec = SHALE_CODEC_NONE,
				    .off = stored->len};
	uint32_t number, off = 0;

	for (unsigned i = from; i < from + A_CHUNK; i++) {
		for (unsigned k = 0; k < len_of(i); k++)
			w.bytes[i][k] = (uint8_t)shale_test_random();
		CHECK_INT(shale_buf_append(stored, w.bytes[i], len_of(i)), 0);
		chunk.len += len_of(i);
	}
	chunk.stored = chunk.len;
	chunk.hash = shale_xxh128(stored->data + chunk.off, chunk.len);
	shale_sha256(stored->data + chunk.off, chunk.len, &chunk.sha256);
	CHECK_OK(shale_tree_build_chunk(w.layers.top, &chunk, blob, &number,
					&err));
	for (unsigned i = from; i < from + A_CHUNK; i++) {
		struct shale_extent e = {.ino = FIRST + i,
					 .len = len_of(i),
					 .chunk = number,
					 .chunk_off = off};
		CHECK_OK(shale_tree_build_extent(w.layers.top, &e, NULL, &err));
		off += len_of(i);
	}
}

static void make_image(void)
{
	cleanup_buf struct shale_buf stored = {0};
	struct shale_err err;
	uint32_t blob;
	char name[16];

	w.layers = layers_begin(FIRST + N);
	layers_inode(&w.layers, 1, S_IFDIR | 0755);
	for (unsigned i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "f%05u", i);
		layers_content(&w.layers, FIRST + i, SHALE_CONTENT_REPLACED,
			       len_of(i), 0);
		layers_name(&w.layers, 1, name, FIRST + i, S_IFREG);
	}
	CHECK_OK(shale_tree_build_blob(w.layers.top, NULL, 0, &blob, &err));
	for (unsigned i = 0; i < N; i += A_CHUNK)
		add_files(&stored, blob, i);
	CHECK_OK(shale_blobs_put(w.blobs, stored.data, stored.len, &w.blob,
				 &err));
	shale_tree_build_own_blob(w.layers.top, &w.blob, stored.len);
	layers_push(&w.layers);
	w.image.trees = w.layers.tree;
	w.image.n_trees = w.layers.n;
	w.image.index = layers_index(&w.layers);
}

/* What the kernel does with a file. */
static int store(void *arg, uint64_t ino, uint64_t off, const void *data,
		 size_t len)
{
	unsigned i = (unsigned)(ino - FIRST);
	int says = atomic_load(&w.says);

	(void)arg;
	atomic_fetch_add(&w.calls, 1);
	if (off || i >= N || len != len_of(i) ||
	    memcmp(data, w.bytes[i], len) != 0)
		atomic_fetch_add(&w.wrong, 1);
	if (says == 0 && i >= atomic_load(&w.known))
		says = -ENOENT;
	if (says == 0)
		atomic_store(&w.has[i], true);
	return says;
}

static void begin(void)
{
	struct shale_err err;

	memset(&w, 0, sizeof(w));
	w.dir = shale_test_blobs();
	CHECK_OK(shale_blobs_open(&w.blobs, w.dir, &err));
	CHECK_OK(shale_chunks_new(&w.image.chunks, w.blobs, 4 << 20, &err));
	make_image();
	w.known = N;
	CHECK_OK(shale_push_new(&w.push, &w.image, &err));
	shale_push_to(w.push, store, NULL);
}

static void end(void)
{
	shale_push_free(w.push);
	CHECK_INT(w.wrong, 0);
	shale_index_close(w.image.index);
	shale_chunks_free(w.image.chunks);
	shale_blobs_close(w.blobs);
	close(w.dir);
	layers_end(&w.layers);
}

/* Has anything been pushed at or behind file `i`?  Waits for it. */
static bool pushed_from(unsigned i)
{
	const struct timespec pause = {.tv_nsec = 200000};
	time_t until = time(NULL) + WAIT_S;

	while (time(NULL) < until) {
		for (unsigned k = i; k < N; k++)
			if (atomic_load(&w.has[k]))
				return true;
		nanosleep(&pause, NULL);
	}
	return false;
}

TEST(who_reads_in_a_row_asks_for_few_files)
{
	unsigned asked = 0;

	begin();
	for (unsigned i = 0; i < N; i++) {
		if (atomic_load(&w.has[i]))
			continue;
		shale_push_note(w.push, FIRST + i);
		asked++;
		if (i >= 4 && i < N - 300)
			CHECK(pushed_from(i + 1));
	}
	CHECK(asked >= 4 && asked < N / 2);
	end();
}

TEST(who_reads_here_and_there_is_given_nothing)
{
	begin();
	for (unsigned i = 0; i < 3 * N; i++) /* none is near one of the last */
		shale_push_note(w.push, FIRST + i * 149 % N);
	for (unsigned i = N; i-- > 0;)
		shale_push_note(w.push, FIRST + i);
	shale_push_to(w.push, NULL, NULL);
	CHECK_INT(w.calls, 0);
	end();
}

TEST(what_the_kernel_does_not_know_ends_a_window)
{
	begin();
	w.known = 0;
	for (unsigned i = 0; i < 200; i++)
		shale_push_note(w.push, FIRST + i);
	shale_push_to(w.push, NULL, NULL);
	CHECK(w.calls <= 200 / 4);
	w.known = N;
	shale_push_to(w.push, store, NULL);
	for (unsigned i = 200; i < 210; i++)
		shale_push_note(w.push, FIRST + i);
	CHECK(pushed_from(205));
	end();
}

TEST(a_connection_that_fails_is_not_tried_again)
{
	begin();
	w.says = -ENODEV;
	for (unsigned i = 0; i < N; i++)
		shale_push_note(w.push, FIRST + i);
	shale_push_to(w.push, NULL, NULL);
	CHECK(w.calls <= 1);
	end();
}

TEST(nothing_is_pushed_after_the_end)
{
	begin();
	for (unsigned i = 0; i < 20; i++)
		shale_push_note(w.push, FIRST + i);
	shale_push_to(w.push, NULL, NULL);
	unsigned calls = w.calls;
	for (unsigned i = 20; i < N; i++)
		shale_push_note(w.push, FIRST + i);
	shale_push_note(NULL, FIRST);
	shale_push_free(NULL);
	CHECK_INT(w.calls, calls);
	end();
}

TEST(files_of_a_damaged_chunk_are_left_to_who_reads_them)
{
	char path[400], hex[SHALE_DIGEST_HEX + 1];
	uint8_t byte;

	begin();
	shale_hex(hex, w.blob.b, sizeof(w.blob.b));
	snprintf(path, sizeof(path), "blobs/sha256/%s", hex);
	cleanup_fd int fd = openat(w.dir, path, O_RDWR | O_CLOEXEC);
	off_t at = 0;
	for (unsigned i = 0; i < 5 * A_CHUNK; i++)
		at += len_of(i); /* in the sixth chunk */
	CHECK(pread(fd, &byte, 1, at) == 1);
	byte ^= 1;
	CHECK(pwrite(fd, &byte, 1, at) == 1);
	for (unsigned i = 0; i < 10; i++)
		shale_push_note(w.push, FIRST + i);
	CHECK(pushed_from(6 * A_CHUNK));
	shale_push_to(w.push, NULL, NULL);
	for (unsigned i = 5 * A_CHUNK; i < 6 * A_CHUNK; i++)
		CHECK(!w.has[i]);
	end();
}
