/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/base/cleanup.h"
#include "layers/chunk/cut.h"
#include "layers/chunk/gear.h"
#include "tests/lib/check.h"
#include "tests/lib/workshop.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

/*
 * Content that comes again in another file, in the row of a lower tree's chunks
 * or beside it: always cut as if nothing had been there to follow.
 */

enum { LEN = 6 * MIB, ENDS = 8 * MIB / SHALE_CHUNK_MIN };

/* What becomes of the parent's file. */
struct variant {
	uint8_t *data;
	size_t len;
};

static struct variant blank(size_t len)
{
	return (struct variant){malloc(len + 8), len};
}

static struct variant unchanged(const uint8_t *old)
{
	return (struct variant){copy_of(old, LEN), LEN};
}

static struct variant inserted(const uint8_t *old)
{
	struct variant v = blank(LEN + 2005);
	size_t at = LEN / 3;
	memcpy(v.data, old, at);
	memset(v.data + at, '+', 2005);
	memcpy(v.data + at + 2005, old + at, LEN - at);
	return v;
}

static struct variant deleted(const uint8_t *old)
{
	struct variant v = blank(LEN - 300007);
	memcpy(v.data, old, LEN / 2);
	memcpy(v.data + LEN / 2, old + LEN / 2 + 300007,
	       LEN - LEN / 2 - 300007);
	return v;
}

static struct variant shuffled(const uint8_t *old)
{
	struct variant v = blank(LEN);
	size_t piece = LEN / 5;
	for (size_t i = 0; i < 5; i++)
		memcpy(v.data + i * piece, old + (i * 2 % 5) * piece, piece);
	memcpy(v.data + 5 * piece, old + 5 * piece, LEN - 5 * piece);
	return v;
}

static struct variant truncated(const uint8_t *old)
{
	return (struct variant){copy_of(old, LEN), LEN / 2 + 12345};
}

static struct variant lengthened(const uint8_t *old)
{
	struct variant v = blank(LEN + MIB);
	uint8_t *more = noise(MIB, 77);
	memcpy(v.data, old, LEN);
	memcpy(v.data + LEN, more, MIB);
	free(more);
	return v;
}

static struct variant overwritten(const uint8_t *old)
{
	struct variant v = unchanged(old);
	for (size_t i = 0; i < 9; i++)
		memset(v.data + i * (LEN / 9) + i * 1001, 'x', 1 + i * 9000);
	return v;
}

static struct variant punched(const uint8_t *old)
{
	struct variant v = unchanged(old);
	memset(v.data + LEN / 4, 0, 3 * 4096);
	memset(v.data + LEN / 2 + 100, 0, 200000);
	return v;
}

/* What ended in the middle of a chunk goes on. */
static struct variant doubled(const uint8_t *old)
{
	struct variant v = blank(LEN + MIB);
	memcpy(v.data, old, LEN);
	memcpy(v.data + LEN, old, MIB);
	return v;
}

static const struct {
	struct variant (*make)(const uint8_t *old);
	size_t parts; /* places at which the row is left */
	size_t lost;  /* at most, of what earlier versions cut into other,
		       * longer chunks: those of a file that are in their
		       * places are known at once, others in time */
} variants[] = {
	{unchanged, 0, 0},
	{inserted, 1, LEN - 2 * MIB},
	{deleted, 1, LEN / 2},
	{shuffled, 5, LEN - MIB},
	{truncated, 1, 256 * KIB},
	{lengthened, 1, 256 * KIB},
	{overwritten, 9, 9 * 288 * KIB},
	{punched, 2, 2 * 384 * KIB},
	{doubled, 1, 512 * KIB},
};
enum { VARIANTS = sizeof(variants) / sizeof(variants[0]) };

/* Where in the file its chunks end. */
static size_t ends_of(const struct image *image, uint64_t ino, uint64_t *ends)
{
	uint64_t extents = count_extents(image->tree, ino);
	size_t n = 0;
	for (uint64_t i = 0; i < extents; i++) {
		struct shale_extent e = nth_extent(image->tree, ino, i);
		uint64_t off = e.off, end = e.off + e.len, skip = e.chunk_off;
		for (uint32_t at = e.chunk; off < end; at++, skip = 0) {
			struct shale_chunk c;
			CHECK_OK(shale_tree_chunk(image->tree, at, &c, &err));
			CHECK(n < ENDS && skip < c.len);
			off += c.len - skip < end - off ? c.len - skip
							: end - off;
			ends[n++] = off;
		}
	}
	return n;
}

static void pack_one(struct image *out, struct shale_tree *const *lower,
		     size_t n, const struct variant *v, unsigned threads,
		     size_t step)
{
	begin_image(lower, n, threads);
	add_file(1, copy_of(v->data, v->len), v->len, step);
	end_image(out);
	compare_files(out);
}

static void make_parent(struct image *parent, uint8_t **old)
{
	open_store();
	*old = noise(LEN, 5);
	struct variant v = unchanged(*old);
	pack_one(parent, NULL, 0, &v, 2, MIB);
	free(v.data);
}

static void drop(struct image *image)
{
	shale_tree_close(image->tree);
}

static void check_variant(const struct image *parent, const uint8_t *old,
			  size_t i)
{
	static uint64_t want[ENDS], got[ENDS];
	struct variant v = variants[i].make(old);
	struct image plain, one, many;

	pack_one(&plain, NULL, 0, &v, 2, MIB);
	size_t n = ends_of(&plain, 1, want);
	CHECK_INT(plain.stats.followed, 0);

	pack_one(&one, &parent->tree, 1, &v, 1, MIB);
	CHECK_INT(ends_of(&one, 1, got), n);
	CHECK_MEM(got, want, n * sizeof(*got));
	/* The first chunk is found, and where the row was left some more. */
	size_t lost = (4 * variants[i].parts + 1) * (128 * KIB);
	size_t known = v.len < LEN ? v.len : LEN;
	CHECK(one.stats.followed + lost >= known);
	CHECK(one.stats.shared >= one.stats.followed);

	pack_one(&many, &parent->tree, 1, &v, 4, 4001);
	CHECK(shale_digest_equal(&one.tree_digest, &many.tree_digest));
	CHECK_INT(one.size, many.size);
	CHECK(shale_digest_equal(&one.data_digest, &many.data_digest));
	CHECK_INT(one.stats.followed, many.stats.followed);
	drop(&plain);
	drop(&one);
	drop(&many);
	free(v.data);
}

TEST(what_follows_a_row_is_cut_as_if_there_were_none)
{
	struct image parent;
	uint8_t *old;
	make_parent(&parent, &old);
	for (size_t i = 0; i < VARIANTS; i++)
		check_variant(&parent, old, i);
	free(old);
	drop(&parent);
	close_store();
}

/* A layer that says of changed content what it shares and what is new has all
 * in one row, so who comes after it follows that. */
TEST(the_newest_layer_is_followed_through_what_it_shares)
{
	struct image a, b, c;
	uint8_t *old;
	make_parent(&a, &old);
	struct variant v = overwritten(old);
	pack_one(&b, &a.tree, 1, &v, 2, MIB);
	CHECK(b.stats.new_chunks > 0);

	struct shale_tree *both[] = {a.tree, b.tree};
	pack_one(&c, both, 2, &v, 2, MIB);
	CHECK(!c.has_data);
	CHECK_INT(c.stats.new_chunks, 0);
	CHECK(c.stats.followed + SHALE_CHUNK_MAX >= v.len);
	free(v.data);
	free(old);
	drop(&a);
	drop(&b);
	drop(&c);
	close_store();
}

TEST(a_damaged_chunk_of_the_row_is_stored_anew_and_the_rest_is_shared)
{
	struct image a, b;
	struct shale_chunk bad;
	char path[14 + SHALE_DIGEST_HEX] = "blobs/sha256/";
	uint8_t *old, byte;
	make_parent(&a, &old);
	CHECK_OK(shale_tree_chunk(a.tree, 20, &bad, &err));
	shale_hex(path + 13, a.data_digest.b, 32);
	int fd = openat(dir, path, O_RDWR);
	CHECK(pread(fd, &byte, 1, (off_t)bad.off + bad.stored / 2) == 1);
	byte ^= 4;
	CHECK(pwrite(fd, &byte, 1, (off_t)bad.off + bad.stored / 2) == 1);
	close(fd);

	struct variant v = unchanged(old);
	pack_one(&b, &a.tree, 1, &v, 2, MIB);
	CHECK_INT(b.stats.new_chunks, 1);
	CHECK_INT(b.stats.shared, LEN - bad.len);
	CHECK(b.stats.followed + SHALE_CHUNK_MAX >= LEN);
	free(v.data);
	free(old);
	drop(&a);
	drop(&b);
	close_store();
}

static size_t cut_by_length(const uint8_t *data, size_t len)
{
	(void)data;
	return len < 50000 ? len : 50000;
}

/* As shale_cut() did before its chunks became shorter. */
static size_t cut_longer(const uint8_t *data, size_t len)
{
	uint64_t hash = 0;
	if (len > 256 * KIB)
		len = 256 * KIB;
	for (size_t i = 16 * KIB; i < len; i++) {
		hash = (hash << 1) + shale_gear[data[i]];
		if (!(hash << 1 >> (64 - (i < 64 * KIB ? 18 : 14))))
			return i + 1;
	}
	return len;
}

/* A tree of inode 1 whose chunks have `image`'s bytes, and the hashes of the
 * chunks of `data` as `cut` cuts it. */
static struct shale_tree *liar(const struct image *image, const uint8_t *data,
			       size_t len,
			       size_t (*cut)(const uint8_t *, size_t))
{
	struct shale_tree *tree;
	struct shale_digest digest;
	struct shale_chunk c;
	uint32_t blob, number;
	uint64_t size;

	CHECK_OK(shale_tree_build_new(&build, &err));
	CHECK_OK(shale_tree_chunk(image->tree, 0, &c, &err));
	CHECK_OK(shale_tree_build_blob(build, &c.blob, c.blob_size, &blob,
				       &err));
	for (size_t at = 0, i = 0; at < len; i++) {
		size_t n = cut(data + at, len - at);
		CHECK_OK(shale_tree_chunk(image->tree, i, &c, &err));
		c.len = (uint32_t)n;
		if (c.codec == SHALE_CODEC_NONE)
			c.stored = c.len;
		c.hash = shale_xxh128(data + at, n);
		CHECK_OK(
			shale_tree_build_chunk(build, &c, blob, &number, &err));
		struct shale_extent e = {
			.ino = 1, .off = at, .len = n, .chunk = number};
		CHECK_OK(shale_tree_build_extent(build, &e, NULL, &err));
		at += n;
	}
	add_inode(1, len, false);
	cleanup_fd int fd = memfd_create("tree", MFD_CLOEXEC);
	CHECK_OK(shale_tree_build_finish(build, fd, 100, &digest, &size, &err));
	shale_tree_build_free(build);
	CHECK_OK(shale_tree_open(&tree, fd, "liar", &err));
	return tree;
}

TEST(a_row_of_equal_hashes_over_other_bytes_is_not_believed)
{
	static uint64_t want[ENDS], got[ENDS];
	struct image a, plain, b;
	uint8_t *old;
	make_parent(&a, &old);
	struct variant v = {noise(2 * MIB, 6), 2 * MIB};
	struct shale_tree *tree = liar(&a, v.data, v.len, shale_cut);
	pack_one(&plain, NULL, 0, &v, 2, MIB);
	pack_one(&b, &tree, 1, &v, 2, MIB);
	CHECK(b.stats.followed > MIB);
	CHECK_INT(b.stats.shared, 0);
	CHECK_INT(b.size, plain.size);
	CHECK_INT(ends_of(&b, 1, got), ends_of(&plain, 1, want));
	free(v.data);
	free(old);
	shale_tree_close(tree);
	drop(&plain);
	drop(&a);
	drop(&b);
	close_store();
}

TEST(a_row_that_was_cut_elsewhere_is_not_followed)
{
	static uint64_t want[ENDS], got[ENDS];
	struct image a, plain, b;
	uint8_t *old;
	make_parent(&a, &old);
	struct variant v = {noise(2 * MIB, 6), 2 * MIB};
	struct shale_tree *tree = liar(&a, v.data, v.len, cut_by_length);
	pack_one(&plain, NULL, 0, &v, 2, MIB);
	pack_one(&b, &tree, 1, &v, 2, 4001);
	CHECK_INT(b.stats.followed, 0);
	size_t n = ends_of(&plain, 1, want);
	CHECK_INT(ends_of(&b, 1, got), n);
	CHECK_MEM(got, want, n * sizeof(*got));
	free(v.data);
	free(old);
	shale_tree_close(tree);
	drop(&plain);
	drop(&a);
	drop(&b);
	close_store();
}

/* An image of `old` as earlier versions cut it: the chunks of a row that is
 * followed, but has other bytes, are stored anew. */
static void make_earlier(struct image *earlier, const uint8_t *old)
{
	struct image other;
	struct variant v = {noise(LEN, 8), LEN};
	pack_one(&other, NULL, 0, &v, 2, MIB);
	free(v.data);

	v = unchanged(old);
	struct shale_tree *row = liar(&other, old, LEN, cut_longer);
	pack_one(earlier, &row, 1, &v, 2, MIB);
	CHECK_INT(earlier->stats.shared, 0);
	CHECK_INT(earlier->stats.followed, LEN);
	free(v.data);
	shale_tree_close(row);
	drop(&other);
}

static void check_longest(const struct image *image, uint32_t above)
{
	struct shale_chunk c;
	uint32_t longest = 0;
	uint64_t n = shale_tree_count(image->tree, SHALE_TREE_CHUNKS);
	for (uint64_t i = 0; i < n; i++) {
		CHECK_OK(shale_tree_chunk(image->tree, i, &c, &err));
		longest = c.len > longest ? c.len : longest;
	}
	CHECK(longest > above);
}

TEST(what_an_earlier_version_cut_into_longer_chunks_is_shared)
{
	struct image earlier, one, many;
	uint8_t *old = noise(LEN, 5);
	open_store();
	make_earlier(&earlier, old);
	check_longest(&earlier, 2 * SHALE_CHUNK_MAX);
	for (size_t i = 0; i < VARIANTS; i++) {
		struct variant v = variants[i].make(old);
		pack_one(&one, &earlier.tree, 1, &v, 1, MIB);
		CHECK(one.stats.shared + variants[i].lost >=
		      (v.len < LEN ? v.len : LEN));
		pack_one(&many, &earlier.tree, 1, &v, 4, 4001);
		CHECK(shale_digest_equal(&one.tree_digest, &many.tree_digest));
		CHECK_INT(one.size, many.size);
		drop(&one);
		drop(&many);
		free(v.data);
	}
	free(old);
	drop(&earlier);
	close_store();
}

/* A file that was replaced while it was read begins anew, with other bytes. */
TEST(a_file_that_is_begun_again_follows_from_its_start)
{
	struct image a, b;
	uint8_t *old;
	make_parent(&a, &old);
	begin_image(&a.tree, 1, 2);
	CHECK_OK(shale_pack_begin(pack, 2, &err));
	CHECK_OK(shale_pack_write(pack, old, LEN / 2, &err));
	CHECK_OK(shale_pack_end(pack, &err));
	CHECK_OK(shale_tree_build_forget(build, 2, &err));
	struct variant v = inserted(old);
	add_file(1, copy_of(v.data, v.len), v.len, MIB);
	end_image(&b);
	compare_files(&b);
	CHECK_INT(count_extents(b.tree, 2), 0);
	CHECK(b.stats.followed + 5 * SHALE_CHUNK_MAX >= LEN + LEN / 2);
	free(v.data);
	free(old);
	drop(&a);
	drop(&b);
	close_store();
}
