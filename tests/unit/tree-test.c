/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/base/buf.h"
#include "layers/blob/tree_check.h"
#include "tests/lib/check.h"
#include "tests/unit/tree-sample.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static struct shale_err err;

TEST(a_tree_reads_back_what_was_built)
{
	struct shale_tree *t = sample_tree();
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

	CHECK_OK(shale_tree_inode(t, DIR_INO - 1, &in, &err));
	CHECK_INT(in.attr.size, 0); /* whatever it was where it lay */
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
	struct shale_tree *t = sample_tree();
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
	struct shale_tree *t = sample_tree();
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
	struct shale_tree *t = sample_tree();
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

/* Long ones after short ones: where guesses are far off. */
static uint32_t uneven(uint32_t i)
{
	return i < 1500 ? 16 + i % 7 : 4096 + i % 900 * 7;
}

TEST(a_long_run_of_uneven_chunks_is_sought_in)
{
	enum { CHUNKS = 3000 };
	struct shale_digest own = {{0x01}};
	struct shale_tree_build *b;
	uint64_t start[CHUNKS + 1] = {0};
	uint32_t blob, at, off;
	int fd = memfd_create("tree", MFD_CLOEXEC);

	CHECK_OK(shale_tree_build_new(&b, &err));
	CHECK_OK(shale_tree_build_blob(b, NULL, 0, &blob, &err));
	for (uint32_t i = 0; i < CHUNKS; i++) {
		struct shale_chunk c = sample_chunk(0);
		c.off = 500 * (uint64_t)i;
		c.hash = sample_hash(i);
		c.len = uneven(i);
		c.stored = c.len < 500 ? c.len : 500;
		c.codec = c.len < 500 ? SHALE_CODEC_NONE : SHALE_CODEC_LZ4;
		CHECK_OK(shale_tree_build_chunk(b, &c, blob, &at, &err));
		sample_add_extent(b, BIG, start[i], c.len, at, 0, NULL);
		start[i + 1] = start[i] + c.len;
	}
	sample_add_inode(b, BIG, 0100644, start[CHUNKS], SHALE_CONTENT_REPLACED,
			 NULL);
	shale_tree_build_own_blob(b, &own, 500 * (uint64_t)CHUNKS);
	CHECK_OK(shale_tree_build_finish(b, fd, NEXT, NULL, NULL, &err));
	shale_tree_build_free(b);
	struct shale_tree *t = sample_open(fd);
	for (uint32_t from = 0; from < CHUNKS; from += 499) {
		for (uint32_t to = from; to < CHUNKS; to++) {
			uint64_t skip = start[to] - start[from];
			CHECK_OK(shale_tree_chunk_seek(t, from, skip, &at, &off,
						       &err));
			CHECK(at == to && off == 0);
			skip = start[to + 1] - 1 - start[from];
			CHECK_OK(shale_tree_chunk_seek(t, from, skip, &at, &off,
						       &err));
			CHECK(at == to && off == uneven(to) - 1);
		}
	}
	CHECK_INT(shale_tree_chunk_seek(t, 7, start[CHUNKS] - start[7], &at,
					&off, &err),
		  -EUCLEAN);
	shale_tree_close(t);
}

TEST(candidates_are_found_by_hash)
{
	struct shale_tree *t = sample_tree();
	struct shale_hash128 hash = sample_hash(1), none = sample_hash(5);
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

	hash = sample_hash(77);
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
	struct shale_tree *t = sample_tree();
	struct shale_chunk c, want = sample_chunk(1000);

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
	struct shale_tree *t = sample_open(fd);
	CHECK_OK(shale_tree_check(t, &err));
	CHECK_OK(shale_tree_extents_of(t, 1, &first, &n, &err));
	CHECK_INT(n, 0);
	CHECK_INT(shale_tree_find_inode(t, 1, &first, &err), -ENOENT);
	CHECK_INT(shale_tree_extent(t, 0, &e, &err), -EUCLEAN);
	shale_tree_close(t);
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
