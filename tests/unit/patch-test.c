/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Patches of indexes: what only a whole merge can judge is refused, damage is
 * found, and a wide directory costs its changes.  merge-model.c compares random
 * ones with a model.
 */
#include "layers/base/buf.h"
#include "layers/index/patch.h"
#include "layers/index/patch_disk.h"
#include "tests/lib/check.h"
#include "tests/unit/layers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* /a, /b, /b/f, also /a/g; /b/sub */
static struct layers small(void)
{
	struct layers l = layers_begin(100);

	layers_push_root(&l);
	layers_inode(&l, 2, S_IFDIR | 0755);
	layers_inode(&l, 3, S_IFDIR | 0755);
	layers_inode(&l, 4, S_IFREG | 0644);
	layers_inode(&l, 5, S_IFDIR | 0755);
	layers_name(&l, 1, "a", 2, S_IFDIR);
	layers_name(&l, 1, "b", 3, S_IFDIR);
	layers_name(&l, 2, "g", 4, S_IFREG);
	layers_name(&l, 3, "f", 4, S_IFREG);
	layers_name(&l, 3, "sub", 5, S_IFDIR);
	layers_push(&l);
	return l;
}

/* The index of the lowest `n` layers, and what is above as a patch of it. */
static int try_patch(struct layers *l, size_t n, struct shale_index **out,
		     int *fd)
{
	struct shale_err err;
	size_t all = l->n;

	l->n = n;
	struct shale_index *base = layers_index(l);
	l->n = all;
	*fd = layers_memfd();
	int r = shale_patch_write(*fd, base, l->tree, l->digest, all, &err);
	if (r == 0)
		CHECK_OK(shale_patch_open(out, *fd, &base, "patch", &err));
	shale_index_close(base);
	return r;
}

static struct shale_index *patch(struct layers *l, size_t n)
{
	struct shale_index *ix;
	struct shale_err err;
	int fd;

	CHECK_INT(try_patch(l, n, &ix, &fd), 0);
	CHECK_OK(shale_index_verify(ix, &err));
	close(fd);
	return ix;
}

static void check_refused(struct layers *l, int want)
{
	struct shale_index *ix;
	int fd;

	layers_push(l);
	CHECK_INT(try_patch(l, l->n - 1, &ix, &fd), want);
	close(fd);
	layers_end(l);
}

TEST(what_a_layer_changes_is_seen_and_the_rest_shows_through)
{
	struct layers l = small();
	struct shale_err err;
	struct shale_attr attr;
	uint64_t ino;

	layers_no_name(&l, 3, "f");
	layers_name(&l, 1, "moved", 5, S_IFDIR);
	layers_no_name(&l, 3, "sub");
	layers_inode(&l, 9, S_IFREG | 0600);
	layers_name(&l, 5, "new", 9, S_IFREG);
	layers_push(&l);
	struct shale_index *ix = patch(&l, 2);
	CHECK_INT(shale_index_find(ix, "/b/f", &ino, &err), -ENOENT);
	CHECK_INT(shale_index_find(ix, "/b/sub", &ino, &err), -ENOENT);
	CHECK_OK(shale_index_find(ix, "/moved/new", &ino, &err));
	CHECK_INT(ino, 9);
	CHECK_OK(shale_index_find(ix, "/a/g", &ino, &err));
	CHECK_OK(shale_index_attr(ix, ino, &attr, &err));
	CHECK_INT(attr.nlink, 1);
	CHECK_OK(shale_index_attr(ix, 3, &attr, &err));
	CHECK_INT(attr.nlink, 2);
	CHECK_OK(shale_index_attr(ix, 1, &attr, &err));
	CHECK_INT(attr.nlink, 5);
	CHECK_INT(shale_index_inodes(ix), 6);
	CHECK_INT(shale_index_entries(ix), 5);
	shale_index_close(ix);
	layers_end(&l);
}

TEST(layers_that_change_nothing_are_a_patch_of_nothing)
{
	struct layers l = small();
	struct shale_err err;
	uint64_t ino;

	layers_no_name(&l, 3, "never was");
	layers_gone(&l, 50);
	layers_push(&l);
	struct shale_index *ix = patch(&l, 2);
	CHECK_INT(shale_index_inodes(ix), 5);
	CHECK_OK(shale_index_find(ix, "/b/sub", &ino, &err));
	CHECK_INT(ino, 5);
	shale_index_close(ix);
	layers_end(&l);
}

TEST(a_file_that_two_deleted_directories_had_keeps_its_third_name)
{
	struct layers l = small();
	struct shale_err err;
	struct shale_attr attr;
	uint64_t ino;

	layers_name(&l, 1, "kept", 4, S_IFREG);
	layers_push(&l);
	for (uint64_t dir = 2; dir <= 5; dir++)
		if (dir != 4)
			layers_gone(&l, dir);
	layers_no_name(&l, 1, "a");
	layers_no_name(&l, 1, "b");
	layers_push(&l);
	struct shale_index *ix = patch(&l, 3);
	CHECK_OK(shale_index_find(ix, "/kept", &ino, &err));
	CHECK_OK(shale_index_attr(ix, ino, &attr, &err));
	CHECK_INT(attr.nlink, 1);
	CHECK_INT(shale_index_inodes(ix), 2);
	CHECK_INT(shale_index_entries(ix), 1);
	shale_index_close(ix);
	layers_end(&l);
}

TEST(a_name_of_an_inode_that_is_not_there_is_left_to_the_whole_merge)
{
	struct layers l = small();
	layers_name(&l, 1, "x", 50, S_IFREG);
	check_refused(&l, -EOPNOTSUPP);
}

TEST(a_second_name_of_a_directory_is_left_to_the_whole_merge)
{
	struct layers l = small();
	layers_name(&l, 1, "x", 5, S_IFDIR);
	check_refused(&l, -EOPNOTSUPP);
}

TEST(a_directory_moved_into_itself_is_left_to_the_whole_merge)
{
	struct layers l = small();
	layers_no_name(&l, 1, "b");
	layers_name(&l, 5, "b", 3, S_IFDIR);
	check_refused(&l, -EOPNOTSUPP);
}

TEST(an_inode_left_without_a_name_is_left_to_the_whole_merge)
{
	struct layers l = small();
	layers_no_name(&l, 3, "sub");
	check_refused(&l, -EOPNOTSUPP);
}

TEST(what_a_deleted_directory_leaves_behind_is_left_to_the_whole_merge)
{
	struct layers l = small();
	layers_gone(&l, 3);
	layers_no_name(&l, 1, "b");
	check_refused(&l, -EOPNOTSUPP); /* 5 was in it */
}

TEST(an_inode_that_becomes_another_type_is_left_to_the_whole_merge)
{
	struct layers l = small();
	layers_inode(&l, 5, S_IFREG | 0644);
	layers_name(&l, 3, "sub", 5, S_IFREG);
	check_refused(&l, -EOPNOTSUPP);
}

TEST(an_inode_with_a_name_that_is_deleted_is_left_to_the_whole_merge)
{
	struct layers l = small();
	layers_gone(&l, 4);
	check_refused(&l, -EOPNOTSUPP);
}

TEST(an_index_of_other_trees_cannot_be_patched)
{
	struct layers l = small(), other = layers_begin(100);
	struct shale_err err;
	int fd = layers_memfd();

	layers_inode(&other, 1, S_IFDIR | 0700);
	layers_push(&other);
	struct shale_index *base = layers_index(&other);
	CHECK_INT(shale_patch_write(fd, base, l.tree, l.digest, l.n, &err),
		  -EINVAL);
	shale_index_close(base);
	close(fd);
	layers_end(&other);
	layers_end(&l);
}

TEST(a_patch_opens_over_its_own_base_only)
{
	struct layers l = small();
	struct shale_index *ix, *other;
	struct shale_err err;
	int fd;

	layers_inode(&l, 4, S_IFREG | 0600);
	layers_push(&l);
	CHECK_INT(try_patch(&l, 2, &ix, &fd), 0);
	shale_index_close(ix);
	other = layers_index(&l);
	CHECK_INT(shale_patch_open(&ix, fd, &other, "x", &err), -EUCLEAN);
	CHECK(other);
	CHECK_INT(shale_index_open(&ix, fd, "x", &err), -EUCLEAN);
	shale_index_close(other);
	close(fd);
	layers_end(&l);
}

TEST(the_trees_of_an_index_file_are_told_without_its_base)
{
	struct layers l = small();
	struct shale_buf trees = {0};
	struct shale_index *ix;
	struct shale_err err;
	uint32_t below;
	int fd;

	layers_inode(&l, 4, S_IFREG | 0600);
	layers_push(&l);
	CHECK_INT(try_patch(&l, 2, &ix, &fd), 0);
	CHECK_OK(shale_index_list_trees(fd, "x", &trees, &below, &err));
	CHECK_INT(below, 2);
	CHECK_INT(trees.len, 3 * sizeof(struct shale_digest));
	CHECK_MEM(trees.data, l.digest, trees.len);
	shale_index_close(ix);
	shale_buf_release(&trees);
	close(fd);
	layers_end(&l);
}

/* A hundred thousand names, of which three change. */
TEST(a_wide_directory_is_not_written_again)
{
	enum { N = 100000 };
	struct layers l = layers_begin(2 * N);
	struct shale_err err;
	struct shale_index_dir dir;
	struct shale_entry e;
	struct stat st;
	struct shale_index *ix;
	char name[16];
	uint64_t pos;
	int fd;

	layers_inode(&l, 1, S_IFDIR | 0755);
	for (uint64_t i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "n%06d", (int)i);
		layers_inode(&l, 10 + i, S_IFREG | 0644);
		layers_name(&l, 1, name, 10 + i, S_IFREG);
	}
	layers_push(&l);
	layers_no_name(&l, 1, "n050000");
	layers_gone(&l, 10 + 50000);
	layers_inode(&l, N + 20, S_IFREG | 0644);
	layers_name(&l, 1, "n050000a", N + 20, S_IFREG);
	layers_inode(&l, N + 21, S_IFREG | 0644);
	layers_name(&l, 1, "zz", N + 21, S_IFREG);
	layers_push(&l);
	CHECK_INT(try_patch(&l, 1, &ix, &fd), 0);
	CHECK(fstat(fd, &st) == 0 && st.st_size < 16384);
	CHECK_OK(shale_index_verify(ix, &err));
	CHECK_OK(shale_index_dir(ix, 1, &dir, &err));
	CHECK_INT(dir.count, N + 1);
	CHECK_OK(shale_index_entry(ix, dir.first + 50000, &e, &err));
	CHECK_INT(e.ino, N + 20);
	CHECK_OK(shale_index_entry(ix, dir.first + N, &e, &err));
	CHECK_INT(e.ino, N + 21);
	CHECK_OK(shale_index_lookup(ix, 1, "n099999", 7, &e, &pos, &err));
	CHECK_INT(pos, dir.first + N - 1);
	CHECK_INT(shale_index_entry(ix, dir.first + N + 1, &e, &err), -EUCLEAN);
	shale_index_close(ix);
	close(fd);
	layers_end(&l);
}

TEST(a_patch_does_not_pay_where_much_changed_or_little_is_there)
{
	struct layers l = layers_begin(20000);
	char name[16];

	layers_inode(&l, 1, S_IFDIR | 0755);
	for (uint64_t i = 2; i < 5000; i++) {
		snprintf(name, sizeof(name), "n%d", (int)i);
		layers_inode(&l, i, S_IFREG | 0644);
		layers_name(&l, 1, name, i, S_IFREG);
	}
	layers_push(&l);
	struct shale_index *base = layers_index(&l);
	layers_inode(&l, 2, S_IFREG | 0600);
	layers_push(&l);
	CHECK(shale_patch_pays(base, l.tree, l.n));
	for (uint64_t i = 2; i < 5000; i += 5)
		layers_inode(&l, i, S_IFREG | 0600);
	layers_push(&l);
	CHECK(!shale_patch_pays(base, l.tree, l.n));
	shale_index_close(base);
	layers_end(&l);

	struct layers few = small();
	base = layers_index(&few);
	CHECK(!shale_patch_pays(base, few.tree, few.n));
	shale_index_close(base);
	layers_end(&few);
}

/* ------------------------------------------------------------- damage */

static struct layers changed(void)
{
	struct layers l = small();

	layers_no_name(&l, 3, "f");
	layers_inode(&l, 9, S_IFREG | 0600);
	layers_symlink(&l, 10, "target");
	layers_name(&l, 3, "new", 9, S_IFREG);
	layers_name(&l, 1, "also", 9, S_IFREG);
	layers_name(&l, 1, "link", 10, S_IFLNK);
	layers_no_name(&l, 3, "sub");
	layers_gone(&l, 5);
	layers_push(&l);
	return l;
}

static void use_all(const struct shale_index *ix)
{
	struct shale_buf path = {0};
	struct shale_attr attr;
	struct shale_entry e;
	uint64_t ino;

	for (uint64_t i = 0; i < shale_index_inodes(ix); i++)
		if (shale_index_attr_nth(ix, i, &attr, NULL) == 0) {
			path.len = 0;
			shale_index_path(ix, attr.ino, 0, &path, NULL);
			shale_index_path(ix, attr.ino, 1, &path, NULL);
		}
	for (uint64_t i = 0; i < 20; i++)
		shale_index_entry(ix, i, &e, NULL);
	shale_index_find(ix, "/b/new", &ino, NULL);
	shale_buf_release(&path);
}

/* Open `data` as a patch, and return what verify says of it. */
static int judge(struct layers *l, const uint8_t *data, size_t len)
{
	struct shale_index *ix = NULL;
	size_t all = l->n;
	int fd = layers_memfd();

	l->n = 2;
	struct shale_index *base = layers_index(l);
	l->n = all;
	CHECK(write(fd, data, len) == (ssize_t)len);
	int r = shale_patch_open(&ix, fd, &base, "damaged", NULL);
	if (r == 0) {
		r = shale_index_verify(ix, NULL);
		use_all(ix);
	}
	shale_index_close(ix);
	shale_index_close(base);
	close(fd);
	return r;
}

TEST(a_flipped_bit_anywhere_in_a_patch_is_found)
{
	struct layers l = changed();
	struct shale_index *ix;
	size_t len;
	int fd;

	CHECK_INT(try_patch(&l, 2, &ix, &fd), 0);
	uint8_t *data = layers_bytes(fd, &len);
	CHECK_INT(judge(&l, data, len), 0);
	for (size_t i = 0; i < len; i++) {
		data[i] ^= (uint8_t)(1 << i % 8);
		CHECK_INT(judge(&l, data, len), -EUCLEAN);
		data[i] ^= (uint8_t)(1 << i % 8);
	}
	free(data);
	shale_index_close(ix);
	close(fd);
	layers_end(&l);
}

/* The patch with byte `at` of a section changed, all checksums good. */
static int rewrite(const struct shale_table *from, unsigned section, size_t at)
{
	struct shale_table_writer *w;
	struct shale_err err;
	const void *data;
	int fd = layers_memfd();

	CHECK_OK(shale_table_writer_new(&w, fd, &shale_patch_kind, &err));
	for (unsigned s = 0; s < SHALE_PATCH_NSECTIONS; s++) {
		uint64_t n = shale_table_count(from, s);
		size_t len = n * shale_patch_kind.record_size[s];
		CHECK_OK(shale_table_get(from, s, 0, n, &data, &err));
		uint8_t *copy = malloc(len + 1);
		CHECK(copy);
		memcpy(copy, data, len);
		if (s == section)
			copy[at] ^= 1;
		CHECK_OK(shale_table_writer_begin(w, s, &err));
		CHECK_OK(shale_table_writer_add(w, copy, n, &err));
		free(copy);
	}
	for (unsigned f = 0; f < SHALE_TABLE_FIELDS; f++)
		shale_table_writer_field(w, f, shale_table_field(from, f));
	CHECK_OK(shale_table_writer_finish(w, NULL, NULL, &err));
	shale_table_writer_free(w);
	return fd;
}

TEST(places_and_runs_that_are_wrong_are_found_by_verify)
{
	static const unsigned sections[] = {
		SHALE_PATCH_PLACES, SHALE_PATCH_RUNS, SHALE_INDEX_LINKS};
	struct layers l = changed();
	struct shale_table *table;
	struct shale_index *ix;
	struct shale_err err;
	size_t len;
	int fd;

	CHECK_INT(try_patch(&l, 2, &ix, &fd), 0);
	CHECK_OK(shale_table_open(&table, fd, &shale_patch_kind, "x", &err));
	for (size_t k = 0; k < 3; k++) {
		unsigned s = sections[k];
		size_t n = shale_table_count(table, s) *
			   shale_patch_kind.record_size[s];
		CHECK(n > 0);
		for (size_t i = 0; i < n; i += 8) {
			int bad = rewrite(table, s, i);
			uint8_t *data = layers_bytes(bad, &len);
			if (judge(&l, data, len) != -EUCLEAN)
				shale_test_fail(__FILE__, __LINE__,
						"section %u, byte %zu: verify "
						"is content",
						s, i);
			free(data);
			close(bad);
		}
	}
	shale_table_close(table);
	shale_index_close(ix);
	close(fd);
	layers_end(&l);
}
