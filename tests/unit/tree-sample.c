/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/tree-sample.h"

#include "layers/base/buf.h"
#include "tests/lib/check.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static struct shale_err err;

struct shale_hash128 sample_hash(uint64_t n)
{
	return shale_xxh128(&n, sizeof(n));
}

struct shale_chunk sample_chunk(uint64_t off)
{
	struct shale_chunk c = {.len = CHUNK,
				.stored = 500,
				.codec = SHALE_CODEC_LZ4,
				.off = off,
				.hash = sample_hash(off / 1000)};
	memset(c.sha256.b, (int)(off / 500), sizeof(c.sha256.b));
	return c;
}

void sample_add_inode(struct shale_tree_build *b, uint64_t ino, uint32_t mode,
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

void sample_add_inodes(struct shale_tree_build *b, int step)
{
	struct shale_buf xattrs = {0};

	CHECK_OK(shale_xattr_append(&xattrs, "user.b", "22", 2, &err));
	CHECK_OK(shale_xattr_append(&xattrs, "user.a", "1", 1, &err));
	for (int i = step > 0 ? DIR_INO : COPY; i >= DIR_INO && i <= COPY;
	     i += step) {
		switch (i) {
		case DIR_INO:
			sample_add_inode(b, i, S_IFDIR | 0755, 4096, 0, &xattrs);
			break;
		case BIG:
			sample_add_inode(b, i, S_IFREG | 04755, 5000,
					 SHALE_CONTENT_REPLACED, NULL);
			break;
		case SMALL:
		case SMALL2:
			sample_add_inode(b, i, S_IFREG | 0644, 100,
					 SHALE_CONTENT_REPLACED, &xattrs);
			break;
		case LINK:
			sample_add_inode(b, i, S_IFLNK | 0777, 9, 0, NULL);
			break;
		case DEVICE:
			sample_add_inode(b, i, S_IFCHR | 0600, 0, 0, NULL);
			break;
		case PATCH:
			sample_add_inode(b, i, S_IFREG | 0600, 4096,
					 SHALE_CONTENT_PATCHED, NULL);
			break;
		case COPY:
			sample_add_inode(b, i, S_IFREG, 50,
					 SHALE_CONTENT_REPLACED, NULL);
			break;
		default:
			sample_add_inode(b, i, 0, 0, 0, NULL);
		}
	}
	shale_buf_release(&xattrs);
}

void sample_add_name(struct shale_tree_build *b, uint64_t dir, const char *name,
		     uint64_t ino, uint32_t mode)
{
	struct shale_dirent d = {.dir = dir,
				 .ino = ino,
				 .name = name,
				 .name_len = (uint16_t)strlen(name),
				 .type = (uint8_t)(mode >> 12)};
	CHECK_OK(shale_tree_build_dirent(b, &d, &err));
}

void sample_add_names(struct shale_tree_build *b, int step)
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
		sample_add_name(b, DIR_INO, names[i].name, names[i].ino,
				names[i].mode);
}

void sample_add_extent(struct shale_tree_build *b, uint64_t ino, uint64_t off,
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

void sample_add_extents(struct shale_tree_build *b, uint64_t ino)
{
	struct shale_hash128 hash = sample_hash(77);

	switch (ino) {
	case BIG:
		sample_add_extent(b, BIG, 0, CHUNK, 0, 0, NULL);
		sample_add_extent(b, BIG, 1000, CHUNK, 1, 0, NULL);
		sample_add_extent(b, BIG, 2000, 300, 2, 0, NULL);
		sample_add_extent(b, BIG, 2300, 700, 2, 300, NULL);
		sample_add_extent(b, BIG, 4500, 500, 0, 500, NULL);
		break;
	case SMALL:
	case SMALL2:
		sample_add_extent(b, ino, 0, 100, 3, ino == SMALL ? 0 : 100,
				  &hash);
		break;
	case PATCH:
		sample_add_extent(b, PATCH, 100, 50, SHALE_HOLE, 0, NULL);
		sample_add_extent(b, PATCH, 150, 50, SHALE_HOLE, 0, NULL);
		sample_add_extent(b, PATCH, 200, 10, 3, 990, NULL);
		add_clone(b, PATCH, 300, 20, BIG, 4000);
		add_clone(b, PATCH, 320, 30, BIG, 4020);
		break;
	case COPY:
		add_clone(b, COPY, 0, 50, BIG, 0);
		break;
	}
}

void sample_add_chunks(struct shale_tree_build *b)
{
	struct shale_digest other = {{0xee}}, own = {{0x01}};
	uint32_t unused, blob, chunk;

	CHECK_OK(shale_tree_build_blob(b, &other, 777, &unused, &err));
	CHECK_OK(shale_tree_build_blob(b, NULL, 0, &blob, &err));
	for (uint32_t i = 0; i < 4; i++) {
		struct shale_chunk c = sample_chunk(i * 500);
		CHECK_OK(shale_tree_build_chunk(b, &c, blob, &chunk, &err));
		CHECK_INT(chunk, i);
	}
	struct shale_chunk c = sample_chunk(500);
	CHECK_OK(shale_tree_build_chunk(b, &c, blob, &chunk, &err));
	CHECK_INT(chunk, 1);
	shale_tree_build_own_blob(b, &own, 2000);
}

int sample_build(int step, struct shale_digest *digest)
{
	struct shale_tree_build *b;
	int fd = memfd_create("tree", MFD_CLOEXEC);

	CHECK_OK(shale_tree_build_new(&b, &err));
	if (step > 0) {
		sample_add_inodes(b, step);
		sample_add_chunks(b);
	} else {
		sample_add_chunks(b);
		sample_add_names(b, step);
	}
	for (int i = step > 0 ? BIG : COPY; i >= BIG && i <= COPY; i += step)
		sample_add_extents(b, (uint64_t)i);
	if (step > 0)
		sample_add_names(b, step);
	else
		sample_add_inodes(b, step);
	CHECK_OK(shale_tree_build_finish(b, fd, NEXT, digest, NULL, &err));
	shale_tree_build_free(b);
	return fd;
}

struct shale_tree *sample_open(int fd)
{
	struct shale_tree *t;

	CHECK_OK(shale_tree_open(&t, fd, "t", &err));
	close(fd);
	return t;
}

struct shale_tree *sample_tree(void)
{
	return sample_open(sample_build(1, NULL));
}
