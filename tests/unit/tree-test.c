/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/base/buf.h"
#include "layers/base/io.h"
#include "layers/blob/tree_build.h"
#include "layers/blob/tree_check.h"
#include "tests/lib/check.h"
#include "tests/lib/table_sums.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static struct shale_err err;

/* ------------------------------------------------------- a tree to look at */

enum {
	DIR_INO = 1,
	BIG = 2,    /* three chunks, then a hole, then half a chunk */
	SMALL = 3,  /* packed */
	SMALL2 = 4, /* packed, the same content */
	LINK = 5,
	DEVICE = 6,
	PATCH = 7, /* two holes, joined, a bit of a chunk, two clones, joined */
	DEAD = 8,
	COPY = 9, /* a clone of the beginning of BIG */
	NEXT = 20,
	CHUNK = 1000, /* bytes of content */
};

static struct shale_hash128 hash_of(uint64_t n)
{
	return shale_xxh128(&n, sizeof(n));
}

static struct shale_chunk chunk_at(uint64_t off)
{
	struct shale_chunk c = {.len = CHUNK,
				.stored = 500,
				.codec = SHALE_CODEC_LZ4,
				.off = off,
				.hash = hash_of(off / 1000)};
	memset(c.sha256.b, (int)(off / 500), sizeof(c.sha256.b));
	return c;
}

static void add_inode(struct shale_tree_build *b, uint64_t ino, uint32_t mode,
		      uint64_t size, enum shale_content_kind content,
		      const struct shale_buf *xattrs)
{
	struct shale_inode in = {
		.attr = {.ino = ino,
			 .mode = mode,
			 .uid = 1000,
			 .gid = 100,
			 .nlink = 1,
			 .size = size,
			 .mtime = {-5, 999999999}},
		.content = content,
		.limit = content == SHALE_CONTENT_PATCHED ? 700 : 0,
		.target = S_ISLNK(mode) ? "../target" : NULL,
		.xattrs = xattrs ? xattrs->data : NULL,
		.xattr_len = xattrs ? (uint32_t)xattrs->len : 0,
	};
	if (S_ISCHR(mode)) {
		in.attr.rdev_major = 0xabcdef01;
		in.attr.rdev_minor = 7;
	}
	CHECK_OK(shale_tree_build_inode(b, &in, &err));
}

static void add_inodes(struct shale_tree_build *b, int step)
{
	struct shale_buf xattrs = {0};

	CHECK_OK(shale_xattr_append(&xattrs, "user.b", "22", 2, &err));
	CHECK_OK(shale_xattr_append(&xattrs, "user.a", "1", 1, &err));
	for (int i = step > 0 ? DIR_INO : COPY; i >= DIR_INO && i <= COPY;
	     i += step) {
		switch (i) {
		case DIR_INO:
			add_inode(b, i, S_IFDIR | 0755, 0, 0, &xattrs);
			break;
		case BIG:
			add_inode(b, i, S_IFREG | 04755, 5000,
				  SHALE_CONTENT_REPLACED, NULL);
			break;
		case SMALL:
		case SMALL2:
			add_inode(b, i, S_IFREG | 0644, 100,
				  SHALE_CONTENT_REPLACED, &xattrs);
			break;
		case LINK:
			add_inode(b, i, S_IFLNK | 0777, 9, 0, NULL);
			break;
		case DEVICE:
			add_inode(b, i, S_IFCHR | 0600, 0, 0, NULL);
			break;
		case PATCH:
			add_inode(b, i, S_IFREG | 0600, 4096,
				  SHALE_CONTENT_PATCHED, NULL);
			break;
		case COPY:
			add_inode(b, i, S_IFREG, 50, SHALE_CONTENT_REPLACED,
				  NULL);
			break;
		default:
			add_inode(b, i, 0, 0, 0, NULL);
		}
	}
	shale_buf_release(&xattrs);
}

static void add_name(struct shale_tree_build *b, uint64_t dir, const char *name,
		     uint64_t ino, uint32_t mode)
{
	struct shale_dirent d = {.dir = dir,
				 .ino = ino,
				 .name = name,
				 .name_len = (uint16_t)strlen(name),
				 .type = (uint8_t)(mode >> 12)};
	CHECK_OK(shale_tree_build_dirent(b, &d, &err));
}

static void add_names(struct shale_tree_build *b, int step)
{
	static const struct {
		const char *name;
		uint64_t ino;
		uint32_t mode;
	} names[] = {
		{"big", BIG, S_IFREG},
		{"bi", SMALL, S_IFREG},
		{"bigger", SMALL2, S_IFREG},
		{"link", LINK, S_IFLNK},
		{"\xff\x80", DEVICE, S_IFCHR},
		{"patch", PATCH, S_IFREG},
		{"dead", 0, 0},
		{".x", PATCH, S_IFREG},
	};
	int n = sizeof(names) / sizeof(names[0]);

	for (int i = step > 0 ? 0 : n - 1; i >= 0 && i < n; i += step)
		add_name(b, DIR_INO, names[i].name, names[i].ino,
			 names[i].mode);
}

static void add_extent(struct shale_tree_build *b, uint64_t ino, uint64_t off,
		       uint64_t len, uint32_t chunk, uint32_t chunk_off,
		       const struct shale_hash128 *packed)
{
	struct shale_extent e = {ino, off, len, chunk, chunk_off, 0, 0};
	CHECK_OK(shale_tree_build_extent(b, &e, packed, &err));
}

static void add_clone(struct shale_tree_build *b, uint64_t ino, uint64_t off,
		      uint64_t len, uint64_t from, uint64_t from_off)
{
	struct shale_extent e = {.ino = ino,
				 .off = off,
				 .len = len,
				 .chunk = SHALE_CLONE,
				 .clone_ino = from,
				 .clone_off = from_off};
	CHECK_OK(shale_tree_build_extent(b, &e, NULL, &err));
}

static void add_extents(struct shale_tree_build *b, uint64_t ino)
{
	struct shale_hash128 hash = hash_of(77);

	switch (ino) {
	case BIG:
		add_extent(b, BIG, 0, CHUNK, 0, 0, NULL);
		add_extent(b, BIG, 1000, CHUNK, 1, 0, NULL);
		add_extent(b, BIG, 2000, 300, 2, 0, NULL);
		add_extent(b, BIG, 2300, 700, 2, 300, NULL);
		add_extent(b, BIG, 4500, 500, 0, 500, NULL);
		break;
	case SMALL:
	case SMALL2:
		add_extent(b, ino, 0, 100, 3, ino == SMALL ? 0 : 100, &hash);
		break;
	case PATCH:
		add_extent(b, PATCH, 100, 50, SHALE_HOLE, 0, NULL);
		add_extent(b, PATCH, 150, 50, SHALE_HOLE, 0, NULL);
		add_extent(b, PATCH, 200, 10, 3, 990, NULL);
		add_clone(b, PATCH, 300, 20, BIG, 4000);
		add_clone(b, PATCH, 320, 30, BIG, 4020);
		break;
	case COPY:
		add_clone(b, COPY, 0, 50, BIG, 0);
		break;
	}
}

/* Chunks go first: their order is part of what was said. */
static void add_chunks(struct shale_tree_build *b)
{
	struct shale_digest other = {{0xee}}, own = {{0x01}};
	uint32_t unused, blob, chunk;

	CHECK_OK(shale_tree_build_blob(b, &other, 777, &unused, &err));
	CHECK_OK(shale_tree_build_blob(b, NULL, 0, &blob, &err));
	for (uint32_t i = 0; i < 4; i++) {
		struct shale_chunk c = chunk_at(i * 500);
		CHECK_OK(shale_tree_build_chunk(b, &c, blob, &chunk, &err));
		CHECK_INT(chunk, i);
	}
	struct shale_chunk c = chunk_at(500);
	CHECK_OK(shale_tree_build_chunk(b, &c, blob, &chunk, &err));
	CHECK_INT(chunk, 1);
	shale_tree_build_own_blob(b, &own, 2000);
}

static int build_tree(int step, struct shale_digest *digest)
{
	struct shale_tree_build *b;
	int fd = memfd_create("tree", MFD_CLOEXEC);

	CHECK_OK(shale_tree_build_new(&b, &err));
	if (step > 0) {
		add_inodes(b, step);
		add_chunks(b);
	} else {
		add_chunks(b);
		add_names(b, step);
	}
	for (int i = step > 0 ? BIG : COPY; i >= BIG && i <= COPY; i += step)
		add_extents(b, (uint64_t)i);
	if (step > 0)
		add_names(b, step);
	else
		add_inodes(b, step);
	CHECK_OK(shale_tree_build_finish(b, fd, NEXT, digest, NULL, &err));
	shale_tree_build_free(b);
	return fd;
}

static struct shale_tree *open_tree(int fd)
{
	struct shale_tree *t;

	CHECK_OK(shale_tree_open(&t, fd, "t", &err));
	close(fd);
	return t;
}

static struct shale_tree *make_tree(void)
{
	return open_tree(build_tree(1, NULL));
}

/* ----------------------------------------------------------------- reading */

TEST(a_tree_reads_back_what_was_built)
{
	struct shale_tree *t = make_tree();
	struct shale_inode in;
	struct shale_xattr x;
	uint64_t i;

	CHECK_OK(shale_tree_check(t, &err));
	CHECK_INT(shale_tree_next_ino(t), NEXT);
	CHECK_INT(shale_tree_count(t, SHALE_TREE_INODES), 9);
	CHECK_OK(shale_tree_find_inode(t, BIG, &i, &err));
	CHECK_INT(i, 1);
	CHECK_OK(shale_tree_inode(t, i, &in, &err));
	CHECK_INT(in.attr.mode, S_IFREG | 04755);
	CHECK_INT(in.attr.uid, 1000);
	CHECK_INT(in.attr.gid, 100);
	CHECK_INT(in.attr.size, 5000);
	CHECK_INT(in.attr.mtime.tv_sec, -5);
	CHECK_INT(in.attr.mtime.tv_nsec, 999999999);
	CHECK_INT(in.content, SHALE_CONTENT_REPLACED);
	CHECK_INT(in.xattr_len, 0);

	CHECK_OK(shale_tree_inode(t, LINK - 1, &in, &err));
	CHECK_MEM(in.target, "../target", 9);
	CHECK_OK(shale_tree_inode(t, DEVICE - 1, &in, &err));
	CHECK_INT(in.attr.rdev_major, 0xabcdef01);
	CHECK_INT(in.attr.rdev_minor, 7);
	CHECK_OK(shale_tree_inode(t, PATCH - 1, &in, &err));
	CHECK_INT(in.limit, 700);
	CHECK_OK(shale_tree_inode(t, DEAD - 1, &in, &err));
	CHECK_INT(in.attr.mode, 0);
	CHECK_OK(shale_tree_inode(t, SMALL - 1, &in, &err));
	CHECK_OK(shale_xattr_find(in.xattrs, in.xattr_len, "user.b", &x, &err));
	CHECK_MEM(x.value, "22", 2);
	CHECK_INT(shale_xattr_find(in.xattrs, in.xattr_len, "user", &x, &err),
		  -ENODATA);
	/* three inodes, one list: two headers, names, values and padding */
	CHECK_INT(shale_tree_count(t, SHALE_TREE_XATTRS), 32);
	CHECK_INT(shale_tree_find_inode(t, 10, &i, &err), -ENOENT);
	CHECK_INT(shale_tree_find_inode(t, 0, &i, &err), -ENOENT);
	CHECK_INT(shale_tree_inode(t, 9, &in, &err), -EUCLEAN);
	shale_tree_close(t);
}

TEST(names_are_found_by_directory_and_bytes)
{
	static const char *const sorted[] = {".x",     "bi",      "big",
					     "bigger", "dead",    "link",
					     "patch",  "\xff\x80"};
	struct shale_tree *t = make_tree();
	struct shale_dirent d;
	uint64_t at;

	for (uint64_t i = 0; i < 8; i++) {
		CHECK_OK(shale_tree_dirent(t, i, &d, &err));
		CHECK_INT(d.name_len, strlen(sorted[i]));
		CHECK_MEM(d.name, sorted[i], d.name_len);
		CHECK_OK(shale_tree_find_dirent(t, DIR_INO, sorted[i],
						strlen(sorted[i]), &at, &err));
		CHECK_INT(at, i);
	}
	CHECK_INT(shale_tree_find_dirent(t, DIR_INO, "b", 1, &at, &err),
		  -ENOENT);
	CHECK_INT(shale_tree_find_dirent(t, DIR_INO, "zz", 2, &at, &err),
		  -ENOENT);
	CHECK_INT(shale_tree_find_dirent(t, 2, "big", 3, &at, &err), -ENOENT);
	CHECK_INT(shale_tree_find_dirent(t, DIR_INO, "\xff\x80x", 3, &at, &err),
		  -ENOENT);
	shale_tree_close(t);
}

TEST(extents_that_carry_on_are_joined)
{
	struct shale_tree *t = make_tree();
	struct shale_extent e;
	uint64_t first, n, at;

	CHECK_OK(shale_tree_extents_of(t, BIG, &first, &n, &err));
	CHECK_INT(first, 0);
	CHECK_INT(n, 2);
	CHECK_OK(shale_tree_extent(t, 0, &e, &err));
	CHECK_INT(e.off, 0);
	CHECK_INT(e.len, 3000);
	CHECK_INT(e.chunk, 0);
	CHECK_OK(shale_tree_extent(t, 1, &e, &err));
	CHECK_INT(e.off, 4500);
	CHECK_INT(e.chunk_off, 500);
	CHECK_OK(shale_tree_extents_of(t, PATCH, &first, &n, &err));
	CHECK_INT(n, 3);
	CHECK_OK(shale_tree_extent(t, first, &e, &err));
	CHECK_INT(e.chunk, SHALE_HOLE);
	CHECK_INT(e.len, 100);
	CHECK_OK(shale_tree_extent(t, first + 2, &e, &err));
	CHECK_INT(e.chunk, SHALE_CLONE);
	CHECK_INT(e.len, 50);
	CHECK_INT(e.chunk_off, 0);
	CHECK_INT(e.clone_ino, BIG);
	CHECK_INT(e.clone_off, 4000);
	CHECK_OK(shale_tree_extents_of(t, LINK, &at, &n, &err));
	CHECK_INT(n, 0);
	CHECK_OK(shale_tree_extents_of(t, SMALL, &at, &n, &err));
	CHECK_INT(n, 1);

	CHECK_OK(shale_tree_extent_at(t, first, 2, 99, &at, &err));
	CHECK_INT(at, first);
	CHECK_OK(shale_tree_extent_at(t, first, 2, 199, &at, &err));
	CHECK_INT(at, first);
	CHECK_OK(shale_tree_extent_at(t, first, 2, 200, &at, &err));
	CHECK_INT(at, first + 1);
	CHECK_OK(shale_tree_extent_at(t, first, 2, UINT64_MAX, &at, &err));
	CHECK_INT(at, first + 1);
	shale_tree_close(t);
}

TEST(a_run_of_chunks_is_sought_in)
{
	struct shale_tree *t = make_tree();
	uint32_t at, off;

	CHECK_OK(shale_tree_chunk_seek(t, 0, 999, &at, &off, &err));
	CHECK_INT(at, 0);
	CHECK_INT(off, 999);
	CHECK_OK(shale_tree_chunk_seek(t, 0, 1000, &at, &off, &err));
	CHECK_INT(at, 1);
	CHECK_INT(off, 0);
	CHECK_OK(shale_tree_chunk_seek(t, 1, 2999, &at, &off, &err));
	CHECK_INT(at, 3);
	CHECK_INT(off, 999);
	CHECK_INT(shale_tree_chunk_seek(t, 1, 3000, &at, &off, &err), -EUCLEAN);
	CHECK_INT(shale_tree_chunk_seek(t, 1, UINT64_MAX, &at, &off, &err),
		  -EUCLEAN);
	CHECK_INT(shale_tree_chunk_seek(t, 4, 0, &at, &off, &err), -EUCLEAN);
	shale_tree_close(t);
}

TEST(candidates_are_found_by_hash)
{
	struct shale_tree *t = make_tree();
	struct shale_hash128 hash = hash_of(1), none = hash_of(5);
	uint64_t cursor = 0, extent;
	uint32_t chunk;

	/* chunks 0 and 1 have one hash, 2 and 3 another */
	CHECK_OK(shale_tree_find_chunk(t, &hash, &cursor, &chunk, &err));
	CHECK_INT(chunk, 2);
	CHECK_OK(shale_tree_find_chunk(t, &hash, &cursor, &chunk, &err));
	CHECK_INT(chunk, 3);
	CHECK_INT(shale_tree_find_chunk(t, &hash, &cursor, &chunk, &err),
		  -ENOENT);
	cursor = 0;
	CHECK_INT(shale_tree_find_chunk(t, &none, &cursor, &chunk, &err),
		  -ENOENT);

	hash = hash_of(77);
	cursor = 0;
	CHECK_OK(shale_tree_find_packed(t, &hash, &cursor, &extent, &err));
	CHECK_INT(extent, 2);
	CHECK_OK(shale_tree_find_packed(t, &hash, &cursor, &extent, &err));
	CHECK_INT(extent, 3);
	CHECK_INT(shale_tree_find_packed(t, &hash, &cursor, &extent, &err),
		  -ENOENT);
	shale_tree_close(t);
}

TEST(a_chunk_tells_all_that_reading_it_needs)
{
	struct shale_tree *t = make_tree();
	struct shale_chunk c, want = chunk_at(1000);

	CHECK_OK(shale_tree_chunk(t, 2, &c, &err));
	CHECK_INT(c.start, 2000);
	CHECK_INT(c.len, CHUNK);
	CHECK_INT(c.stored, 500);
	CHECK_INT(c.codec, SHALE_CODEC_LZ4);
	CHECK_INT(c.off, 1000);
	CHECK_INT(c.blob.b[0], 0x01);
	CHECK_INT(c.blob_size, 2000);
	CHECK_MEM(&c.hash, &want.hash, sizeof(c.hash));
	CHECK_MEM(&c.sha256, &want.sha256, sizeof(c.sha256));
	/* a blob that no chunk names is not there */
	CHECK_INT(shale_tree_count(t, SHALE_TREE_BLOBS), 1);
	shale_tree_close(t);
}

TEST(an_empty_tree_is_a_tree)
{
	struct shale_tree_build *b;
	struct shale_extent e;
	uint64_t first, n;
	int fd = memfd_create("tree", MFD_CLOEXEC);

	CHECK_OK(shale_tree_build_new(&b, &err));
	CHECK_OK(shale_tree_build_finish(b, fd, 1, NULL, NULL, &err));
	shale_tree_build_free(b);
	struct shale_tree *t = open_tree(fd);
	CHECK_OK(shale_tree_check(t, &err));
	CHECK_OK(shale_tree_extents_of(t, 1, &first, &n, &err));
	CHECK_INT(n, 0);
	CHECK_INT(shale_tree_find_inode(t, 1, &first, &err), -ENOENT);
	CHECK_INT(shale_tree_extent(t, 0, &e, &err), -EUCLEAN);
	shale_tree_close(t);
}

/* ---------------------------------------------------------------- building */

TEST(the_order_of_adding_does_not_show)
{
	struct shale_digest a, b;

	close(build_tree(1, &a));
	close(build_tree(-1, &b));
	CHECK(shale_digest_equal(&a, &b));
}

static struct shale_tree_build *new_build(void)
{
	struct shale_tree_build *b;
	CHECK_OK(shale_tree_build_new(&b, &err));
	return b;
}

/* Finish, which must be refused saying `why`. */
static void refuses(struct shale_tree_build *b, const char *why)
{
	int fd = memfd_create("tree", MFD_CLOEXEC);

	CHECK_INT(shale_tree_build_finish(b, fd, NEXT, NULL, NULL, &err),
		  -EINVAL);
	CHECK_STR(err.msg, why);
	shale_tree_build_free(b);
	close(fd);
}

TEST(double_keys_are_refused)
{
	struct shale_tree_build *b = new_build();
	add_inodes(b, 1);
	add_inode(b, LINK, S_IFDIR, 0, 0, NULL);
	refuses(b, "inode 5 is there twice");

	b = new_build();
	add_names(b, 1);
	add_name(b, DIR_INO, "link", SMALL, S_IFREG);
	refuses(b, "name 'link' of directory 1 is there twice");

	b = new_build();
	add_inode(b, BIG, S_IFREG, 5000, SHALE_CONTENT_REPLACED, NULL);
	add_chunks(b);
	add_extent(b, BIG, 100, 100, 0, 0, NULL);
	add_extent(b, BIG, 199, 100, 0, 500, NULL);
	refuses(b, "inode 2 has extents that overlap");
}

TEST(extents_without_an_owner_are_refused)
{
	struct shale_tree_build *b = new_build();
	add_chunks(b);
	add_extents(b, BIG);
	refuses(b, "inode 2 has extents, but no record");

	b = new_build();
	add_inode(b, BIG, S_IFREG, 5000, SHALE_CONTENT_SAME, NULL);
	add_chunks(b);
	add_extents(b, BIG);
	refuses(b, "inode 2 has extents, but its content is the same");

	b = new_build();
	add_inode(b, BIG, S_IFREG, 4999, SHALE_CONTENT_REPLACED, NULL);
	add_chunks(b);
	add_extents(b, BIG);
	refuses(b, "inode 2 has extents beyond its size");
}

TEST(numbers_above_the_next_free_one_are_refused)
{
	struct shale_tree_build *b = new_build();
	add_inode(b, NEXT, S_IFREG, 0, 0, NULL);
	refuses(b, "inode 20 is not below the next free number");

	b = new_build();
	add_name(b, 1, "x", NEXT, S_IFREG);
	refuses(b, "name 'x' of directory 1 has a number not below the next "
		   "free one");
}

TEST(the_new_blob_needs_its_digest)
{
	struct shale_tree_build *b = new_build();
	struct shale_chunk c = chunk_at(0);
	uint32_t blob, chunk;

	CHECK_OK(shale_tree_build_blob(b, NULL, 0, &blob, &err));
	CHECK_OK(shale_tree_build_chunk(b, &c, blob, &chunk, &err));
	refuses(b, "the new data blob has no digest");
}

TEST(records_that_no_reader_takes_are_not_added)
{
	static const struct shale_inode inodes[] = {
		{.attr = {.ino = 0, .mode = S_IFREG}},
		{.attr = {.ino = SHALE_INO_MAX + 1, .mode = S_IFREG}},
		{.attr = {.ino = 2, .mode = 0644}},
		{.attr = {.ino = 2, .mode = S_IFREG | 0x10000}},
		{.attr = {.ino = 2, .mode = S_IFREG, .size = 1ull << 63}},
		{.attr = {.ino = 2,
			  .mode = S_IFREG,
			  .mtime.tv_nsec = 1000000000}},
		{.attr = {.ino = 2, .mode = S_IFREG, .mtime.tv_nsec = -1}},
		{.attr = {.ino = 2, .mode = S_IFLNK}, .target = ""},
		{.attr = {.ino = 2, .mode = S_IFLNK, .size = 3},
		 .target = "a\0b"},
		{.attr = {.ino = 2, .mode = S_IFLNK, .size = 4096},
		 .target = "x"},
		{.attr = {.ino = 2, .mode = S_IFDIR},
		 .content = SHALE_CONTENT_REPLACED},
		{.attr = {.ino = 2, .mode = S_IFREG}, .content = 3},
		{.attr = {.ino = 2, .mode = S_IFREG},
		 .content = SHALE_CONTENT_REPLACED,
		 .limit = 1},
		{.attr = {.ino = 2, .mode = S_IFREG},
		 .content = SHALE_CONTENT_PATCHED,
		 .limit = 1ull << 63},
	};
	static const struct shale_dirent dirents[] = {
		{1, 2, "", 0, 8},           {1, 2, ".", 1, 8},
		{1, 2, "..", 2, 8},         {1, 2, "a/b", 3, 8},
		{1, 2, "a\0b", 3, 8},       {0, 2, "a", 1, 8},
		{1, 2, "a", 1, 0},          {1, 2, "a", 1, 3},
		{1, 2, "a", 1, 0x48},       {1, 0, "a", 1, 8},
		{1, 1ull << 40, "a", 1, 8}, {1ull << 40, 2, "a", 1, 8},
	};
	struct shale_tree_build *b = new_build();

	for (size_t i = 0; i < sizeof(inodes) / sizeof(inodes[0]); i++)
		if (shale_tree_build_inode(b, &inodes[i], &err) != -EINVAL)
			shale_test_fail(__FILE__, __LINE__, "inode %zu", i);
	for (size_t i = 0; i < sizeof(dirents) / sizeof(dirents[0]); i++)
		if (shale_tree_build_dirent(b, &dirents[i], &err) != -EINVAL)
			shale_test_fail(__FILE__, __LINE__, "dirent %zu", i);

	char name[256];
	memset(name, 'x', sizeof(name));
	struct shale_dirent longest = {1, 2, name, 255, 8};
	CHECK_OK(shale_tree_build_dirent(b, &longest, &err));
	longest.name_len = 256;
	CHECK_INT(shale_tree_build_dirent(b, &longest, &err), -EINVAL);
	shale_tree_build_free(b);
}

TEST(an_extent_must_lie_in_its_chunk)
{
	static const struct shale_extent extents[] = {
		{2, 0, 1001, 0, 0, 0, 0},
		{2, 0, 1, 0, 1000, 0, 0},
		{2, 0, 501, 0, 500, 0, 0},
		{2, 0, 0, 0, 0, 0, 0},
		{2, 0, 1, 4, 0, 0, 0},
		{0, 0, 1, 0, 0, 0, 0},
		{2, 0, 1, SHALE_HOLE, 1, 0, 0},
		{2, INT64_MAX, 1, SHALE_HOLE, 0, 0, 0},
		{2, 1, INT64_MAX, SHALE_HOLE, 0, 0, 0},
	};
	struct shale_tree_build *b = new_build();

	add_chunks(b);
	for (size_t i = 0; i < sizeof(extents) / sizeof(extents[0]); i++)
		if (shale_tree_build_extent(b, &extents[i], NULL, &err) !=
		    -EINVAL)
			shale_test_fail(__FILE__, __LINE__, "extent %zu", i);
	shale_tree_build_free(b);
}

TEST(a_chunk_told_in_two_ways_is_refused)
{
	struct shale_tree_build *b = new_build();
	struct shale_chunk c = chunk_at(0);
	uint32_t chunk;

	add_chunks(b);
	c.len = 999;
	CHECK_INT(shale_tree_build_chunk(b, &c, 1, &chunk, &err), -EUCLEAN);
	c = chunk_at(0);
	c.hash.b[3] ^= 1;
	CHECK_INT(shale_tree_build_chunk(b, &c, 1, &chunk, &err), -EUCLEAN);
	c = chunk_at(0);
	CHECK_OK(shale_tree_build_chunk(b, &c, 0, &chunk, &err));
	CHECK_INT(chunk, 4); /* another blob, another chunk */
	shale_tree_build_free(b);
}

TEST(forgotten_content_is_left_out)
{
	struct shale_tree_build *b = new_build();
	struct shale_hash128 hash = hash_of(77);
	uint64_t cursor = 0, first, n, extent;
	int fd = memfd_create("tree", MFD_CLOEXEC);

	add_inodes(b, 1);
	add_chunks(b);
	add_extents(b, PATCH);
	add_extents(b, SMALL2);
	CHECK_OK(shale_tree_build_forget(b, SMALL, &err));
	add_extents(b, SMALL);
	add_extents(b, BIG);
	CHECK_OK(shale_tree_build_forget(b, BIG, &err));
	add_extents(b, COPY);
	CHECK_OK(shale_tree_build_forget(b, COPY, &err));
	CHECK_OK(shale_tree_build_finish(b, fd, NEXT, NULL, NULL, &err));
	shale_tree_build_free(b);

	struct shale_tree *t = open_tree(fd);
	CHECK_OK(shale_tree_check(t, &err));
	CHECK_OK(shale_tree_extents_of(t, BIG, &first, &n, &err));
	CHECK_INT(n, 0);
	CHECK_INT(shale_tree_count(t, SHALE_TREE_EXTENTS), 4);
	CHECK_INT(shale_tree_count(t, SHALE_TREE_CLONES), 1);
	CHECK_OK(shale_tree_find_packed(t, &hash, &cursor, &extent, &err));
	CHECK_INT(extent, 0);
	CHECK_INT(shale_tree_find_packed(t, &hash, &cursor, &extent, &err),
		  -ENOENT);
	shale_tree_close(t);
}

/* ------------------------------------------------------------------ damage */

static void load(int fd, struct shale_buf *out)
{
	off_t size = lseek(fd, 0, SEEK_END);
	CHECK(shale_buf_add(out, (size_t)size) != NULL);
	CHECK_OK(
		shale_pread_full(fd, out->data, (size_t)size, 0, "tree", &err));
	close(fd);
}

static int check_bytes(const uint8_t *data, size_t len)
{
	struct shale_tree *t;
	int fd = memfd_create("copy", MFD_CLOEXEC);
	CHECK_OK(shale_pwrite_full(fd, data, len, 0, "copy", &err));
	int r = shale_tree_open(&t, fd, "t", &err);

	close(fd);
	if (r < 0)
		return r;
	r = shale_tree_check(t, &err);
	shale_tree_close(t);
	return r;
}

TEST(every_flipped_byte_and_every_truncation_is_found)
{
	struct shale_buf buf = {0};

	load(build_tree(1, NULL), &buf);
	CHECK_INT(check_bytes(buf.data, buf.len), 0);
	for (size_t i = 0; i < buf.len; i++) {
		buf.data[i] ^= 0x40;
		if (check_bytes(buf.data, buf.len) != -EUCLEAN)
			shale_test_fail(__FILE__, __LINE__, "byte %zu", i);
		buf.data[i] ^= 0x40;
		if (check_bytes(buf.data, i) != -EUCLEAN)
			shale_test_fail(__FILE__, __LINE__, "length %zu", i);
	}
	shale_buf_release(&buf);
}

/* Records with true checksums that say what no record may. */
static const struct {
	enum shale_tree_section section;
	unsigned record;
	size_t at; /* offset in the record */
	uint8_t value[8];
	size_t len;
} lies[] = {
#define FIELD(type, field) offsetof(struct shale_disk_##type, field)
	{SHALE_TREE_INODES, 0, FIELD(inode, ino), {0}, 1},
	{SHALE_TREE_INODES, 1, FIELD(inode, ino), {1}, 1},
	{SHALE_TREE_INODES, 1, FIELD(inode, ino), {3}, 1},
	{SHALE_TREE_INODES, 8, FIELD(inode, ino), {NEXT}, 1},
	{SHALE_TREE_INODES, 1, FIELD(inode, mode), {0, 0x30}, 2},
	{SHALE_TREE_INODES, 1, FIELD(inode, mode), {0, 0}, 2},
	{SHALE_TREE_INODES, 1, FIELD(inode, mode), {0, 0x40}, 2},
	{SHALE_TREE_INODES, 1, FIELD(inode, size) + 7, {0x80}, 1},
	{SHALE_TREE_INODES, 1, FIELD(inode, size), {0}, 2},
	{SHALE_TREE_INODES, 4, FIELD(inode, size), {0}, 1},
	{SHALE_TREE_INODES, 4, FIELD(inode, size) + 1, {0x10}, 1},
	{SHALE_TREE_INODES, 4, FIELD(inode, ref) + 7, {0xff}, 1},
	{SHALE_TREE_INODES, 1, FIELD(inode, ref), {1}, 1},
	{SHALE_TREE_INODES, 1, FIELD(inode, mtime_nsec) + 3, {0xff}, 1},
	{SHALE_TREE_INODES, 1, FIELD(inode, content), {3}, 1},
	{SHALE_TREE_INODES, 1, FIELD(inode, content), {0}, 1},
	{SHALE_TREE_INODES, 0, FIELD(inode, content), {1}, 1},
	{SHALE_TREE_INODES, 1, FIELD(inode, limit), {1}, 1},
	{SHALE_TREE_INODES, 6, FIELD(inode, limit) + 7, {0x80}, 1},
	{SHALE_TREE_INODES, 0, FIELD(inode, xattr_off), {2}, 1},
	{SHALE_TREE_INODES, 0, FIELD(inode, xattr_off) + 7, {0x80}, 1},
	{SHALE_TREE_INODES, 0, FIELD(inode, xattr_off), {16}, 1},
	{SHALE_TREE_INODES, 0, FIELD(inode, xattr_len), {33}, 1},
	{SHALE_TREE_INODES, 0, FIELD(inode, xattr_len), {36}, 1},
	{SHALE_TREE_INODES, 0, FIELD(inode, xattr_len) + 3, {0xff}, 1},
	{SHALE_TREE_INODES, 1, FIELD(inode, xattr_off), {4}, 1},
	{SHALE_TREE_INODES, 1, FIELD(inode, reserved), {1}, 1},
	{SHALE_TREE_INODES, 7, FIELD(inode, uid), {1}, 1},
	{SHALE_TREE_DIRENTS, 0, FIELD(dirent, dir), {0}, 1},
	{SHALE_TREE_DIRENTS, 0, FIELD(dirent, dir), {2}, 1},
	{SHALE_TREE_DIRENTS, 7, FIELD(dirent, dir), {2}, 1},
	{SHALE_TREE_DIRENTS, 0, FIELD(dirent, ino), {NEXT}, 1},
	{SHALE_TREE_DIRENTS, 0, FIELD(dirent, ino), {DEAD}, 1},
	{SHALE_TREE_DIRENTS, 0, FIELD(dirent, ino), {0}, 1},
	{SHALE_TREE_DIRENTS, 0, FIELD(dirent, name_off) + 7, {0xff}, 1},
	{SHALE_TREE_DIRENTS, 1, FIELD(dirent, name_off), {0}, 1},
	{SHALE_TREE_DIRENTS, 0, FIELD(dirent, name_len), {0}, 1},
	{SHALE_TREE_DIRENTS, 0, FIELD(dirent, name_len), {1}, 1},
	{SHALE_TREE_DIRENTS, 0, FIELD(dirent, name_len) + 1, {1}, 1},
	{SHALE_TREE_DIRENTS, 0, FIELD(dirent, type), {4}, 1},
	{SHALE_TREE_DIRENTS, 0, FIELD(dirent, type), {0}, 1},
	{SHALE_TREE_DIRENTS, 4, FIELD(dirent, type), {8}, 1},
	{SHALE_TREE_DIRENTS, 0, FIELD(dirent, reserved) + 4, {1}, 1},
	{SHALE_TREE_STRINGS, 0, 0, "/", 1},
	{SHALE_TREE_STRINGS, 1, 0, "", 1},
	{SHALE_TREE_STRINGS, 0, 0, "z", 1},
	{SHALE_TREE_EXTENTS, 0, FIELD(extent, ino), {0}, 1},
	{SHALE_TREE_EXTENTS, 0, FIELD(extent, ino), {DEAD}, 1},
	{SHALE_TREE_EXTENTS, 2, FIELD(extent, ino), {LINK}, 1},
	{SHALE_TREE_EXTENTS, 7, FIELD(extent, ino), {10}, 1},
	{SHALE_TREE_EXTENTS, 1, FIELD(extent, off), {0, 0}, 2},
	{SHALE_TREE_EXTENTS, 1, FIELD(extent, off) + 7, {0x7f}, 1},
	{SHALE_TREE_EXTENTS, 1, FIELD(extent, off) + 7, {0xff}, 1},
	{SHALE_TREE_EXTENTS, 0, FIELD(extent, len), {0, 0}, 2},
	{SHALE_TREE_EXTENTS, 1, FIELD(extent, len), {0xff, 0xff}, 2},
	{SHALE_TREE_EXTENTS, 1, FIELD(extent, len) + 7, {0xff}, 1},
	{SHALE_TREE_EXTENTS, 1, FIELD(extent, chunk), {4}, 1},
	{SHALE_TREE_EXTENTS, 0, FIELD(extent, chunk), {3}, 1},
	{SHALE_TREE_EXTENTS, 0, FIELD(extent, chunk_off), {0xff, 0xff}, 2},
	{SHALE_TREE_EXTENTS, 4, FIELD(extent, chunk_off), {1}, 1},
	{SHALE_TREE_EXTENTS, 6, FIELD(extent, chunk_off), {1}, 1},
	{SHALE_TREE_EXTENTS, 6, FIELD(extent, chunk_off), {2}, 1},
	{SHALE_TREE_EXTENTS, 7, FIELD(extent, chunk_off), {0}, 1},
	{SHALE_TREE_EXTENTS, 7, FIELD(extent, chunk), {0}, 1},
	{SHALE_TREE_CLONES, 0, FIELD(clone, ino), {0}, 1},
	{SHALE_TREE_CLONES, 0, FIELD(clone, ino), {NEXT}, 1},
	{SHALE_TREE_CLONES, 0, FIELD(clone, off) + 7, {0x80}, 1},
	{SHALE_TREE_CLONES, 0, FIELD(clone, off) + 7, {0xff}, 1},
	{SHALE_TREE_CHUNKS, 0, FIELD(chunk, end), {0, 0}, 2},
	{SHALE_TREE_CHUNKS, 1, FIELD(chunk, end), {1, 0}, 2},
	{SHALE_TREE_CHUNKS, 1, FIELD(chunk, end) + 3, {1}, 1},
	{SHALE_TREE_CHUNKS, 3, FIELD(chunk, end) + 7, {0xff}, 1},
	{SHALE_TREE_CHUNKS, 0, FIELD(chunk, off) + 7, {0xff}, 1},
	{SHALE_TREE_CHUNKS, 3, FIELD(chunk, off), {0xdd, 5}, 2},
	{SHALE_TREE_CHUNKS, 0, FIELD(chunk, stored_codec), {0, 0}, 2},
	{SHALE_TREE_CHUNKS, 0, FIELD(chunk, stored_codec) + 2, {0xff}, 1},
	{SHALE_TREE_CHUNKS, 0, FIELD(chunk, stored_codec) + 3, {0}, 1},
	{SHALE_TREE_CHUNKS, 0, FIELD(chunk, blob), {1}, 1},
	{SHALE_TREE_CHUNKS, 1, FIELD(chunk, hash), {0, 0}, 2},
	{SHALE_TREE_BLOBS, 0, FIELD(blob, size) + 7, {0x80}, 1},
	{SHALE_TREE_BLOBS, 0, FIELD(blob, size), {0, 0}, 2},
	{SHALE_TREE_CHUNKSORT, 0, 0, {4}, 1},
	{SHALE_TREE_CHUNKSORT, 0, 0, {0, 1}, 2},
	{SHALE_TREE_CHUNKSORT, 1, 0, {0}, 1},
	{SHALE_TREE_PACKED, 0, FIELD(packed, extent), {3}, 1},
	{SHALE_TREE_PACKED, 0, FIELD(packed, extent), {6}, 1},
	{SHALE_TREE_PACKED, 0, FIELD(packed, extent), {1, 1}, 2},
	{SHALE_TREE_PACKED, 1, FIELD(packed, extent), {4}, 1},
	{SHALE_TREE_PACKED, 0, FIELD(packed, hash), {0xff, 0xff}, 2},
	{SHALE_TREE_PACKED, 0, FIELD(packed, reserved), {1}, 1},
	{SHALE_TREE_XATTRS, 0, 0, {0}, 1},
	{SHALE_TREE_XATTRS, 0, 2, {1}, 1},
	{SHALE_TREE_XATTRS, 0, 4, {0xff}, 1},
	{SHALE_TREE_XATTRS, 0, 6, {1}, 1},
	{SHALE_TREE_XATTRS, 0, 9, {0}, 1},
	{SHALE_TREE_XATTRS, 0, 13, "b", 1},
	{SHALE_TREE_XATTRS, 0, 13, "c", 1},
	{SHALE_TREE_XATTRS, 0, 15, {1}, 1},
#undef FIELD
};

TEST(records_that_lie_under_true_checksums_are_found)
{
	struct shale_buf good = {0}, bad = {0};

	load(build_tree(1, NULL), &good);
	const struct shale_disk_table *head =
		(const struct shale_disk_table *)good.data;
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		const struct shale_disk_section *s =
			&head->section[lies[i].section];
		bad.len = 0;
		CHECK(shale_buf_append(&bad, good.data, good.len) == 0);
		uint8_t *to =
			bad.data + le64_get(s->off) + lies[i].at +
			(uint64_t)lies[i].record * le32_get(s->record_size);
		CHECK(lies[i].record < le64_get(s->count));
		memcpy(to, lies[i].value, lies[i].len);
		table_fix_sums(bad.data, bad.len);
		if (check_bytes(bad.data, bad.len) != -EUCLEAN)
			shale_test_fail(__FILE__, __LINE__, "lie %zu", i);
	}
	shale_buf_release(&good);
	shale_buf_release(&bad);
}

/* ------------------------------------------------------------------ xattrs */

TEST(xattr_lists_are_sorted_and_found_in)
{
	struct shale_buf list = {0};
	struct shale_xattr x;
	uint32_t at = 0;

	CHECK_OK(shale_xattr_append(&list, "user.z", "", 0, &err));
	CHECK_OK(shale_xattr_append(&list, "user", "v", 1, &err));
	CHECK_OK(
		shale_xattr_append(&list, "security.x", "\0\1\2\3\4", 5, &err));
	CHECK_OK(shale_xattr_sort(&list, &err));
	static const char *const order[] = {"security.x", "user", "user.z"};
	for (int i = 0; i < 3; i++) {
		CHECK_INT(shale_xattr_next(list.data, (uint32_t)list.len, &at,
					   &x, &err),
			  1);
		CHECK_INT(x.name_len, strlen(order[i]));
		CHECK_MEM(x.name, order[i], x.name_len);
	}
	CHECK_INT(
		shale_xattr_next(list.data, (uint32_t)list.len, &at, &x, &err),
		0);
	CHECK_OK(shale_xattr_append(&list, "user", "other", 5, &err));
	CHECK_INT(shale_xattr_sort(&list, &err), -EINVAL);
	CHECK_STR(err.msg, "xattr 'user' is there twice");
	shale_buf_release(&list);
}

TEST(xattrs_have_limits)
{
	struct shale_buf list = {0};
	static char value[65537], name[257];
	int n = 0;

	memset(name, 'n', 256);
	CHECK_INT(shale_xattr_append(&list, name, "", 0, &err), -ERANGE);
	CHECK_INT(shale_xattr_append(&list, "", "", 0, &err), -ERANGE);
	CHECK_INT(shale_xattr_append(&list, "n", value, 65537, &err), -E2BIG);
	for (;; n++) {
		snprintf(name, sizeof(name), "user.%d", n);
		if (shale_xattr_append(&list, name, value, 65536, &err) < 0)
			break;
	}
	CHECK_INT(n, 15);
	CHECK(list.len <= SHALE_XATTRS_MAX);
	shale_buf_release(&list);
}
