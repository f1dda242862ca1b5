/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/commit/session.h"

#include "fs/live/live.h"
#include "layers/base/cleanup.h"
#include "layers/store/compact.h"
#include "tests/lib/check.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/*
 * Commits of a workspace at rest, in a store of its own: what is written is
 * kept in memory too, and compared with what the version has.
 */
enum { FILES = 4, SIZE_MAX_TEST = 1 << 20 };

struct shop {
	struct shale_store *store;
	struct shale_workspace *ws;
	struct shale_image *base;
	struct shale_handles *handles;
	struct shale_live *live;
	struct shale_version *last; /* the newest version */
	struct {
		uint8_t *data;
		uint64_t size, ino;
	} file[FILES];
};

static const struct shale_caller nobody;

static int open_content(void *arg, const struct shale_rec_image *which,
			struct shale_image **out, struct shale_err *err)
{
	return shale_store_open_manifests(arg, which->manifest, which->n, false,
					  out, err);
}

/* An image of a root and one empty file, `name`. */
static struct shale_digest publish_base(struct shop *s, const char *name)
{
	struct shale_err err;
	struct shale_version v = {0};
	struct shale_layer_desc tree = {0};
	struct shale_tree_build *b;
	struct shale_blob_tmp tmp;
	struct shale_inode root = {
		.attr = {.ino = 1, .mode = S_IFDIR | 0755, .nlink = 2}};
	struct shale_inode file = {
		.attr = {.ino = 2, .mode = S_IFREG | 0644, .nlink = 1}};
	struct shale_dirent entry = {1, 2, name, (uint16_t)strlen(name),
				     S_IFREG >> 12};

	CHECK_OK(shale_tree_build_new(&b, &err));
	CHECK_OK(shale_tree_build_inode(b, &root, &err));
	CHECK_OK(shale_tree_build_inode(b, &file, &err));
	CHECK_OK(shale_tree_build_dirent(b, &entry, &err));
	struct shale_blobs *blobs = shale_store_blobs(s->store);
	CHECK_OK(shale_blobs_create(blobs, &tmp.fd, tmp.name, &err));
	CHECK_OK(shale_tree_build_finish(b, tmp.fd, 3, &tmp.digest, &tree.size,
					 &err));
	CHECK_OK(shale_blobs_publish(blobs, &tmp, 1, &err));
	close(tmp.fd);
	shale_tree_build_free(b);
	tree.digest = tmp.digest;
	v.trees = &tree;
	v.n_trees = 1;
	v.description.next_ino = 3;
	v.description.inodes = 2;
	CHECK_OK(shale_store_publish(s->store, &v, name, NULL, true, &err));
	return v.digest;
}

static void rest(struct shop *s)
{
	struct shale_err err;
	shale_live_close(s->live);
	shale_handles_close(s->handles);
	shale_image_close(s->base);
	CHECK_OK(shale_workspace_close(s->ws, &err));
}

static void wake(struct shop *s)
{
	struct shale_err err;
	struct shale_rec_image which;
	struct shale_live_opts opts = {.open_image = open_content,
				       .arg = s->store};

	CHECK_OK(shale_workspace_open(&s->ws, shale_store_dirfd(s->store), "w",
				      &err));
	CHECK_OK(shale_live_base_of(s->ws, &which, &err));
	CHECK_OK(shale_store_open_manifests(s->store, which.manifest, which.n,
					    true, &s->base, &err));
	CHECK_OK(shale_handles_open(&s->handles, s->ws->dirfd, true, &err));
	CHECK_OK(shale_live_open(&s->live, s->ws, s->handles, s->base, &which,
				 &opts, &err));
}

/* A workspace on a stack of `n` images, each with a file of its own name. */
static struct shop *shop_new(size_t n)
{
	static int number;
	static const char *const names[] = {"first", "second", "third"};
	char path[300], *refs[] = {"a", "b", "c"};
	struct shale_err err;
	struct shale_digest base[3];
	struct shop *s = calloc(1, sizeof(*s));

	snprintf(path, sizeof(path), "%s/shop%d", shale_test_dir(), number++);
	CHECK_OK(shale_store_open(&s->store, path, true, &err));
	for (size_t i = 0; i < n; i++)
		base[i] = publish_base(s, names[i]);
	struct shale_workspace_info info = {
		.name = "w", .refs = refs, .base = base, .n_base = n};
	CHECK_OK(
		shale_workspace_make(shale_store_dirfd(s->store), &info, &err));
	wake(s);
	return s;
}

static void shop_free(struct shop *s)
{
	rest(s);
	shale_version_free(s->last);
	for (int i = 0; i < FILES; i++)
		free(s->file[i].data);
	shale_store_close(s->store);
	free(s);
}

/* ----------------------------------------------------------------- changes */

static uint64_t make(struct shop *s, const char *name)
{
	struct shale_make what = {.mode = S_IFREG | 0644};
	struct shale_node node;
	CHECK_INT(shale_live_make(s->live, &nobody, 1, name, strlen(name),
				  &what, &node),
		  0);
	return node.ino;
}

static void make_files(struct shop *s)
{
	for (int i = 0; i < FILES; i++) {
		char name[8];
		snprintf(name, sizeof(name), "f%d", i);
		s->file[i].ino = make(s, name);
		s->file[i].data = calloc(1, SIZE_MAX_TEST);
	}
}

static uint64_t below(uint64_t n)
{
	return shale_test_random() % n;
}

static void write_random(struct shop *s, int i, uint64_t off, size_t len)
{
	uint8_t *at = s->file[i].data + off;
	for (size_t k = 0; k < len; k++)
		at[k] = (uint8_t)below(256);
	CHECK_INT(shale_live_write(s->live, &nobody, s->file[i].ino, off, at,
				   len, false),
		  0);
	if (off + len > s->file[i].size)
		s->file[i].size = off + len;
}

static void resize(struct shop *s, int i, uint64_t size)
{
	struct shale_set set = {.what = SHALE_SET_SIZE, .size = size};
	struct shale_node node;
	CHECK_INT(shale_live_setattr(s->live, &nobody, s->file[i].ino, &set,
				     &node),
		  0);
	if (size < s->file[i].size)
		memset(s->file[i].data + size, 0, s->file[i].size - size);
	s->file[i].size = size;
}

static void clone(struct shop *s, int from, int to)
{
	uint64_t done, size = s->file[from].size;
	resize(s, to, 0);
	for (uint64_t off = 0; off < size; off += done) {
		CHECK_INT(shale_live_copy(s->live, &nobody, s->file[from].ino,
					  off, s->file[to].ino, off, size - off,
					  false, &done),
			  0);
		CHECK(done > 0);
	}
	memcpy(s->file[to].data, s->file[from].data, size);
	s->file[to].size = size;
}

/* ---------------------------------------------------------- commit, compare */

/* Returns how many inodes and names the layer speaks of. */
static uint64_t commit(struct shop *s, bool allow_empty)
{
	struct shale_err err;
	struct shale_description description = {0};
	struct shale_commit_result result = {0};
	struct shale_commit in = {.store = s->store,
				  .repo = "w",
				  .latest = true,
				  .allow_empty = allow_empty,
				  .description = &description,
				  .codec = SHALE_CODEC_DEFAULT,
				  .threads = 1};
	rest(s);
	CHECK_OK(shale_commit_resting(&in, "w", &result, &err));
	if (result.version) {
		shale_version_free(s->last);
		s->last = result.version;
		CHECK_OK(shale_compact_prepare(s->store, s->last, &err));
	}
	wake(s);
	return result.version ? result.changes : 0;
}

static struct shale_image *open_last(const struct shop *s)
{
	struct shale_err err;
	struct shale_image *image;
	CHECK_OK(shale_store_open_manifests(s->store, &s->last->digest, 1, true,
					    &image, &err));
	CHECK_OK(shale_index_verify(image->index, &err));
	CHECK_INT(shale_index_inodes(image->index),
		  s->last->description.inodes);
	return image;
}

static void compare(const struct shop *s)
{
	struct shale_err err;
	struct shale_image *image = open_last(s);
	uint8_t *got = malloc(SIZE_MAX_TEST);

	for (int i = 0; i < FILES; i++) {
		struct shale_attr attr;
		size_t n;
		CHECK_OK(shale_index_attr(image->index, s->file[i].ino, &attr,
					  &err));
		CHECK_INT(attr.size, s->file[i].size);
		CHECK_OK(shale_image_read(image, s->file[i].ino, 0, got,
					  SIZE_MAX_TEST, &n, &err));
		CHECK_INT(n, s->file[i].size);
		CHECK_MEM(got, s->file[i].data, n);
		CHECK_INT(shale_live_read(s->live, s->file[i].ino, 0, got,
					  SIZE_MAX_TEST, &n, NULL),
			  0);
		CHECK_INT(n, s->file[i].size);
		CHECK_MEM(got, s->file[i].data, n);
	}
	free(got);
	shale_image_close(image);
}

static unsigned levels_of(const struct shop *s, int i)
{
	struct shale_err err;
	struct shale_image *image = open_last(s);
	struct shale_content content;
	CHECK_OK(shale_content_resolve(&content, image->trees, image->n_trees,
				       s->file[i].ino, &err));
	unsigned n = content.n;
	shale_image_close(image);
	return n;
}

TEST(nothing_changed_is_no_version_unless_asked_for)
{
	struct shop *s = shop_new(1);
	make_files(s);
	CHECK(commit(s, false) > 0);
	struct shale_digest first = s->last->digest;
	CHECK_INT(commit(s, false), 0);
	CHECK(shale_digest_equal(&s->last->digest, &first));
	commit(s, true);
	CHECK(!shale_digest_equal(&s->last->digest, &first));
	compare(s);
	shop_free(s);
}

TEST(names_that_came_and_went_between_commits_leave_no_trace)
{
	struct shop *s = shop_new(1);
	make_files(s);
	commit(s, false);
	make(s, "brief");
	CHECK_INT(shale_live_unlink(s->live, &nobody, 1, "brief", 5), 0);
	commit(s, true);

	struct shale_err err;
	struct shale_image *image = open_last(s);
	const struct shale_tree *own = image->trees[image->n_trees - 1];
	CHECK_INT(shale_tree_count(own, SHALE_TREE_DIRENTS), 0);
	struct shale_entry entry;
	CHECK_INT(shale_index_lookup(image->index, 1, "brief", 5, &entry, NULL,
				     &err),
		  -ENOENT);
	shale_image_close(image);
	shop_free(s);
}

TEST(a_changed_block_is_a_patch_and_a_rewritten_file_replaces)
{
	struct shop *s = shop_new(1);
	make_files(s);
	write_random(s, 0, 0, 500000);
	commit(s, false);
	CHECK_INT(levels_of(s, 0), 1);
	write_random(s, 0, 100000, 1);
	commit(s, false);
	CHECK_INT(levels_of(s, 0), 2);
	compare(s);
	resize(s, 0, 0);
	write_random(s, 0, 0, 300000);
	commit(s, false);
	CHECK_INT(levels_of(s, 0), 1);
	compare(s);
	shop_free(s);
}

TEST(a_file_in_too_many_pieces_is_cut_afresh)
{
	struct shop *s = shop_new(1);
	bool fresh = false;
	make_files(s);
	write_random(s, 0, 0, SIZE_MAX_TEST);
	commit(s, false);
	for (int round = 0; round < 12; round++) {
		for (uint64_t off = (uint64_t)(round % 5) * 8192;
		     off < SIZE_MAX_TEST; off += 5 * 8192)
			write_random(s, 0, off, 100);
		commit(s, false);
		compare(s);
		fresh |= levels_of(s, 0) == 1;
	}
	CHECK(fresh);
	shop_free(s);
}

TEST(random_changes_and_clones_are_in_every_version)
{
	struct shop *s = shop_new(1);
	make_files(s);
	for (int round = 0; round < 40; round++) {
		for (uint64_t n = below(6) + 1; n; n--) {
			int i = (int)below(FILES), j = (int)below(FILES);
			uint64_t off = below(SIZE_MAX_TEST - 70000);
			switch (below(8)) {
			case 0:
				resize(s, i, below(SIZE_MAX_TEST));
				break;
			case 1:
			case 2:
				if (i != j)
					clone(s, i, j);
				break;
			case 3:
				write_random(s, i, off & ~UINT64_C(4095),
					     65536);
				break;
			default:
				write_random(s, i, off, below(5000) + 1);
				break;
			}
		}
		if (commit(s, false))
			compare(s);
	}
	shop_free(s);
}

TEST(a_clone_keeps_what_its_source_had)
{
	struct shop *s = shop_new(1);
	make_files(s);
	write_random(s, 0, 0, 900000);
	commit(s, false);
	clone(s, 0, 1);
	commit(s, false);
	compare(s);
	write_random(s, 0, 4096, 200000);
	resize(s, 0, 800000);
	commit(s, false);
	compare(s);
	for (int i = 0; i < 8; i++) { /* layers enough to be merged */
		write_random(s, 1, (uint64_t)i * 50000, 100);
		clone(s, 1, 2 + i % 2);
		commit(s, false);
		compare(s);
	}
	shop_free(s);
}

TEST(a_commit_on_a_stack_has_the_stack_and_the_changes)
{
	static const char *const names[] = {"first", "second", "third", "f0"};
	struct shop *s = shop_new(3);
	struct shale_err err;

	commit(s, false);
	CHECK_INT(s->last->description.n_also, 2);
	make_files(s);
	write_random(s, 0, 0, 200000);
	commit(s, false);
	compare(s);
	write_random(s, 0, 1000, 10);
	clone(s, 0, 1);
	CHECK_INT(shale_live_unlink(s->live, &nobody, 1, "f3", 2), 0);
	s->file[3].ino = make(s, "f3");
	commit(s, false);
	compare(s);
	struct shale_image *image = open_last(s);
	for (size_t i = 0; i < 4; i++) {
		struct shale_entry entry;
		CHECK_OK(shale_index_lookup(image->index, 1, names[i],
					    strlen(names[i]), &entry, NULL,
					    &err));
	}
	shale_image_close(image);
	shop_free(s);
}
