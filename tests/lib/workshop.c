/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/workshop.h"

#include "layers/base/cleanup.h"
#include "layers/blob/tree_check.h"
#include "tests/lib/check.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

int dir;
struct shale_blobs *blobs;
struct shale_chunks *chunks;
struct shale_tree_build *build;
struct shale_pack *pack;
struct shale_err err;

struct fed fed[FILES];

void open_store(void)
{
	dir = shale_test_blobs();
	CHECK_OK(shale_blobs_open(&blobs, dir, &err));
	CHECK_OK(shale_chunks_new(&chunks, blobs, 1 << 20, &err));
}

void close_store(void)
{
	shale_chunks_free(chunks);
	shale_blobs_close(blobs);
	close(dir);
	for (size_t i = 0; i < FILES; i++) {
		free(fed[i].data);
		fed[i] = (struct fed){0};
	}
}

unsigned tmp_files(void)
{
	unsigned n = 0;
	DIR *d = fdopendir(openat(dir, "tmp", O_RDONLY | O_DIRECTORY));
	for (struct dirent *e; (e = readdir(d));)
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

void begin_image(struct shale_tree *const *lower, size_t n, unsigned threads)
{
	struct shale_pack_opts opts = {SHALE_CODEC_DEFAULT, threads, lower, n};
	CHECK_OK(shale_tree_build_new(&build, &err));
	CHECK_OK(shale_pack_new(&pack, blobs, chunks, build, &opts, &err));
}

void add_inode(uint64_t ino, uint64_t size, bool patch)
{
	struct shale_inode in = {.attr = {.ino = ino,
					  .mode = S_IFREG | 0644,
					  .nlink = 1,
					  .size = size},
				 .content = patch ? SHALE_CONTENT_PATCHED
						  : SHALE_CONTENT_REPLACED,
				 .limit = patch ? size : 0};
	CHECK_OK(shale_tree_build_inode(build, &in, &err));
}

void add_file(uint64_t ino, uint8_t *data, size_t len, size_t step)
{
	CHECK(ino < FILES);
	if (fed[ino].data != data)
		free(fed[ino].data);
	fed[ino] = (struct fed){data, len};
	CHECK_OK(shale_pack_begin(pack, ino, &err));
	for (size_t at = 0; at < len;) {
		size_t n = len - at < step ? len - at : step;
		CHECK_OK(shale_pack_write(pack, data + at, n, &err));
		at += n;
	}
	CHECK_OK(shale_pack_end(pack, &err));
	add_inode(ino, len, false);
}

void end_image(struct image *image)
{
	struct shale_blob_tmp tmp;
	uint64_t size;
	*image = (struct image){0};
	CHECK_OK(shale_pack_finish(pack, &tmp, &image->size, &image->stats,
				   &err));
	shale_pack_free(pack);
	image->has_data = tmp.fd >= 0;
	if (image->has_data) {
		struct shale_digest got;
		image->data_digest = tmp.digest;
		CHECK_OK(shale_sha256_fd(tmp.fd, &got, &size, &err));
		CHECK(shale_digest_equal(&got, &tmp.digest));
		CHECK_INT(size, image->size);
		CHECK_INT(size, image->stats.stored);
		CHECK_OK(shale_blobs_publish(blobs, &tmp, 1, &err));
		close(tmp.fd);
	}
	CHECK_INT(tmp_files(), 0);

	cleanup_fd int fd = memfd_create("tree", MFD_CLOEXEC);
	CHECK_OK(shale_tree_build_finish(build, fd, FILES, &image->tree_digest,
					 &size, &err));
	shale_tree_build_free(build);
	CHECK_OK(shale_tree_open(&image->tree, fd, "tree", &err));
	CHECK_OK(shale_tree_check(image->tree, &err));
}

void read_extent(const struct shale_tree *tree, const struct shale_extent *e,
		 uint8_t *out)
{
	for (uint64_t done = 0; done < e->len;) {
		struct shale_chunk c;
		uint32_t at, at_off;
		CHECK_OK(shale_tree_chunk_seek(tree, e->chunk,
					       e->chunk_off + done, &at,
					       &at_off, &err));
		CHECK_OK(shale_tree_chunk(tree, at, &c, &err));
		uint64_t n = c.len - at_off;
		if (n > e->len - done)
			n = e->len - done;
		CHECK_OK(shale_chunks_read(chunks, &c, at_off, (uint32_t)n,
					   out + done, &err));
		done += n;
	}
}

uint64_t count_extents(const struct shale_tree *tree, uint64_t ino)
{
	uint64_t first, n;
	CHECK_OK(shale_tree_extents_of(tree, ino, &first, &n, &err));
	return n;
}

struct shale_extent nth_extent(const struct shale_tree *tree, uint64_t ino,
			       uint64_t i)
{
	struct shale_extent e;
	uint64_t first, n;
	CHECK_OK(shale_tree_extents_of(tree, ino, &first, &n, &err));
	CHECK(i < n);
	CHECK_OK(shale_tree_extent(tree, first + i, &e, &err));
	return e;
}

void compare_files(const struct image *image)
{
	for (uint64_t ino = 0; ino < FILES; ino++) {
		if (!fed[ino].data)
			continue;
		uint8_t *got = calloc(1, fed[ino].len + 1);
		uint64_t n = count_extents(image->tree, ino);
		for (uint64_t i = 0; i < n; i++) {
			struct shale_extent e = nth_extent(image->tree, ino, i);
			CHECK(e.chunk != SHALE_HOLE);
			CHECK(e.off + e.len <= fed[ino].len);
			read_extent(image->tree, &e, got + e.off);
		}
		CHECK_MEM(got, fed[ino].data, fed[ino].len);
		free(got);
	}
}

static uint64_t lcg;

uint8_t *noise(size_t len, uint64_t seed)
{
	uint8_t *data = malloc(len + 8);
	lcg = seed * 7919 + 1;
	for (size_t i = 0; i < len; i++) {
		lcg = lcg * UINT64_C(6364136223846793005) + 1442695040888963407;
		data[i] = (uint8_t)(i % 3 ? lcg >> 56 : 1 + (lcg >> 60));
	}
	return data;
}

uint8_t *copy_of(const uint8_t *data, size_t len)
{
	uint8_t *copy = malloc(len + 8);
	memcpy(copy, data, len);
	return copy;
}

uint8_t *holey(size_t len, uint64_t seed)
{
	uint8_t *data = noise(len, seed);
	for (unsigned i = 0; len && i < 1 + len / 20000; i++) {
		size_t at = shale_test_random() % len;
		size_t n = shale_test_random() % (i % 3 ? 9000 : 50000);
		if (i % 2)
			at &= ~(size_t)4095;
		memset(data + at, 0, n < len - at ? n : len - at);
	}
	return data;
}

void make_mixed(struct image *image, unsigned threads, size_t step)
{
	begin_image(NULL, 0, threads);
	for (unsigned i = 1; i <= 300; i++) {
		size_t len = i % 25 == 0 ? 300000 + i * 1000 : i * 37;
		uint64_t seed = i % 5 == 0 ? i / 2 : i;
		uint8_t *data = noise(len, seed);
		if (i % 6 == 0)
			memset(data + len / 4, 0, len / 2);
		add_file(i, data, len, step);
	}
	add_file(301, noise(6 * MIB, 301), 6 * MIB, step);
	add_file(302, copy_of(fed[301].data, 6 * MIB), 6 * MIB, step);
	for (unsigned i = 303; i < 400; i++) /* in old packs by now */
		add_file(i, copy_of(fed[i - 300].data, fed[i - 300].len),
			 fed[i - 300].len, step);
	end_image(image);
}
