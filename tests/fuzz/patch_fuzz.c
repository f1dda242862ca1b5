/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes the reader of index patches: a patch file whose checksums are made to
 * hold lies over a small index that is good; it is verified, every accessor is
 * called on every record, and it serves as the prefix of a merge and as both
 * halves of a stack.
 */
#include "layers/blob/tree_build.h"
#include "layers/index/merge.h"
#include "layers/index/patch.h"
#include "tests/fuzz/fixup.h"
#include "tests/fuzz/memory_file.h"
#include "tests/fuzz/use_index.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TREES = 3, NUMBERS = 64 };

struct layers {
	struct shale_tree *tree[TREES];
	struct shale_digest digest[TREES];
};

static void add_inode(struct shale_tree_build *b, uint64_t ino, uint32_t mode)
{
	struct shale_inode in = {
		.attr = {.ino = ino, .mode = mode, .nlink = 1}};
	if (shale_tree_build_inode(b, &in, NULL) < 0)
		abort();
}

static void add_name(struct shale_tree_build *b, uint64_t dir, const char *name,
		     uint64_t ino, uint32_t type)
{
	struct shale_dirent d = {.dir = dir,
				 .ino = ino,
				 .name = name,
				 .name_len = (uint16_t)strlen(name),
				 .type = (uint8_t)(type >> 12)};
	if (shale_tree_build_dirent(b, &d, NULL) < 0)
		abort();
}

/* The layer that the corpus's patches change: files a to e, and f twice. */
static void fill_base(struct shale_tree_build *b)
{
	char name[2] = "a";

	add_inode(b, 1, S_IFDIR | 0755);
	add_inode(b, 2, S_IFDIR | 0755);
	add_name(b, 1, "dir", 2, S_IFDIR);
	for (uint64_t ino = 3; ino < 9; ino++, name[0]++) {
		add_inode(b, ino, S_IFREG | 0644);
		add_name(b, 2, name, ino, S_IFREG);
	}
	add_name(b, 1, "again", 8, S_IFREG);
}

/* And what they change in it. */
static void fill_change(struct shale_tree_build *b)
{
	struct shale_inode link = {
		.attr = {.ino = 10, .mode = S_IFLNK | 0777, .size = 3},
		.target = "dir"};

	add_name(b, 2, "b", 0, 0);
	add_inode(b, 4, 0);
	add_inode(b, 9, S_IFREG | 0600);
	add_name(b, 2, "bb", 9, S_IFREG);
	add_name(b, 1, "nine", 9, S_IFREG);
	add_name(b, 1, "again", 0, 0);
	if (shale_tree_build_inode(b, &link, NULL) < 0)
		abort();
	add_name(b, 1, "link", 10, S_IFLNK);
}

static void add_layer(struct layers *l, size_t i,
		      void (*fill)(struct shale_tree_build *))
{
	struct shale_tree_build *b;
	uint64_t size;
	int fd = memory_file("", 0);

	if (shale_tree_build_new(&b, NULL) < 0)
		abort();
	if (fill)
		fill(b);
	if (shale_tree_build_finish(b, fd, NUMBERS, &l->digest[i], &size,
				    NULL) < 0 ||
	    shale_tree_open(&l->tree[i], fd, "layer", NULL) < 0)
		abort();
	shale_tree_build_free(b);
	close(fd);
}

static struct shale_index *merge(const struct layers *l, size_t n)
{
	struct shale_index *ix;
	int fd = memory_file("", 0);

	if (shale_index_merge(fd, l->tree, l->digest, n, NULL, NULL) < 0 ||
	    shale_index_open(&ix, fd, "base", NULL) < 0)
		abort();
	close(fd);
	return ix;
}

static void use(struct shale_index *ix, const struct layers *l)
{
	struct shale_index *stack[2] = {ix, ix};
	struct shale_entry entry;
	int fd = memory_file("", 0), fd2 = memory_file("", 0);

	shale_index_verify(ix, NULL);
	for (uint64_t i = 0; i < shale_index_inodes(ix); i++)
		use_index_inode(ix, i);
	for (uint64_t i = 0; i < 4 * NUMBERS; i++)
		shale_index_entry(ix, i, &entry, NULL);
	if (shale_index_trees(ix) <= TREES)
		shale_index_merge(fd, l->tree, l->digest, TREES, ix, NULL);
	shale_index_union(fd2, stack, 2, NULL);
	close(fd);
	close(fd2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct layers l;
	struct shale_index *ix = NULL;
	uint8_t *copy = malloc(size + 1);
	if (!copy)
		return 0;
	if (size > 0)
		memcpy(copy, data, size);
	add_layer(&l, 0, fill_base);
	add_layer(&l, 1, fill_change);
	add_layer(&l, 2, NULL);
	struct shale_index *base = merge(&l, 1);
	int fd = memory_file(copy, fixup_table(copy, size, &shale_patch_kind));
	free(copy);
	if (shale_patch_open(&ix, fd, &base, "fuzz", NULL) == 0)
		use(ix, &l);
	close(fd);
	shale_index_close(ix);
	shale_index_close(base);
	for (size_t i = 0; i < TREES; i++)
		shale_tree_close(l.tree[i]);
	return 0;
}
