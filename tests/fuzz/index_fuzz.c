/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes the reader of indexes: an index file whose checksums are made to hold
 * is verified, every accessor is called on every record, and it serves as the
 * prefix of a merge and as both halves of a stack.
 */
#include "layers/blob/tree_build.h"
#include "layers/index/content.h"
#include "layers/index/index_disk.h"
#include "layers/index/merge.h"
#include "tests/fuzz/fixup.h"
#include "tests/fuzz/memory_file.h"
#include "tests/fuzz/use_index.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_TREES = 64 };

static struct shale_tree *empty_tree(void)
{
	struct shale_tree_build *b;
	struct shale_tree *tree;
	struct shale_digest digest;
	uint64_t size;
	int fd = memory_file("", 0);

	if (shale_tree_build_new(&b, NULL) < 0 ||
	    shale_tree_build_finish(b, fd, 2, &digest, &size, NULL) < 0 ||
	    shale_tree_open(&tree, fd, "empty", NULL) < 0)
		abort();
	shale_tree_build_free(b);
	close(fd);
	return tree;
}

static void use_inode(const struct shale_index *ix, uint64_t i,
		      struct shale_tree *const *trees)
{
	struct shale_content content;
	uint64_t ino = use_index_inode(ix, i);

	if (ino && trees)
		shale_content_of(&content, ix, trees, ino, NULL);
}

static void use_entry(const struct shale_index *ix, uint64_t i)
{
	struct shale_entry entry, found;
	uint64_t pos;

	if (shale_index_entry(ix, i, &entry, NULL) < 0)
		return;
	shale_index_lookup(ix, SHALE_ROOT_INO, entry.name, entry.name_len,
			   &found, &pos, NULL);
	shale_index_lookup(ix, entry.ino, entry.name, entry.name_len, &found,
			   &pos, NULL);
}

static void build_on(struct shale_index *ix, struct shale_tree *const *trees)
{
	struct shale_digest digests[MAX_TREES];
	struct shale_index *stack[2] = {ix, ix};
	uint32_t n = shale_index_trees(ix), image;
	int fd = memory_file("", 0), fd2 = memory_file("", 0);

	for (uint32_t i = 0; i < n; i++)
		if (shale_index_tree(ix, i, &digests[i], &image, NULL) < 0)
			memset(&digests[i], 0, sizeof(digests[i]));
	shale_index_merge(fd, trees, digests, n, ix, NULL);
	shale_index_union(fd2, stack, 2, NULL);
	close(fd);
	close(fd2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct shale_index *ix;
	uint8_t *copy = malloc(size + 1);
	if (!copy)
		return 0;
	if (size > 0)
		memcpy(copy, data, size);
	int fd = memory_file(copy, fixup_table(copy, size, &shale_index_kind));
	free(copy);
	int r = shale_index_open(&ix, fd, "fuzz", NULL);
	close(fd);
	if (r < 0)
		return 0;

	struct shale_tree *empty = empty_tree(), *trees[MAX_TREES];
	for (size_t i = 0; i < MAX_TREES; i++)
		trees[i] = empty;
	bool few = shale_index_trees(ix) <= MAX_TREES;
	shale_index_verify(ix, NULL);
	for (uint64_t i = 0; i < shale_index_inodes(ix); i++)
		use_inode(ix, i, few ? trees : NULL);
	for (uint64_t i = 0; i < shale_index_entries(ix); i++)
		use_entry(ix, i);
	if (few)
		build_on(ix, trees);
	shale_tree_close(empty);
	shale_index_close(ix);
	return 0;
}
