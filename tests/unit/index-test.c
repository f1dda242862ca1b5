/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/index/index.h"

#include "layers/base/buf.h"
#include "layers/index/index_disk.h"
#include "tests/lib/check.h"
#include "tests/unit/layers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ------------------------------------------------------------- paths */

/*
 *  /usr/bin/sh        file
 *  /usr/lib/          directory
 *  /bin               -> usr/bin
 *  /usr/abs           -> /usr/lib
 *  /usr/up            -> ../../../bin/sh
 *  /loop              -> loop
 *  /a, /b             -> b, a
 *  /dangling          -> nowhere
 *  /usr/slash         -> /
 *  /tofile            -> usr/bin/sh/
 */
static struct layers paths(void)
{
	static const struct {
		uint64_t ino, dir;
		const char *name, *target;
	} links[] = {
		{10, 1, "bin", "usr/bin"},
		{11, 2, "abs", "/usr/lib"},
		{12, 2, "up", "../../../bin/sh"},
		{13, 1, "loop", "loop"},
		{14, 1, "a", "b"},
		{15, 1, "b", "a"},
		{16, 1, "dangling", "nowhere"},
		{17, 2, "slash", "/"},
		{18, 1, "tofile", "usr/bin/sh/"},
		{19, 1, "dots", "././usr/./bin/.."},
	};
	struct layers l = layers_begin(1000);

	layers_inode(&l, 1, S_IFDIR | 0755);
	layers_inode(&l, 2, S_IFDIR | 0755);
	layers_inode(&l, 3, S_IFDIR | 0755);
	layers_inode(&l, 4, S_IFDIR | 0755);
	layers_inode(&l, 5, S_IFREG | 0755);
	layers_name(&l, 1, "usr", 2, S_IFDIR);
	layers_name(&l, 2, "bin", 3, S_IFDIR);
	layers_name(&l, 2, "lib", 4, S_IFDIR);
	layers_name(&l, 3, "sh", 5, S_IFREG);
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
		layers_symlink(&l, links[i].ino, links[i].target);
		layers_name(&l, links[i].dir, links[i].name, links[i].ino,
			    S_IFLNK);
	}
	layers_push(&l);
	return l;
}

struct walked {
	const char *path;
	int result; /* inode number or -errno */
};

TEST(a_path_is_found_without_following_links)
{
	static const struct walked rows[] = {
		{"", 1},
		{"/", 1},
		{"//", 1},
		{"usr", 2},
		{"/usr/", 2},
		{"//usr//bin", 3},
		{"/usr/bin/sh", 5},
		{"/bin", 10},
		{"/bin/sh", -ENOENT},
		{"/usr/bin/sh/x", -ENOENT},
		{"/usr/bin/sh/", -ENOENT},
		{"/nothing", -ENOENT},
		{"/usr/bin/..", 2},
		{"/./usr/.", 2},
		{"/..", 1},
	};
	struct layers l = paths();
	struct shale_index *ix = layers_index(&l);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t ino = 0;
		int r = shale_index_find(ix, rows[i].path, &ino, NULL);
		if ((r < 0 ? r : (int)ino) != rows[i].result)
			CHECK_STR("another result", rows[i].path);
	}
	shale_index_close(ix);
	layers_end(&l);
}

TEST(a_path_resolves_inside_the_image_as_in_a_chroot)
{
	static const struct walked rows[] = {
		{"", 1},
		{"/bin/sh", 5},
		{"/bin", 3},
		{"/bin/", 3},
		{"/usr/abs", 4},
		{"/usr/abs/../bin/sh", 5},
		{"/usr/up", 5},
		{"/../../usr", 2},
		{"/loop", -ELOOP},
		{"/a", -ELOOP},
		{"/a/b/c", -ELOOP},
		{"/dangling", -ENOENT},
		{"/usr/slash/usr/slash/bin/sh", 5},
		{"/usr/slash", 1},
		{"/tofile", -ENOTDIR},
		{"/bin/sh/", -ENOTDIR},
		{"/bin/sh/x", -ENOTDIR},
		{"/bin/sh/..", -ENOTDIR},
		{"/dots/lib", 4},
		{"/bin/nothing", -ENOENT},
	};
	struct layers l = paths();
	struct shale_index *ix = layers_index(&l);
	struct shale_err err;
	uint64_t ino;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int r = shale_index_resolve(ix, rows[i].path, true, &ino, NULL);
		if ((r < 0 ? r : (int)ino) != rows[i].result)
			CHECK_STR("another result", rows[i].path);
	}
	CHECK_OK(shale_index_resolve(ix, "/loop", false, &ino, &err));
	CHECK_INT(ino, 13);
	CHECK_OK(shale_index_resolve(ix, "/bin", false, &ino, &err));
	CHECK_INT(ino, 10);
	CHECK_OK(shale_index_resolve(ix, "/bin/", false, &ino, &err));
	CHECK_INT(ino, 3);
	shale_index_close(ix);
	layers_end(&l);
}

TEST(a_chain_of_forty_links_resolves_and_one_more_does_not)
{
	struct layers l = layers_begin(1000);
	struct shale_err err;
	char name[16], target[16];
	uint64_t ino;

	layers_inode(&l, 1, S_IFDIR | 0755);
	for (uint64_t i = 0; i < 41; i++) {
		snprintf(name, sizeof(name), "l%d", (int)i);
		snprintf(target, sizeof(target), "l%d", (int)i + 1);
		layers_symlink(&l, 10 + i, target);
		layers_name(&l, 1, name, 10 + i, S_IFLNK);
	}
	layers_inode(&l, 99, S_IFREG | 0644);
	layers_name(&l, 1, "l41", 99, S_IFREG);
	layers_push(&l);
	struct shale_index *ix = layers_index(&l);
	CHECK_OK(shale_index_resolve(ix, "l1", true, &ino, &err));
	CHECK_INT(ino, 99);
	CHECK_INT(shale_index_resolve(ix, "l0", true, &ino, &err), -ELOOP);
	shale_index_close(ix);
	layers_end(&l);
}

/* Targets of 4,095 bytes that each begin with a further link. */
TEST(a_hostile_web_of_long_links_ends)
{
	struct layers l = layers_begin(1000);
	uint64_t ino;
	char target[SHALE_TARGET_MAX + 1];

	memset(target, '/', sizeof(target));
	for (size_t i = 0; i + 2 < sizeof(target); i += 2)
		target[i] = 'x';
	target[SHALE_TARGET_MAX] = '\0';
	layers_inode(&l, 1, S_IFDIR | 0755);
	layers_symlink(&l, 2, target);
	layers_name(&l, 1, "x", 2, S_IFLNK);
	layers_push(&l);
	struct shale_index *ix = layers_index(&l);
	CHECK_INT(shale_index_resolve(ix, "/x/x/x", true, &ino, NULL), -ELOOP);
	shale_index_close(ix);
	layers_end(&l);
}

TEST(a_tree_a_hundred_thousand_directories_deep_has_paths)
{
	enum { DEPTH = 100000 };
	struct layers l = layers_begin(DEPTH + 10);
	struct shale_buf path = {0};
	struct shale_err err;
	uint64_t ino;

	layers_inode(&l, 1, S_IFDIR | 0755);
	for (uint64_t i = 2; i < DEPTH; i++) {
		layers_inode(&l, i, S_IFDIR | 0755);
		layers_name(&l, i - 1, "d", i, S_IFDIR);
	}
	layers_push(&l);
	struct shale_index *ix = layers_index(&l);
	CHECK_OK(shale_index_path(ix, DEPTH - 1, 0, &path, &err));
	CHECK_INT(path.len, 2 * (DEPTH - 2));
	CHECK_OK(shale_index_find(ix, shale_buf_str(&path), &ino, &err));
	CHECK_INT(ino, DEPTH - 1);
	shale_buf_release(&path);
	shale_index_close(ix);
	layers_end(&l);
}

TEST(sparse_inode_numbers_are_found_and_others_are_not)
{
	struct layers l = layers_begin(SHALE_INO_MAX + 1);
	struct shale_err err;
	struct shale_attr attr;
	char name[16];

	layers_inode(&l, 1, S_IFDIR | 0755);
	for (uint64_t i = 1; i <= 500; i++) {
		snprintf(name, sizeof(name), "%d", (int)i);
		layers_inode(&l, i * i + 1, S_IFREG | 0644);
		layers_name(&l, 1, name, i * i + 1, S_IFREG);
	}
	layers_inode(&l, SHALE_INO_MAX, S_IFREG | 0644);
	layers_name(&l, 1, "last", SHALE_INO_MAX, S_IFREG);
	layers_push(&l);
	struct shale_index *ix = layers_index(&l);
	for (uint64_t i = 1; i <= 500; i++) {
		CHECK_OK(shale_index_attr(ix, i * i + 1, &attr, &err));
		CHECK_INT(attr.ino, i * i + 1);
		CHECK_INT(shale_index_attr(ix, i * i + 3, &attr, &err),
			  -ENOENT);
	}
	CHECK_OK(shale_index_attr(ix, SHALE_INO_MAX, &attr, &err));
	CHECK_INT(shale_index_attr(ix, 0, &attr, &err), -ENOENT);
	CHECK_INT(shale_index_attr(ix, UINT64_MAX, &attr, &err), -ENOENT);
	CHECK_INT(shale_index_attr_nth(ix, 502, &attr, &err), -EUCLEAN);
	shale_index_close(ix);
	layers_end(&l);
}

TEST(odd_names_are_looked_up_without_harm)
{
	struct layers l = paths();
	struct shale_index *ix = layers_index(&l);
	struct shale_entry e;
	static const char zeros[70000];

	CHECK_INT(shale_index_lookup(ix, 1, "", 0, &e, NULL, NULL), -ENOENT);
	CHECK_INT(shale_index_lookup(ix, 1, "us", 2, &e, NULL, NULL), -ENOENT);
	CHECK_INT(shale_index_lookup(ix, 1, "usr\0", 4, &e, NULL, NULL),
		  -ENOENT);
	CHECK_INT(
		shale_index_lookup(ix, 1, zeros, sizeof(zeros), &e, NULL, NULL),
		-ENOENT);
	CHECK_INT(shale_index_lookup(ix, 5, "x", 1, &e, NULL, NULL), -ENOTDIR);
	CHECK_INT(shale_index_lookup(ix, 99, "x", 1, &e, NULL, NULL), -ENOENT);
	shale_index_close(ix);
	layers_end(&l);
}

/* ------------------------------------------------------------- damage */

/* Call everything; what it says does not matter, that it ends does. */
static void use_all(const struct shale_index *ix)
{
	struct shale_buf path = {0};
	struct shale_attr attr;
	uint64_t ino;

	for (uint64_t i = 0; i < shale_index_inodes(ix); i++) {
		if (shale_index_attr_nth(ix, i, &attr, NULL) < 0)
			continue;
		path.len = 0;
		shale_index_path(ix, attr.ino, 0, &path, NULL);
		shale_index_path(ix, attr.ino, 1, &path, NULL);
	}
	shale_index_resolve(ix, "/usr/up", true, &ino, NULL);
	shale_index_resolve(ix, "/bin/../abs", true, &ino, NULL);
	shale_index_find(ix, "/usr/bin/sh", &ino, NULL);
	shale_buf_release(&path);
}

static struct shale_index *open_bytes(const uint8_t *data, size_t len)
{
	struct shale_index *ix;
	int fd = layers_memfd();

	CHECK(write(fd, data, len) == (ssize_t)len);
	int r = shale_index_open(&ix, fd, "damaged", NULL);
	close(fd);
	return r < 0 ? NULL : ix;
}

TEST(a_flipped_bit_anywhere_is_found_by_verify)
{
	struct layers l = paths();
	size_t len;
	int fd;
	CHECK(layers_try_index(&l, NULL, &fd) == 0);
	uint8_t *data = layers_bytes(fd, &len);

	for (size_t i = 0; i < len; i++) {
		data[i] ^= (uint8_t)(1 << i % 8);
		struct shale_index *ix = open_bytes(data, len);
		if (ix)
			CHECK_INT(shale_index_verify(ix, NULL), -EUCLEAN);
		if (ix)
			use_all(ix);
		shale_index_close(ix);
		data[i] ^= (uint8_t)(1 << i % 8);
	}
	free(data);
	close(fd);
	layers_end(&l);
}

TEST(an_index_cut_short_does_not_open)
{
	struct layers l = paths();
	size_t len;
	int fd;
	CHECK(layers_try_index(&l, NULL, &fd) == 0);
	uint8_t *data = layers_bytes(fd, &len);

	for (size_t n = 1; n < len; n += 7)
		CHECK(!open_bytes(data, n));
	free(data);
	close(fd);
	layers_end(&l);
}

TEST(a_tree_blob_is_no_index)
{
	struct shale_tree_build *b;
	struct shale_digest digest;
	struct shale_index *ix;
	struct shale_err err;
	uint64_t size;
	int fd = layers_memfd();

	CHECK_OK(shale_tree_build_new(&b, &err));
	CHECK_OK(shale_tree_build_finish(b, fd, 10, &digest, &size, &err));
	CHECK_INT(shale_index_open(&ix, fd, "x", &err), -EUCLEAN);
	shale_tree_build_free(b);
	close(fd);
}

/*
 * Records that are wrong though all checksums hold: an index is written with
 * one record changed.
 */
struct wrong {
	const char *what;
	uint64_t ino;  /* whose inode record */
	size_t offset; /* in it */
	uint64_t value;
	size_t size;
};

#define FIELD(member)                                                          \
	offsetof(struct shale_disk_index_inode, member),                       \
		sizeof(((struct shale_disk_index_inode *)0)->member)

static int write_changed(const struct shale_table *from,
			 const struct shale_disk_index_inode *inodes,
			 uint64_t n)
{
	struct shale_table_writer *w;
	struct shale_err err;
	const void *data;
	int fd = layers_memfd();

	CHECK_OK(shale_table_writer_new(&w, fd, &shale_index_kind, &err));
	for (unsigned s = 0; s < SHALE_INDEX_NSECTIONS; s++) {
		uint64_t count = shale_table_count(from, s);
		CHECK_OK(shale_table_get(from, s, 0, count, &data, &err));
		CHECK_OK(shale_table_writer_begin(w, s, &err));
		CHECK_OK(shale_table_writer_add(
			w, s == SHALE_INDEX_INODES ? inodes : data, count,
			&err));
	}
	CHECK_INT(shale_table_count(from, SHALE_INDEX_INODES), n);
	for (unsigned f = 0; f < 2; f++)
		shale_table_writer_field(w, f, shale_table_field(from, f));
	CHECK_OK(shale_table_writer_finish(w, NULL, NULL, &err));
	shale_table_writer_free(w);
	return fd;
}

static void check_wrong(const struct shale_table *table, uint64_t ino,
			size_t offset, size_t size, uint64_t value)
{
	uint64_t n = shale_table_count(table, SHALE_INDEX_INODES);
	struct shale_index *ix;
	struct shale_err err;
	const void *data;

	CHECK_OK(shale_table_get(table, SHALE_INDEX_INODES, 0, n, &data, &err));
	struct shale_disk_index_inode *inodes = malloc(n * sizeof(*inodes));
	CHECK(inodes);
	memcpy(inodes, data, n * sizeof(*inodes));
	for (uint64_t i = 0; i < n; i++)
		if (le64_get(inodes[i].ino) == ino) {
			struct le64 bytes = le64_make(value);
			memcpy((uint8_t *)&inodes[i] + offset, &bytes, size);
		}
	int fd = write_changed(table, inodes, n);
	CHECK_OK(shale_index_open(&ix, fd, "changed", &err));
	if (shale_index_verify(ix, &err) != -EUCLEAN)
		shale_test_fail(__FILE__, __LINE__,
				"inode %d, offset %zu: verify is content",
				(int)ino, offset);
	use_all(ix);
	shale_index_close(ix);
	close(fd);
	free(inodes);
}

TEST(records_that_contradict_each_other_are_found_by_verify)
{
	struct layers l = paths();
	struct shale_table *table;
	struct shale_err err;
	int fd;

	CHECK(layers_try_index(&l, NULL, &fd) == 0);
	CHECK_OK(shale_table_open(&table, fd, &shale_index_kind, "x", &err));
	check_wrong(table, 1, FIELD(ino), 2);
	check_wrong(table, 1, FIELD(mode), S_IFREG | 0644);
	check_wrong(table, 5, FIELD(ino), 4);
	check_wrong(table, 5, FIELD(ino), UINT64_MAX);
	check_wrong(table, 5, FIELD(mode), 0);
	check_wrong(table, 5, FIELD(mode), S_IFIFO | 0644);
	check_wrong(table, 5, FIELD(mtime_nsec), 1000000000);
	check_wrong(table, 5, FIELD(nlink), 2);
	check_wrong(table, 5, FIELD(size), UINT64_MAX);
	check_wrong(table, 5, FIELD(size), 7);
	check_wrong(table, 5, FIELD(parent), 2);
	check_wrong(table, 5, FIELD(entry), 0);
	check_wrong(table, 5, FIELD(entry), UINT64_MAX);
	check_wrong(table, 5, FIELD(tree), 7);
	check_wrong(table, 5, FIELD(levels), 7);
	check_wrong(table, 5, FIELD(xattr_len), UINT32_MAX);
	check_wrong(table, 5, FIELD(xattr_len), 4);
	check_wrong(table, 2, FIELD(parent), 3); /* a cycle upwards */
	check_wrong(table, 2, FIELD(first), 0);
	check_wrong(table, 2, FIELD(first), UINT64_MAX);
	check_wrong(table, 2, FIELD(count), UINT64_MAX);
	check_wrong(table, 2, FIELD(count), 1);
	check_wrong(table, 10, FIELD(first), UINT64_MAX);
	check_wrong(table, 10, FIELD(size), 0);
	check_wrong(table, 10, FIELD(size), SHALE_TARGET_MAX + 1);
	shale_table_close(table);
	close(fd);
	layers_end(&l);
}
