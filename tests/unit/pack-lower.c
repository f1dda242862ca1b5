/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/base/cleanup.h"
#include "tests/lib/check.h"
#include "tests/lib/workshop.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

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
