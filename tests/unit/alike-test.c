/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/base/cleanup.h"
#include "layers/chunk/cut.h"
#include "layers/ops/alike.h"
#include "tests/lib/check.h"
#include "tests/lib/workshop.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { LEN = 20 * MIB, PLACES = LEN / SHALE_CHUNK_MIN };

static struct image parent;
static struct shale_image below;
static uint8_t *old;

static void make_parent(void)
{
	open_store();
	old = noise(LEN, 5);
	begin_image(NULL, 0, 2);
	add_file(1, copy_of(old, LEN), LEN, MIB);
	end_image(&parent);
	below = (struct shale_image){
		.trees = &parent.tree, .n_trees = 1, .chunks = chunks};
}

static void drop_parent(void)
{
	shale_tree_close(parent.tree);
	close_store();
	free(old);
}

static int file_of(const uint8_t *data, size_t len)
{
	int fd = openat(dir, "file", O_RDWR | O_CREAT | O_TRUNC, 0600);
	CHECK(fd >= 0);
	for (size_t at = 0; at < len; at += MIB) {
		size_t n = len - at < MIB ? len - at : MIB;
		CHECK(pwrite(fd, data + at, n, (off_t)at) == (ssize_t)n);
	}
	return fd;
}

/* What is found of the file, each place checked. */
static size_t find(int fd, const uint8_t *data, size_t len, unsigned threads,
		   struct shale_alike_chunk *out)
{
	struct shale_alike *alike =
		shale_alike_new(fd, &below, 1, chunks, threads);
	uint64_t end = 0;
	size_t n = 0;
	CHECK(alike);
	while (shale_alike_next(alike, &out[n])) {
		const struct shale_alike_chunk *c = &out[n];
		struct shale_chunk chunk;
		CHECK(n < PLACES - 1 && c->off >= end);
		end = c->off + c->len;
		CHECK(end <= len);
		CHECK_MEM(data + c->off, old + c->off, c->len);
		CHECK_OK(shale_tree_chunk(c->tree, c->number, &chunk, &err));
		struct shale_hash128 hash = shale_xxh128(data + c->off, c->len);
		CHECK_INT(chunk.len, c->len);
		CHECK_MEM(chunk.hash.b, hash.b, sizeof(hash.b));
		n++;
	}
	CHECK(!shale_alike_next(alike, &out[n]));
	shale_alike_free(alike);
	return n;
}

/* How many bytes that is. */
static uint64_t bytes_of(const struct shale_alike_chunk *list, size_t n)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < n; i++)
		sum += list[i].len;
	return sum;
}

static void same_list(const struct shale_alike_chunk *a,
		      const struct shale_alike_chunk *b, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		CHECK_INT(a[i].off, b[i].off);
		CHECK_INT(a[i].number, b[i].number);
		CHECK_INT(a[i].ends, b[i].ends);
	}
}

static struct shale_alike_chunk one[PLACES], many[PLACES];

TEST(all_that_did_not_change_is_found_however_many_threads_look)
{
	make_parent();
	uint8_t *data = copy_of(old, LEN);
	for (size_t i = 0; i < 5; i++)
		memset(data + i * 4 * MIB + 100000 * i, 'x', 1 + 30000 * i);
	cleanup_fd int fd = file_of(data, LEN);
	size_t n = find(fd, data, LEN, 1, one);
	CHECK(bytes_of(one, n) + 5 * (2 * SHALE_CHUNK_MAX) >= LEN);
	CHECK(bytes_of(one, n) <= LEN - 5);
	for (unsigned threads = 2; threads < 9; threads += 3) {
		CHECK_INT(find(fd, data, LEN, threads, many), n);
		same_list(one, many, n);
	}
	free(data);
	drop_parent();
}

TEST(a_file_that_got_longer_or_shorter_is_alike_as_far_as_both_go)
{
	make_parent();
	uint8_t *data = malloc(LEN + MIB);
	memcpy(data, old, LEN);
	memset(data + LEN, 'x', MIB);
	cleanup_fd int fd = file_of(data, LEN + MIB);
	size_t n = find(fd, data, LEN + MIB, 2, one);
	CHECK_INT(bytes_of(one, n), LEN);
	CHECK(ftruncate(fd, LEN / 2 + 1) == 0);
	n = find(fd, data, LEN / 2 + 1, 2, one);
	CHECK(bytes_of(one, n) + SHALE_CHUNK_MAX >= LEN / 2);
	free(data);
	drop_parent();
}

TEST(a_file_that_has_nothing_in_common_is_soon_given_up)
{
	make_parent();
	uint8_t *data = noise(LEN, 6);
	memcpy(data + LEN - 2 * MIB, old + LEN - 2 * MIB, 2 * MIB);
	cleanup_fd int fd = file_of(data, LEN);
	CHECK_INT(find(fd, data, LEN, 2, one), 0);
	free(data);
	drop_parent();
}

TEST(a_chunk_of_the_parent_that_is_damaged_is_like_nothing)
{
	char path[14 + SHALE_DIGEST_HEX] = "blobs/sha256/";
	struct shale_chunk bad;
	uint8_t byte;
	make_parent();
	CHECK_OK(shale_tree_chunk(parent.tree, 20, &bad, &err));
	shale_hex(path + 13, parent.data_digest.b, 32);
	cleanup_fd int blob = openat(dir, path, O_RDWR);
	off_t at = (off_t)bad.off + bad.stored / 2;
	CHECK(pread(blob, &byte, 1, at) == 1);
	byte ^= 4;
	CHECK(pwrite(blob, &byte, 1, at) == 1);

	cleanup_fd int fd = file_of(old, LEN);
	size_t n = find(fd, old, LEN, 2, one);
	CHECK_INT(bytes_of(one, n), LEN - bad.len);
	drop_parent();
}

TEST(a_file_that_ends_while_it_is_compared_is_no_harm)
{
	make_parent();
	cleanup_fd int fd = file_of(old, LEN);
	struct shale_alike *alike = shale_alike_new(fd, &below, 1, chunks, 2);
	struct shale_alike_chunk c;
	CHECK(alike && shale_alike_next(alike, &c));
	CHECK(ftruncate(fd, 3 * MIB) == 0);
	while (shale_alike_next(alike, &c))
		CHECK(c.off + c.len <= LEN);
	CHECK_INT(shale_alike_stat(alike)->st_size, LEN);
	shale_alike_free(alike);
	drop_parent();
}

TEST(who_has_seen_enough_need_not_wait_for_the_rest)
{
	make_parent();
	cleanup_fd int fd = file_of(old, LEN);
	struct shale_alike_chunk c;
	for (int i = 0; i < 20; i++) {
		struct shale_alike *alike =
			shale_alike_new(fd, &below, 1, chunks, 3);
		CHECK(alike);
		for (int j = 0; j < i; j++)
			CHECK(shale_alike_next(alike, &c));
		shale_alike_free(alike);
	}
	drop_parent();
}

TEST(small_files_sparse_ones_and_others_are_not_compared)
{
	make_parent();
	cleanup_fd int small = file_of(old, SHALE_ALIKE_FROM - 1);
	CHECK(!shale_alike_new(small, &below, 1, chunks, 2));
	cleanup_fd int sparse = file_of(old, MIB);
	CHECK(ftruncate(sparse, LEN) == 0);
	CHECK(!shale_alike_new(sparse, &below, 1, chunks, 2));
	CHECK(!shale_alike_new(dir, &below, 1, chunks, 2));
	cleanup_fd int fd = file_of(old, LEN);
	CHECK(!shale_alike_new(fd, &below, 99, chunks, 2));
	drop_parent();
}
