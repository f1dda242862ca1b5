/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/base/buf.h"
#include "layers/base/io.h"
#include "layers/blob/tree_check.h"
#include "tests/lib/check.h"
#include "tests/lib/table_sums.h"
#include "tests/unit/tree-sample.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct shale_err err;

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

	load(sample_build(1, NULL), &buf);
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
	{SHALE_TREE_INODES, 0, FIELD(inode, size), {1}, 1},
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

	load(sample_build(1, NULL), &good);
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
