/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/blob/pack.h"

#include "layers/base/cleanup.h"
#include "layers/blob/tree_check.h"
#include "layers/chunk/cut.h"
#include "tests/lib/check.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

enum { KIB = 1024, MIB = 1024 * 1024, FILES = 4096 };

/* ----------------------------------------------------------- the workshop */

static int dir;
static struct shale_blobs *blobs;
static struct shale_chunks *chunks;
static struct shale_tree_build *build;
static struct shale_pack *pack;
static struct shale_err err;

/* What was fed: kept to be compared with what comes back. */
static struct fed {
	uint8_t *data;
	size_t len;
} fed[FILES];

struct image {
	struct shale_tree *tree;
	struct shale_digest tree_digest, data_digest;
	bool has_data;
	uint64_t size;
	struct shale_pack_stats stats;
};

static void open_store(void)
{
	static unsigned n;
	char path[300];
	snprintf(path, sizeof(path), "%s/pack%u", shale_test_dir(), n++);
	CHECK(mkdir(path, 0700) == 0);
	dir = open(path, O_RDONLY | O_DIRECTORY);
	CHECK(mkdirat(dir, "blobs", 0700) == 0);
	CHECK(mkdirat(dir, "blobs/sha256", 0700) == 0);
	CHECK(mkdirat(dir, "tmp", 0700) == 0);
	CHECK_OK(shale_blobs_open(&blobs, dir, &err));
	CHECK_OK(shale_chunks_new(&chunks, blobs, 1 << 20, &err));
}

static void close_store(void)
{
	shale_chunks_free(chunks);
	shale_blobs_close(blobs);
	close(dir);
	for (size_t i = 0; i < FILES; i++) {
		free(fed[i].data);
		fed[i] = (struct fed){0};
	}
}

static unsigned tmp_files(void)
{
	unsigned n = 0;
	DIR *d = fdopendir(openat(dir, "tmp", O_RDONLY | O_DIRECTORY));
	for (struct dirent *e; (e = readdir(d));)
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

static void begin_image(struct shale_tree *const *lower, size_t n,
			unsigned threads)
{
	struct shale_pack_opts opts = {SHALE_CODEC_DEFAULT, threads, lower, n};
	CHECK_OK(shale_tree_build_new(&build, &err));
	CHECK_OK(shale_pack_new(&pack, blobs, chunks, build, &opts, &err));
}

static void add_inode(uint64_t ino, uint64_t size, bool patch)
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

/* Feed `data`, which the workshop owns from here on, in pieces of up to `step`.
 */
static void add_file(uint64_t ino, uint8_t *data, size_t len, size_t step)
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

static void end_image(struct image *image)
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

/* Content of one extent, through as many chunks as it has. */
static void read_extent(const struct shale_tree *tree,
			const struct shale_extent *e, uint8_t *out)
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

static uint64_t count_extents(const struct shale_tree *tree, uint64_t ino)
{
	uint64_t first, n;
	CHECK_OK(shale_tree_extents_of(tree, ino, &first, &n, &err));
	return n;
}

static struct shale_extent nth_extent(const struct shale_tree *tree,
				      uint64_t ino, uint64_t i)
{
	struct shale_extent e;
	uint64_t first, n;
	CHECK_OK(shale_tree_extents_of(tree, ino, &first, &n, &err));
	CHECK(i < n);
	CHECK_OK(shale_tree_extent(tree, first + i, &e, &err));
	return e;
}

/* Every file that was fed comes back. */
static void compare_files(const struct image *image)
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

/* -------------------------------------------------------------- materials */

static uint64_t lcg;

/* Compressible noise that `seed` decides. */
static uint8_t *noise(size_t len, uint64_t seed)
{
	uint8_t *data = malloc(len + 8);
	lcg = seed * 7919 + 1;
	for (size_t i = 0; i < len; i++) {
		lcg = lcg * UINT64_C(6364136223846793005) + 1442695040888963407;
		data[i] = (uint8_t)(i % 3 ? lcg >> 56 : 1 + (lcg >> 60));
	}
	return data;
}

static uint8_t *copy_of(const uint8_t *data, size_t len)
{
	uint8_t *copy = malloc(len + 8);
	memcpy(copy, data, len);
	return copy;
}

/* Noise with runs of zeros of all lengths and alignments. */
static uint8_t *holey(size_t len, uint64_t seed)
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

static size_t random_size(unsigned i)
{
	static const size_t edges[] = {
		1,           4095,    4096,    4097,       32767,  32768,
		32769,       131072,  131073,  262143,     262144, 262145,
		1048576 - 1, 1048576, 1048577, 3 * 1048576};
	if (i < sizeof(edges) / sizeof(edges[0]))
		return edges[i];
	return shale_test_random() % (i % 7 == 0 ? 700000 : 20000);
}

/* ------------------------------------------------------------------ tests */

TEST(files_of_all_sizes_come_back_as_they_were)
{
	struct image image;
	open_store();
	begin_image(NULL, 0, 2);
	for (unsigned i = 0; i < 250; i++) {
		size_t len = random_size(i);
		uint8_t *data = i % 2 ? noise(len, i) : holey(len, i);
		add_file(i + 1, data, len, 1 + shale_test_random() % 300000);
	}
	end_image(&image);
	compare_files(&image);
	shale_tree_close(image.tree);
	close_store();
}

/* One mixed image, with duplicates near and far. */
static void make_mixed(struct image *image, unsigned threads, size_t step)
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

TEST(the_same_files_give_the_same_bytes_with_any_number_of_threads)
{
	struct image a, b, c;
	open_store();
	make_mixed(&a, 1, 1 << 20);
	compare_files(&a);
	make_mixed(&b, 4, 1 << 20);
	make_mixed(&c, 3, 4001);
	CHECK_INT(a.size, b.size);
	CHECK(shale_digest_equal(&a.data_digest, &b.data_digest));
	CHECK(shale_digest_equal(&a.tree_digest, &b.tree_digest));
	CHECK(shale_digest_equal(&a.data_digest, &c.data_digest));
	CHECK(shale_digest_equal(&a.tree_digest, &c.tree_digest));
	CHECK_INT(a.stats.shared, b.stats.shared);
	CHECK(a.stats.shared >= 6 * MIB);
	shale_tree_close(a.tree);
	shale_tree_close(b.tree);
	shale_tree_close(c.tree);
	close_store();
}

TEST(content_that_comes_again_is_stored_once)
{
	struct image image;
	size_t big = 5 * MIB;
	open_store();
	begin_image(NULL, 0, 2);
	add_file(1, noise(big, 1), big, MIB);
	add_file(2, noise(5000, 2), 5000, MIB);
	add_file(3, copy_of(fed[2].data, 5000), 5000, MIB); /* open pack */
	for (unsigned i = 4; i < 40; i++)
		add_file(i, noise(30000, i), 30000, MIB);
	add_file(40, copy_of(fed[1].data, big), big, MIB); /* long written */
	add_file(41, copy_of(fed[5].data, 30000), 30000, MIB);
	add_file(42, copy_of(fed[1].data, big), big, MIB);
	end_image(&image);
	compare_files(&image);
	CHECK_INT(image.stats.shared, 2 * big + 5000 + 30000);
	CHECK_INT(image.stats.content, 3 * big + 2 * 5000 + 36 * 30000 + 30000);
	CHECK(image.size < big + 37 * 30000 + 1000);
	/* The copy is a run of the same chunks: one extent, as the first. */
	CHECK_INT(count_extents(image.tree, 1), 1);
	CHECK_INT(count_extents(image.tree, 40), 1);
	shale_tree_close(image.tree);
	close_store();
}

TEST(many_small_files_share_chunks_and_none_spans_two)
{
	struct image image;
	open_store();
	begin_image(NULL, 0, 2);
	for (unsigned i = 1; i <= 1000; i++)
		add_file(i, noise(1000 + i, i), 1000 + i, MIB);
	end_image(&image);
	compare_files(&image);
	uint64_t n = shale_tree_count(image.tree, SHALE_TREE_CHUNKS);
	CHECK(n >= 12 && n <= 13);
	CHECK_INT(image.stats.new_chunks, n);
	CHECK_INT(shale_tree_count(image.tree, SHALE_TREE_PACKED), 1000);
	shale_tree_close(image.tree);
	close_store();
}

TEST(zeros_are_not_stored_and_files_of_zeros_make_no_blob)
{
	struct image image;
	open_store();
	begin_image(NULL, 0, 2);
	add_file(1, calloc(1, 3 * MIB), 3 * MIB, 100000);
	add_file(2, calloc(1, 5000), 5000, 7);
	add_file(3, calloc(1, 1), 1, 1);
	add_file(4, calloc(1, 1), 0, 1);
	end_image(&image);
	CHECK(!image.has_data);
	CHECK_INT(image.size, 0);
	CHECK_INT(shale_tree_count(image.tree, SHALE_TREE_EXTENTS), 0);
	CHECK_INT(shale_tree_count(image.tree, SHALE_TREE_BLOBS), 0);
	CHECK_INT(image.stats.content, 3 * MIB + 5001);
	compare_files(&image);
	shale_tree_close(image.tree);
	close_store();
}

TEST(holes_are_aligned_to_4_kib_of_the_file)
{
	struct image image;
	uint8_t *data = noise(40960, 1);
	memset(data, 1, 40960);
	memset(data + 4095, 0, 8194); /* two whole blocks, a byte either side */
	memset(data + 30000, 0, 6000); /* no whole block */
	open_store();
	begin_image(NULL, 0, 1);
	add_file(1, data, 40960, 1000);
	end_image(&image);
	compare_files(&image);
	CHECK_INT(count_extents(image.tree, 1), 2);
	struct shale_extent e = nth_extent(image.tree, 1, 0);
	CHECK(e.off == 0 && e.len == 4096);
	e = nth_extent(image.tree, 1, 1);
	CHECK_INT(e.off, 12288);
	shale_tree_close(image.tree);
	close_store();
}

TEST(a_hole_of_petabytes_costs_nothing)
{
	const uint64_t huge = UINT64_C(1) << 60;
	struct image image;
	uint8_t *data = noise(200000, 1), *got = malloc(200000);
	open_store();
	begin_image(NULL, 0, 2);
	CHECK_OK(shale_pack_begin(pack, 1, &err));
	CHECK_OK(shale_pack_hole(pack, huge, &err));
	CHECK_OK(shale_pack_write(pack, data, 200000, &err));
	CHECK_OK(shale_pack_hole(pack, huge, &err));
	CHECK_OK(shale_pack_write(pack, data, 10, &err));
	CHECK_OK(shale_pack_hole(pack, 5 * huge, &err));
	CHECK_INT(shale_pack_hole(pack, huge, &err), -EFBIG);
	shale_pack_free(pack);
	shale_tree_build_free(build);

	begin_image(NULL, 0, 2);
	CHECK_OK(shale_pack_begin(pack, 1, &err));
	CHECK_OK(shale_pack_hole(pack, huge, &err));
	CHECK_OK(shale_pack_write(pack, data, 200000, &err));
	CHECK_OK(shale_pack_hole(pack, huge, &err));
	CHECK_OK(shale_pack_end(pack, &err));
	add_inode(1, 2 * huge + 200000, false);
	end_image(&image);
	CHECK_INT(count_extents(image.tree, 1), 1);
	struct shale_extent e = nth_extent(image.tree, 1, 0);
	CHECK(e.off == huge && e.len == 200000);
	read_extent(image.tree, &e, got);
	CHECK_MEM(got, data, 200000);
	free(data);
	free(got);
	shale_tree_close(image.tree);
	close_store();
}

static void check_extent(const struct image *image, uint64_t i, uint64_t off,
			 uint64_t len, bool hole)
{
	struct shale_extent e = nth_extent(image->tree, 1, i);
	CHECK_INT(e.off, off);
	CHECK_INT(e.len, len);
	CHECK_INT(e.chunk == SHALE_HOLE, hole);
}

TEST(a_patch_says_its_holes_and_leaves_out_what_it_skips)
{
	struct image image;
	uint8_t *data = noise(8192, 1), zeros[8192] = {0};
	open_store();
	begin_image(NULL, 0, 2);
	CHECK_OK(shale_pack_begin(pack, 1, &err));
	shale_pack_patch(pack);
	CHECK_OK(shale_pack_skip(pack, 1 << 20, &err));
	CHECK_OK(shale_pack_write(pack, data, 8192, &err));
	CHECK_OK(shale_pack_write(pack, zeros, 8192, &err));
	CHECK_OK(shale_pack_hole(pack, 1 << 30, &err)); /* joins the zeros */
	CHECK_OK(shale_pack_write(pack, zeros, 4096, &err));
	CHECK_OK(shale_pack_write(pack, data, 4096, &err));
	CHECK_OK(shale_pack_skip(pack, 4096, &err));
	CHECK_OK(shale_pack_hole(pack, 4096, &err));
	CHECK_OK(shale_pack_skip(pack, 4096, &err));
	CHECK_OK(shale_pack_write(pack, zeros, 100, &err)); /* the tail */
	CHECK_OK(shale_pack_end(pack, &err));
	uint64_t at = 1 << 20;
	add_inode(1, UINT64_C(1) << 40, true);
	end_image(&image);

	CHECK_INT(count_extents(image.tree, 1), 5);
	check_extent(&image, 0, at, 8192, false);
	check_extent(&image, 1, at + 8192, 12288 + (1 << 30), true);
	at += 8192 + 12288 + (1 << 30);
	check_extent(&image, 2, at, 4096, false);
	check_extent(&image, 3, at + 8192, 4096, true);
	check_extent(&image, 4, at + 16384, 100, true);
	free(data);
	shale_tree_close(image.tree);
	close_store();
}

enum { PATCHED = 4 * MIB, BELOW = 0xee };

/* One random call at `at`, done to the model as well.  Returns its length. */
static size_t random_call(uint8_t *model, size_t at)
{
	uint64_t dice = shale_test_random();
	size_t len = (dice >> 8) % (dice % 5 ? 20000 : 300000);
	if (dice % 3 == 0)
		len &= ~(size_t)4095;
	if (len > PATCHED - at)
		len = PATCHED - at;
	if (dice % 7 < 2) {
		CHECK_OK(shale_pack_skip(pack, len, &err));
	} else if (dice % 7 < 4) {
		memset(model + at, 0, len);
		CHECK_OK(shale_pack_hole(pack, len, &err));
	} else {
		uint8_t *data = dice % 7 < 6 ? holey(len, dice % 50)
					     : calloc(1, len + 1);
		memcpy(model + at, data, len);
		CHECK_OK(shale_pack_write(pack, data, len, &err));
		free(data);
	}
	return len;
}

TEST(random_patches_over_old_content_give_what_a_model_gives)
{
	uint8_t *model = malloc(PATCHED), *got = malloc(PATCHED);
	open_store();
	for (unsigned round = 0; round < 12; round++) {
		struct image image;
		memset(model, BELOW, PATCHED);
		memset(got, BELOW, PATCHED);
		begin_image(NULL, 0, 1 + round % 3);
		CHECK_OK(shale_pack_begin(pack, 1, &err));
		shale_pack_patch(pack);
		for (size_t at = 0; at < PATCHED;)
			at += random_call(model, at);
		CHECK_OK(shale_pack_end(pack, &err));
		add_inode(1, PATCHED, true);
		end_image(&image);
		uint64_t n = count_extents(image.tree, 1);
		for (uint64_t i = 0; i < n; i++) {
			struct shale_extent e = nth_extent(image.tree, 1, i);
			if (e.chunk == SHALE_HOLE)
				memset(got + e.off, 0, e.len);
			else
				read_extent(image.tree, &e, got + e.off);
		}
		CHECK_MEM(got, model, PATCHED);
		shale_tree_close(image.tree);
	}
	free(model);
	free(got);
	close_store();
}

TEST(calls_of_no_bytes_change_nothing)
{
	struct image a, b;
	uint8_t *data = noise(50000, 1);
	struct shale_chunk chunk = {.len = 1};
	open_store();
	begin_image(NULL, 0, 2);
	add_file(1, copy_of(data, 50000), 50000, MIB);
	end_image(&a);
	begin_image(NULL, 0, 2);
	CHECK_OK(shale_pack_begin(pack, 1, &err));
	for (unsigned i = 0; i < 5; i++) {
		CHECK_OK(shale_pack_write(pack, data + i * 10000, 10000, &err));
		CHECK_OK(shale_pack_write(pack, NULL, 0, &err));
		CHECK_OK(shale_pack_hole(pack, 0, &err));
		CHECK_OK(shale_pack_skip(pack, 0, &err));
		CHECK_OK(shale_pack_refer(pack, &chunk, 0, 0, NULL, &err));
	}
	CHECK_OK(shale_pack_end(pack, &err));
	add_inode(1, 50000, false);
	end_image(&b);
	CHECK(shale_digest_equal(&a.tree_digest, &b.tree_digest));
	free(data);
	shale_tree_close(a.tree);
	shale_tree_close(b.tree);
	close_store();
}

TEST(what_a_lower_tree_has_is_not_stored_again)
{
	struct image a, b;
	open_store();
	make_mixed(&a, 2, MIB);
	begin_image(&a.tree, 1, 2);
	for (unsigned i = 399; i > 0; i--) /* in another order */
		add_file(i, fed[i].data, fed[i].len, MIB);
	end_image(&b);
	compare_files(&b);
	CHECK(!b.has_data);
	CHECK_INT(b.stats.new_chunks, 0);
	CHECK_INT(shale_tree_count(b.tree, SHALE_TREE_BLOBS), 1);
	shale_tree_close(a.tree);
	shale_tree_close(b.tree);
	close_store();
}

TEST(an_insertion_into_a_big_file_adds_little)
{
	struct image a, b;
	size_t len = 8 * MIB;
	open_store();
	begin_image(NULL, 0, 2);
	add_file(1, noise(len, 1), len, MIB);
	end_image(&a);

	uint8_t *more = malloc(len + 5);
	memcpy(more, fed[1].data, len / 2);
	memcpy(more + len / 2, "added", 5);
	memcpy(more + len / 2 + 5, fed[1].data + len / 2, len - len / 2);
	begin_image(&a.tree, 1, 2);
	add_file(1, more, len + 5, MIB);
	end_image(&b);
	compare_files(&b);
	CHECK(b.has_data && b.size < 600000);
	CHECK_INT(b.stats.shared + 600000 > len, true);
	shale_tree_close(a.tree);
	shale_tree_close(b.tree);
	close_store();
}

/* Feed again what image `a` has, when its data cannot be read any more; in
 * another order, so that the new blob is another one. */
static void store_anew(const struct image *a)
{
	struct image b;
	shale_chunks_free(chunks);
	CHECK_OK(shale_chunks_new(&chunks, blobs, 1 << 20, &err));
	begin_image(&a->tree, 1, 2);
	for (unsigned i = 3; i > 0; i--)
		add_file(i, fed[i].data, fed[i].len, MIB);
	end_image(&b);
	CHECK(b.has_data);
	CHECK_INT(b.stats.shared, 0);
	compare_files(&b);
	shale_tree_close(b.tree);
}

static void make_three(struct image *image)
{
	begin_image(NULL, 0, 2);
	add_file(1, noise(40000, 1), 40000, MIB);
	add_file(2, noise(4000, 2), 4000, MIB);
	add_file(3, noise(900000, 3), 900000, MIB);
	end_image(image);
}

static void blob_path(const struct image *image, char *path)
{
	memcpy(path, "blobs/sha256/", 13);
	shale_hex(path + 13, image->data_digest.b, 32);
}

TEST(a_candidate_whose_blob_is_gone_is_stored_anew)
{
	struct image a;
	char path[14 + SHALE_DIGEST_HEX];
	open_store();
	make_three(&a);
	blob_path(&a, path);
	CHECK(unlinkat(dir, path, 0) == 0);
	shale_blobs_close(blobs);
	CHECK_OK(shale_blobs_open(&blobs, dir, &err));
	store_anew(&a);
	shale_tree_close(a.tree);
	close_store();
}

TEST(a_candidate_that_is_damaged_is_stored_anew)
{
	struct image a;
	char path[14 + SHALE_DIGEST_HEX];
	open_store();
	make_three(&a);
	blob_path(&a, path);
	int fd = openat(dir, path, O_RDWR);
	uint8_t *data = malloc(a.size);
	CHECK(pread(fd, data, a.size, 0) == (ssize_t)a.size);
	for (size_t i = 16; i < a.size; i += 1000)
		data[i] ^= 1;
	CHECK(pwrite(fd, data, a.size, 0) == (ssize_t)a.size);
	close(fd);
	free(data);
	store_anew(&a);
	shale_tree_close(a.tree);
	close_store();
}

/* A tree that claims to have content with the hash of fed[2], over other bytes
 * of image `a`. */
static struct shale_tree *liar(const struct image *a)
{
	struct shale_tree *tree;
	struct shale_digest digest;
	struct shale_chunk chunk;
	uint32_t blob, number;
	uint64_t size;
	struct shale_hash128 hash = shale_xxh128(fed[2].data, fed[2].len);

	CHECK_OK(shale_tree_build_new(&build, &err));
	CHECK_OK(shale_tree_chunk(a->tree, 0, &chunk, &err));
	CHECK_OK(shale_tree_build_blob(build, &chunk.blob, chunk.blob_size,
				       &blob, &err));
	CHECK_OK(shale_tree_build_chunk(build, &chunk, blob, &number, &err));
	struct shale_extent e = {
		.ino = 7, .len = fed[2].len, .chunk = number, .chunk_off = 50};
	add_inode(7, e.len, false);
	CHECK_OK(shale_tree_build_extent(build, &e, &hash, &err));
	cleanup_fd int fd = memfd_create("tree", MFD_CLOEXEC);
	CHECK_OK(shale_tree_build_finish(build, fd, 100, &digest, &size, &err));
	shale_tree_build_free(build);
	CHECK_OK(shale_tree_open(&tree, fd, "liar", &err));
	return tree;
}

TEST(equal_hashes_over_other_bytes_are_not_believed)
{
	struct image a, b;
	open_store();
	make_three(&a);
	struct shale_tree *tree = liar(&a);
	begin_image(&tree, 1, 2);
	add_file(2, fed[2].data, fed[2].len, MIB);
	end_image(&b);
	CHECK(b.has_data);
	CHECK_INT(b.stats.shared, 0);
	free(fed[1].data);
	free(fed[3].data);
	fed[1].data = fed[3].data = NULL;
	compare_files(&b);
	shale_tree_close(tree);
	shale_tree_close(a.tree);
	shale_tree_close(b.tree);
	close_store();
}

TEST(a_reference_takes_over_content_without_reading_it)
{
	struct image a, b;
	struct shale_chunk chunk;
	uint8_t *got = malloc(900000);
	open_store();
	make_three(&a);
	struct shale_extent whole = nth_extent(a.tree, 3, 0);
	CHECK_OK(shale_tree_chunk(a.tree, whole.chunk, &chunk, &err));

	begin_image(NULL, 0, 2);
	CHECK_OK(shale_pack_begin(pack, 3, &err));
	CHECK_OK(shale_pack_refer(pack, &chunk, 0, chunk.len, NULL, &err));
	CHECK_OK(shale_pack_write(pack, "between", 7, &err));
	CHECK_OK(shale_pack_refer(pack, &chunk, 100, 1000, NULL, &err));
	CHECK_OK(shale_pack_end(pack, &err));
	add_inode(3, chunk.len + 1007, false);
	end_image(&b);
	CHECK_INT(count_extents(b.tree, 3), 3);
	for (unsigned i = 0; i < 3; i++) {
		struct shale_extent e = nth_extent(b.tree, 3, i);
		read_extent(b.tree, &e, got + e.off);
	}
	CHECK_MEM(got, fed[3].data, chunk.len);
	CHECK_MEM(got + chunk.len, "between", 7);
	CHECK_MEM(got + chunk.len + 7, fed[3].data + 100, 1000);
	CHECK_INT(b.stats.shared, chunk.len + 1000);
	CHECK_INT(shale_tree_count(b.tree, SHALE_TREE_BLOBS), 2);
	free(got);
	shale_tree_close(a.tree);
	shale_tree_close(b.tree);
	close_store();
}

TEST(a_packer_may_be_dropped_at_any_moment)
{
	uint8_t *data = noise(3 * MIB, 1);
	open_store();
	for (unsigned i = 0; i < 60; i++) {
		begin_image(NULL, 0, 1 + i % 3);
		CHECK_OK(shale_pack_begin(pack, 1, &err));
		CHECK_OK(shale_pack_write(pack, data, i * 50000, &err));
		if (i % 2) {
			CHECK_OK(shale_pack_end(pack, &err));
			CHECK_OK(shale_pack_begin(pack, 2, &err));
			CHECK_OK(shale_pack_write(pack, data, i * 500, &err));
		}
		shale_pack_free(pack);
		shale_tree_build_free(build);
		CHECK_INT(tmp_files(), 0);
	}
	shale_pack_free(NULL);
	free(data);
	close_store();
}

/* Feed until an error comes out, as a full disk gives one. */
static int feed_until_error(void)
{
	int r = 0;
	for (uint64_t i = 1; r == 0 && i < 200; i++) {
		uint8_t *data = noise(i % 2 ? 100000 : 1000, i);
		r = shale_pack_begin(pack, i, &err);
		if (r == 0)
			r = shale_pack_write(pack, data, i % 2 ? 100000 : 1000,
					     &err);
		if (r == 0)
			r = shale_pack_end(pack, &err);
		free(data);
	}
	return r;
}

TEST(an_error_of_the_writer_reaches_the_feeder_and_stays)
{
	struct rlimit old, small = {1 << 20, 1 << 20};
	struct shale_blob_tmp tmp;
	struct shale_pack_stats stats;
	uint64_t size;
	open_store();
	signal(SIGXFSZ, SIG_IGN);
	CHECK(getrlimit(RLIMIT_FSIZE, &old) == 0);
	small.rlim_max = old.rlim_max;
	begin_image(NULL, 0, 2);
	CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
	int r = feed_until_error();
	CHECK(setrlimit(RLIMIT_FSIZE, &old) == 0);
	CHECK_INT(r, -EFBIG);
	CHECK(strstr(err.msg, "data blob"));
	shale_pack_free(pack);
	shale_tree_build_free(build);

	begin_image(NULL, 0, 2);
	CHECK_OK(shale_pack_begin(pack, 1, &err));
	CHECK_OK(shale_pack_end(pack, &err));
	CHECK(unlinkat(dir, "tmp", AT_REMOVEDIR) == 0);
	feed_until_error();
	CHECK_INT(shale_pack_finish(pack, &tmp, &size, &stats, &err), -ENOENT);
	shale_pack_free(pack);
	shale_tree_build_free(build);
	close_store();
}

TEST(every_codec_packs_and_comes_back)
{
	static const char *const codecs[] = {"none", "lz4hc:3", "zstd:1"};
	for (unsigned i = 0; i < 3; i++) {
		struct shale_pack_opts opts = {.threads = 2};
		struct image image;
		if (shale_codec_parse(codecs[i], &opts.codec, &err) < 0)
			continue;
		open_store();
		CHECK_OK(shale_tree_build_new(&build, &err));
		CHECK_OK(shale_pack_new(&pack, blobs, chunks, build, &opts,
					&err));
		for (unsigned k = 1; k < 40; k++) {
			size_t len = k * k * 300;
			add_file(k, holey(len, k), len, MIB);
		}
		end_image(&image);
		compare_files(&image);
		shale_tree_close(image.tree);
		close_store();
	}
}

TEST(equal_small_files_beyond_counting_do_not_pile_up)
{
	struct image image;
	open_store();
	begin_image(NULL, 0, 2);
	for (unsigned i = 1; i <= 20000; i++) {
		CHECK_OK(shale_pack_begin(pack, i, &err));
		CHECK_OK(shale_pack_write(pack, "the same", 8, &err));
		CHECK_OK(shale_pack_end(pack, &err));
	}
	struct shale_blob_tmp tmp;
	CHECK_OK(
		shale_pack_finish(pack, &tmp, &image.size, &image.stats, &err));
	CHECK_INT(image.stats.new_chunks, 1);
	CHECK_INT(image.stats.shared, 19999 * 8);
	CHECK_INT(shale_tree_build_count(build, SHALE_TREE_EXTENTS), 20000);
	close(tmp.fd);
	shale_blobs_abandon(blobs, tmp.name);
	shale_pack_free(pack);
	shale_tree_build_free(build);
	close_store();
}
