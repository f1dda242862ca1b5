/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/store/version.h"

#include "layers/store/index_cache.h"
#include "tests/lib/check.h"
#include "tests/unit/stored.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static size_t files_in(struct shale_store *s, const char *name)
{
	int fd = openat(shale_store_dirfd(s), name, O_RDONLY | O_DIRECTORY);
	DIR *dir = fdopendir(fd);
	size_t n = 0;
	CHECK(dir);
	for (struct dirent *d; (d = readdir(dir));)
		n += strcmp(d->d_name, ".") && strcmp(d->d_name, "..");
	closedir(dir);
	return n;
}

static bool has_file(struct shale_store *s, struct shale_version *const *stack,
		     size_t n, const char *path)
{
	struct shale_image *image;
	struct shale_err err;
	uint64_t ino;
	CHECK_OK(shale_store_open_image(s, stack, n, &image, &err));
	int r = shale_index_find(image->index, path, &ino, &err);
	shale_image_close(image);
	return r == 0;
}

TEST(an_image_opens_with_all_that_its_layers_made)
{
	struct shale_store *s = stored_new();
	struct shale_err err;
	struct shale_version *a =
		stored_publish(s, NULL, "a", "sales", "v1", false);
	struct shale_version *b =
		stored_publish(s, a, "b", "sales", "v2", false);

	CHECK(has_file(s, &a, 1, "/a"));
	CHECK(!has_file(s, &a, 1, "/b"));
	CHECK(has_file(s, &b, 1, "/a"));
	CHECK(has_file(s, &b, 1, "/b"));

	struct shale_image *image;
	CHECK_OK(shale_store_open_trees(s, b, &image, &err));
	CHECK_INT(image->n_trees, 2);
	CHECK(image->index == NULL);
	shale_image_close(image);
	shale_version_free(a);
	shale_version_free(b);
	shale_store_close(s);
}

TEST(a_stack_opens_as_one)
{
	struct shale_store *s = stored_new();
	struct shale_version *stack[] = {
		stored_publish(s, NULL, "a", "one", "v1", false),
		stored_publish(s, NULL, "b", "two", "v1", false),
		stored_publish(s, NULL, "c", "three", "v1", false),
	};
	CHECK(has_file(s, stack, 3, "/a"));
	CHECK(has_file(s, stack, 3, "/b"));
	CHECK(has_file(s, stack, 3, "/c"));
	CHECK_INT(files_in(s, "indexes"), 4);
	for (int i = 0; i < 3; i++)
		shale_version_free(stack[i]);
	shale_store_close(s);
}

TEST(an_index_is_built_once)
{
	struct shale_store *s = stored_new();
	struct shale_err err;
	struct stat before, after;
	char name[80], path[100];
	struct shale_version *v =
		stored_publish(s, NULL, "a", "sales", "v1", false);

	CHECK_OK(shale_store_need_index(s, &v, 1, name, NULL, &err));
	snprintf(path, sizeof(path), "indexes/%s", name);
	CHECK(fstatat(shale_store_dirfd(s), path, &before, 0) == 0);
	CHECK_INT(before.st_mode & 07777, 0600);
	CHECK_OK(shale_store_need_index(s, &v, 1, name, NULL, &err));
	CHECK(has_file(s, &v, 1, "/a"));
	CHECK(fstatat(shale_store_dirfd(s), path, &after, 0) == 0);
	CHECK_INT(after.st_ino, before.st_ino);
	CHECK_INT(files_in(s, "indexes"), 1);
	shale_version_free(v);
	shale_store_close(s);
}

TEST(a_damaged_index_is_built_anew)
{
	struct shale_store *s = stored_new();
	struct shale_err err;
	char name[80], path[100];
	struct shale_version *v =
		stored_publish(s, NULL, "a", "sales", "v1", false);

	CHECK_OK(shale_store_need_index(s, &v, 1, name, NULL, &err));
	snprintf(path, sizeof(path), "indexes/%s", name);
	for (int i = 0; i < 3; i++) {
		int fd = openat(shale_store_dirfd(s), path, O_RDWR);
		CHECK(fd >= 0);
		if (i == 0)
			CHECK(ftruncate(fd, 0) == 0);
		else if (i == 1)
			CHECK(pwrite(fd, "garbage", 7, 0) == 7);
		else
			CHECK(ftruncate(fd, 100) == 0);
		close(fd);
		CHECK(has_file(s, &v, 1, "/a"));
	}
	shale_store_drop_index(s, name);
	CHECK_INT(files_in(s, "indexes"), 0);
	CHECK(has_file(s, &v, 1, "/a"));
	shale_version_free(v);
	shale_store_close(s);
}

TEST(a_child_is_merged_from_its_parents_index_even_a_damaged_one)
{
	struct shale_store *s = stored_new();
	struct shale_err err;
	char name[80], path[100];
	struct shale_version *v[4] = {0};

	for (int i = 0; i < 4; i++) {
		char file[4];
		snprintf(file, sizeof(file), "f%d", i);
		v[i] = stored_publish(s, i ? v[i - 1] : NULL, file, "sales",
				      NULL, true);
	}
	CHECK_OK(shale_store_need_index(s, &v[1], 1, name, NULL, &err));
	CHECK(has_file(s, &v[2], 1, "/f1") && has_file(s, &v[2], 1, "/f2"));

	/* the header holds, a block of records does not */
	CHECK_OK(shale_store_need_index(s, &v[2], 1, name, NULL, &err));
	snprintf(path, sizeof(path), "indexes/%s", name);
	int fd = openat(shale_store_dirfd(s), path, O_RDWR);
	struct stat st;
	CHECK(fd >= 0 && fstat(fd, &st) == 0);
	struct shale_index *ix = NULL;
	for (off_t at = st.st_size - 1; at > 0 && !ix; at -= 13) {
		uint8_t byte, bad;
		CHECK(pread(fd, &byte, 1, at) == 1);
		bad = byte ^ 0x40;
		CHECK(pwrite(fd, &bad, 1, at) == 1);
		if (shale_index_open(&ix, fd, "x", &err) < 0) {
			ix = NULL;
			CHECK(pwrite(fd, &byte, 1, at) == 1);
		}
	}
	shale_index_close(ix);
	close(fd);
	for (int i = 0; i < 4; i++) {
		char file[5];
		snprintf(file, sizeof(file), "/f%d", i);
		CHECK(has_file(s, &v[3], 1, file));
	}
	for (int i = 0; i < 4; i++)
		shale_version_free(v[i]);
	shale_store_close(s);
}

TEST(the_least_recently_used_indexes_go_first)
{
	struct shale_store *s = stored_new();
	struct shale_err err;
	char name[5][80];
	struct shale_version *v[5];

	for (int i = 0; i < 5; i++) {
		char file[4];
		snprintf(file, sizeof(file), "f%d", i);
		v[i] = stored_publish(s, NULL, file, "sales", NULL, true);
		CHECK_OK(shale_store_need_index(s, &v[i], 1, name[i], NULL,
						&err));
		usleep(10000);
	}
	CHECK_OK(shale_store_need_index(s, &v[1], 1, name[1], NULL, &err));
	CHECK_OK(shale_index_cache_trim(s, 2, UINT64_MAX, &err));
	CHECK_INT(files_in(s, "indexes"), 2);
	struct shale_index *ix;
	CHECK_OK(shale_index_cache_open(s, name[1], &ix, &err));
	shale_index_close(ix);
	CHECK_OK(shale_index_cache_open(s, name[4], &ix, &err));
	shale_index_close(ix);
	CHECK_OK(shale_index_cache_trim(s, 99, 1, &err));
	CHECK_INT(files_in(s, "indexes"), 1);
	for (int i = 0; i < 5; i++)
		shale_version_free(v[i]);
	shale_store_close(s);
}

TEST(what_a_dead_builder_left_goes_and_a_living_ones_stays)
{
	struct shale_store *s = stored_new();
	struct shale_err err;
	char dead[64], living[64];
	int a, b;

	CHECK_OK(shale_index_cache_create(s, &a, dead, &err));
	CHECK_OK(shale_index_cache_create(s, &b, living, &err));
	close(a);
	CHECK_OK(shale_index_cache_trim(s, 9, UINT64_MAX, &err));
	CHECK_INT(files_in(s, "indexes"), 1);
	close(b);
	shale_store_close(s);
}

TEST(a_missing_or_cut_tree_is_damage_and_named)
{
	struct shale_store *s = stored_new();
	struct shale_err err;
	struct shale_image *image;
	char text[SHALE_DIGEST_STR], path[100];
	struct shale_version *v =
		stored_publish(s, NULL, "a", "sales", "v1", false);

	shale_digest_str(&v->trees[0].digest, text);
	snprintf(path, sizeof(path), "blobs/sha256/%s", text + 7);
	CHECK(fchmodat(shale_store_dirfd(s), path, 0600, 0) == 0);
	int fd = openat(shale_store_dirfd(s), path, O_RDWR);
	CHECK(fd >= 0 && ftruncate(fd, 200) == 0);
	close(fd);
	CHECK_INT(shale_store_open_image(s, &v, 1, &image, &err), -EUCLEAN);
	CHECK(strstr(err.msg, text));
	CHECK(unlinkat(shale_store_dirfd(s), path, 0) == 0);
	shale_store_close(s);

	shale_version_free(v);
}

TEST(data_blobs_are_listed_once_in_the_order_of_the_trees)
{
	struct shale_store *s = stored_new();
	struct shale_err err;
	struct shale_layer_desc trees[3], *list;
	size_t n;

	for (int i = 0; i < 3; i++) {
		struct shale_tree_build *b = stored_begin();
		stored_root(b);
		for (int k = 0; k <= i; k++) {
			struct shale_digest d = {{(uint8_t)(9 - k)}};
			uint32_t blob, chunk;
			struct shale_chunk c = {.len = 4, .stored = 4};
			c.hash.b[0] = (uint8_t)k;
			CHECK_OK(shale_tree_build_blob(b, &d, 100u + k, &blob,
						       &err));
			CHECK_OK(shale_tree_build_chunk(b, &c, blob, &chunk,
							&err));
		}
		trees[i] = stored_end(s, b, 2);
	}
	CHECK_OK(shale_version_data_blobs(s, trees, 3, &list, &n, &err));
	CHECK_INT(n, 3);
	for (int k = 0; k < 3; k++) {
		CHECK_INT(list[k].digest.b[0], 9 - k);
		CHECK_INT(list[k].size, 100 + k);
	}
	free(list);
	CHECK_OK(shale_version_data_blobs(s, trees, 0, &list, &n, &err));
	CHECK_INT(n, 0);
	free(list);
	shale_store_close(s);
}
