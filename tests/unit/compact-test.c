/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/store/compact.h"

#include "layers/index/merge.h"
#include "layers/store/compact_file.h"
#include "tests/lib/check.h"
#include "tests/unit/stored.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* --------------------------------------------------------------- choosing */

struct work {
	size_t longest;         /* chain */
	uint64_t given, copied; /* bytes of layers, and of merges */
};

/* Versions with trees of these sizes, one merge prepared after each. */
static struct work simulate(uint64_t base, uint64_t (*size)(int i), int n)
{
	static struct shale_layer_desc chain[2000];
	struct work w = {.given = base};
	size_t len = 1, first, end;

	chain[0].size = base;
	for (int i = 0; i < n; i++) {
		chain[len++].size = size(i);
		w.given += size(i);
		if (len > w.longest)
			w.longest = len;
		if (!shale_compact_choose(chain, len, 0, &first, &end))
			continue;
		CHECK(first + 2 <= end && end <= len);
		uint64_t sum = 0;
		for (size_t k = first; k < end; k++)
			sum += chain[k].size;
		w.copied += sum;
		chain[first].size = sum;
		memmove(&chain[first + 1], &chain[end],
			(len - end) * sizeof(*chain));
		len -= end - first - 1;
	}
	return w;
}

static uint64_t tiny(int i)
{
	(void)i;
	return 5000;
}

static uint64_t medium(int i)
{
	(void)i;
	return 200000;
}

static uint64_t mixed(int i)
{
	return UINT64_C(4096) << (i * 2654435761u >> 28);
}

static uint64_t falling(int i)
{
	return UINT64_C(1) << (40 - i % 40);
}

static uint64_t rising(int i)
{
	return UINT64_C(1) << (10 + i % 30);
}

TEST(a_chain_stays_short_and_a_byte_is_copied_a_few_times)
{
	static const struct {
		const char *name;
		uint64_t (*size)(int i);
		uint64_t times; /* copies of a byte, at most */
	} kinds[] = {{"tiny", tiny, 12},
		     {"medium", medium, 10},
		     {"mixed", mixed, 12},
		     {"falling", falling, 40},
		     {"rising", rising, 12}};
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		for (uint64_t base = 4096; base < UINT64_C(1) << 36;
		     base <<= 8) {
			struct work w = simulate(base, kinds[i].size, 1500);
			if (w.longest > SHALE_TREES_MAX ||
			    w.copied / kinds[i].times > w.given)
				shale_test_fail(
					__FILE__, __LINE__,
					"%s on %llu: %zu trees, %.1f copies",
					kinds[i].name, (unsigned long long)base,
					w.longest,
					(double)w.copied / (double)w.given);
		}
}

TEST(a_large_base_is_not_copied_for_a_small_change)
{
	struct work w = simulate(UINT64_C(1) << 30, tiny, 1000);
	CHECK(w.copied < UINT64_C(64) << 20);
}

/* ------------------------------------------------------------------ a model */

enum { FILES = 40, VERSIONS = 200 };

/* Directory entries of the root: inode and permissions; 0: none. */
struct model {
	uint64_t ino[FILES];
	uint32_t mode[FILES];
	uint64_t next_ino;
};

static const char *name_of(int i)
{
	static char name[16];
	snprintf(name, sizeof(name), "file%d", i);
	return name;
}

/* Change a few names; the layer that says so. */
static struct shale_layer_desc change(struct shale_store *s, struct model *m,
				      bool root)
{
	struct shale_tree_build *b = stored_begin();
	bool touched[FILES] = {0};

	if (root)
		stored_root(b);
	for (int k = 0; k < 1 + (int)(shale_test_random() % 6); k++) {
		int i = (int)(shale_test_random() % FILES);
		if (touched[i])
			continue;
		touched[i] = true;
		uint32_t mode = 0600 | (shale_test_random() & 077);
		if (!m->ino[i]) {
			m->ino[i] = m->next_ino++;
			m->mode[i] = mode;
			stored_file(b, m->ino[i], name_of(i), mode);
		} else if (shale_test_random() % 2) {
			m->mode[i] = mode;
			stored_file(b, m->ino[i], NULL, mode);
		} else {
			stored_gone(b, m->ino[i], name_of(i));
			m->ino[i] = 0;
		}
	}
	return stored_end(s, b, m->next_ino);
}

/* Does the image hold just what the model says? */
static void compare(const struct shale_index *ix, const struct model *m)
{
	struct shale_err err;
	struct shale_index_dir dir;
	uint64_t files = 0;

	CHECK_OK(shale_index_verify(ix, &err));
	CHECK_OK(shale_index_dir(ix, SHALE_ROOT_INO, &dir, &err));
	for (int i = 0; i < FILES; i++) {
		struct shale_entry e;
		struct shale_attr attr;
		const char *name = name_of(i);
		int r = shale_index_lookup(ix, SHALE_ROOT_INO, name,
					   strlen(name), &e, NULL, &err);
		CHECK_INT(r, m->ino[i] ? 0 : -ENOENT);
		if (r < 0)
			continue;
		files++;
		CHECK_INT(e.ino, m->ino[i]);
		CHECK_OK(shale_index_attr(ix, e.ino, &attr, &err));
		CHECK_INT(attr.mode, S_IFREG | m->mode[i]);
	}
	CHECK_INT(dir.count, files);
	CHECK_INT(shale_index_inodes(ix), files + 1);
}

static struct shale_version *publish(struct shale_store *s,
				     const struct shale_version *parent,
				     struct model *m)
{
	struct shale_err err;
	struct shale_version *v = calloc(1, sizeof(*v)), *read;
	size_t below = 0;

	CHECK(v);
	if (parent)
		CHECK_OK(shale_compact_use(s, parent, &v->trees, &below, &err));
	v->trees = reallocarray(v->trees, below + 1, sizeof(*v->trees));
	CHECK(v->trees);
	v->trees[below] = change(s, m, !parent);
	v->n_trees = below + 1;
	v->description.next_ino = m->next_ino;
	if (parent) {
		v->description.parent = parent->digest;
		v->description.has_parent = true;
	}
	CHECK_OK(shale_store_publish(s, v, "chain", NULL, true, &err));
	CHECK_OK(shale_store_version(s, &v->digest, &read, &err));
	CHECK_OK(shale_compact_prepare(s, read, &err));
	shale_version_free(v);
	return read;
}

TEST(a_compacted_chain_is_the_same_tree_at_every_version)
{
	struct shale_store *s = stored_new();
	struct shale_err err;
	struct model m = {.next_ino = 2};
	struct shale_version *v = NULL;
	size_t longest = 0;

	for (int i = 0; i < VERSIONS; i++) {
		struct shale_version *next = publish(s, v, &m);
		shale_version_free(v);
		v = next;
		if (v->n_trees > longest)
			longest = v->n_trees;
		struct shale_image *image;
		CHECK_OK(shale_store_open_image(s, &v, 1, &image, &err));
		compare(image->index, &m);
		shale_image_close(image);
	}
	CHECK(longest <= SHALE_TREES_MAX);
	CHECK(longest > 2);
	shale_version_free(v);
	shale_store_close(s);
}

TEST(a_branch_uses_the_merges_of_the_trunk)
{
	struct shale_store *s = stored_new();
	struct shale_err err;
	struct model m = {.next_ino = 2}, at[40];
	struct shale_version *v[40] = {0};

	for (int i = 0; i < 40; i++) {
		v[i] = publish(s, i ? v[i - 1] : NULL, &m);
		at[i] = m;
	}
	for (int i = 0; i < 40; i += 3) {
		struct shale_layer_desc *trees;
		size_t n;
		CHECK_OK(shale_compact_use(s, v[i], &trees, &n, &err));
		CHECK(n <= v[i]->n_trees);
		free(trees);
		struct shale_version *branch = publish(s, v[i], &at[i]);
		struct shale_image *image;
		CHECK_OK(shale_store_open_image(s, &branch, 1, &image, &err));
		compare(image->index, &at[i]);
		shale_image_close(image);
		shale_version_free(branch);
	}
	for (int i = 0; i < 40; i++)
		shale_version_free(v[i]);
	shale_store_close(s);
}

/* ------------------------------------------------------------ prepared files
 */

static int count_one(void *arg, const char *name,
		     const struct shale_compact_file *f)
{
	CHECK(strlen(name) == 64 && f->n_trees >= 2);
	++*(int *)arg;
	return 0;
}

TEST(a_damaged_or_foreign_preparation_is_not_used)
{
	struct shale_store *s = stored_new();
	struct shale_err err;
	struct model m = {.next_ino = 2};
	struct shale_version *v = NULL;

	for (int i = 0; i < 6; i++) {
		struct shale_version *next = publish(s, v, &m);
		shale_version_free(v);
		v = next;
	}
	int prepared = 0;
	CHECK_OK(shale_compact_each(s, count_one, &prepared, &err));
	CHECK(prepared >= 1);

	/* the right name, of trees that are others */
	char name[SHALE_COMPACT_NAME], path[100];
	CHECK_INT(shale_compact_file_name(v->trees, v->n_trees, name), 0);
	struct shale_digest others[2] = {{{1}}, {{2}}};
	struct shale_compact_file lie = {
		.merged = v->trees[0], .trees = others, .n_trees = 2};
	CHECK_OK(shale_compact_file_write(s, name, &lie, &err));
	struct shale_compact_file f;
	CHECK_INT(shale_compact_file_read(s, name, &f, &err), -ENOENT);

	/* a merge that dropped tombstones stands at the bottom only */
	snprintf(path, sizeof(path), "compact/%s", name);
	int fd = openat(shale_store_dirfd(s), path,
			O_WRONLY | O_CREAT | O_TRUNC, 0600);
	CHECK(fd >= 0 && write(fd, "{\"digest\":", 10) == 10);
	close(fd);
	struct shale_layer_desc *trees;
	size_t n;
	CHECK_OK(shale_compact_use(s, v, &trees, &n, &err));
	free(trees);
	CHECK(faccessat(shale_store_dirfd(s), path, F_OK, 0) < 0);
	shale_version_free(v);
	shale_store_close(s);
}

TEST(a_merge_that_dropped_tombstones_stays_at_the_bottom)
{
	struct shale_store *s = stored_new();
	struct shale_err err;
	struct model m = {.next_ino = 2};
	struct shale_layer_desc t[4], *trees;
	char name[SHALE_COMPACT_NAME];
	size_t n;

	for (int i = 0; i < 4; i++)
		t[i] = change(s, &m, i == 0);
	struct shale_digest run[2] = {t[1].digest, t[2].digest};
	struct shale_compact_file f = {
		.merged = t[3], .bottom = true, .trees = run, .n_trees = 2};
	CHECK_INT(shale_compact_file_name(&t[1], 2, name), 0);
	CHECK_OK(shale_compact_file_write(s, name, &f, &err));
	struct shale_version v = {.trees = t, .n_trees = 3};
	CHECK_OK(shale_compact_use(s, &v, &trees, &n, &err));
	CHECK_INT(n, 3);
	free(trees);
	v.trees = &t[1];
	v.n_trees = 2;
	CHECK_OK(shale_compact_use(s, &v, &trees, &n, &err));
	CHECK_INT(n, 1);
	free(trees);
	shale_store_close(s);
}

TEST(a_merge_that_gives_its_blob_another_size_is_not_used)
{
	struct shale_store *s = stored_new();
	struct shale_err err;
	struct model m = {.next_ino = 2};
	struct shale_layer_desc t[4], *trees;
	char name[SHALE_COMPACT_NAME];

	for (int i = 0; i < 4; i++)
		t[i] = change(s, &m, i == 0);
	struct shale_digest run[2] = {t[0].digest, t[1].digest};
	struct shale_compact_file f = {
		.merged = t[3], .bottom = true, .trees = run, .n_trees = 2};
	struct shale_version v = {.trees = t, .n_trees = 3};
	CHECK_INT(shale_compact_file_name(t, 2, name), 0);
	for (int wrong = 0; wrong < 2; wrong++) {
		size_t n;
		f.merged.size += (uint64_t)wrong;
		CHECK_OK(shale_compact_file_write(s, name, &f, &err));
		CHECK_OK(shale_compact_use(s, &v, &trees, &n, &err));
		CHECK_INT(n, wrong ? 3 : 2);
		free(trees);
	}
	shale_store_close(s);
}
