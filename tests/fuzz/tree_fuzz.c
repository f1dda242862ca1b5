/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes the reader of tree blobs: a table file whose checksums are made to
 * hold is checked as a whole, every accessor is called on every record, and it
 * is composed with itself.  What the check accepts, every accessor must accept.
 */
#include "layers/blob/tree_build.h"
#include "layers/blob/tree_check.h"
#include "tests/fuzz/fixup.h"
#include "tests/fuzz/memory_file.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Composing takes time for each chunk that an extent runs through. */
enum { MAX_SIZE = 64 << 10 };

/* `good`: the whole was found sound, so this call must succeed. */
static void must(bool good, int r)
{
	if (good && r < 0)
		abort();
}

static void use_inode(const struct shale_tree *t, uint64_t i, bool good)
{
	struct shale_inode in;
	struct shale_xattr x;
	uint64_t first, n, at;
	uint32_t pos = 0;
	int r = shale_tree_inode(t, i, &in, NULL);

	must(good, r);
	if (r < 0)
		return;
	must(good, shale_tree_find_inode(t, in.attr.ino, &at, NULL));
	while ((r = shale_xattr_next(in.xattrs, in.xattr_len, &pos, &x, NULL)) >
	       0)
		;
	must(good, r);
	shale_xattr_find(in.xattrs, in.xattr_len, "user.a", &x, NULL);
	r = shale_tree_extents_of(t, in.attr.ino, &first, &n, NULL);
	must(good, r);
	if (r == 0 && n)
		must(good, shale_tree_extent_at(t, first, n, in.attr.size / 2,
						&at, NULL));
}

static void use_dirent(const struct shale_tree *t, uint64_t i, bool good)
{
	struct shale_dirent d;
	uint64_t at;
	int r = shale_tree_dirent(t, i, &d, NULL);

	must(good, r);
	if (r == 0)
		must(good, shale_tree_find_dirent(t, d.dir, d.name, d.name_len,
						  &at, NULL));
}

static void use_extent(const struct shale_tree *t, uint64_t i, bool good)
{
	struct shale_extent e;
	uint32_t at, at_off;
	int r = shale_tree_extent(t, i, &e, NULL);

	must(good, r);
	if (r < 0 || e.chunk >= SHALE_CLONE)
		return;
	must(good, shale_tree_chunk_seek(t, e.chunk, e.chunk_off, &at, &at_off,
					 NULL));
	must(good, shale_tree_chunk_seek(t, e.chunk, e.chunk_off + e.len - 1,
					 &at, &at_off, NULL));
	shale_tree_chunk_seek(t, e.chunk, e.off, &at, &at_off, NULL);
}

static void use_chunk(const struct shale_tree *t, uint64_t i, bool good)
{
	struct shale_chunk c;
	uint64_t cursor = 0;
	uint32_t found;
	int r = shale_tree_chunk(t, i, &c, NULL);

	must(good, r);
	if (r < 0)
		return;
	must(good, shale_tree_find_chunk(t, &c.hash, &cursor, &found, NULL));
	shale_tree_find_chunk(t, &c.hash, &cursor, &found, NULL);
}

static void use_packed(const struct shale_tree *t, uint64_t i, bool good)
{
	struct shale_hash128 hash;
	uint64_t cursor = 0, extent;
	int r = shale_tree_packed(t, i, &extent, &hash, NULL);

	must(good, r);
	if (r < 0)
		return;
	must(good, shale_tree_find_packed(t, &hash, &cursor, &extent, NULL));
	shale_tree_find_packed(t, &hash, &cursor, &extent, NULL);
}

static void use_tree(const struct shale_tree *t, bool good)
{
	static const struct {
		enum shale_tree_section section;
		void (*use)(const struct shale_tree *t, uint64_t i, bool good);
	} uses[] = {
		{SHALE_TREE_INODES, use_inode},
		{SHALE_TREE_DIRENTS, use_dirent},
		{SHALE_TREE_EXTENTS, use_extent},
		{SHALE_TREE_CHUNKS, use_chunk},
		{SHALE_TREE_PACKED, use_packed},
	};

	for (size_t u = 0; u < sizeof(uses) / sizeof(uses[0]); u++) {
		uint64_t n = shale_tree_count(t, uses[u].section);
		for (uint64_t i = 0; i < n; i++)
			uses[u].use(t, i, good);
		uses[u].use(t, n, false);
	}
}

/* What composing makes of anything must be sound. */
static void compose(struct shale_tree *t, size_t n, bool bottom)
{
	struct shale_tree *trees[3] = {t, t, t}, *out;
	struct shale_digest digest;
	uint64_t size;
	int fd = memory_file("", 0);

	if (shale_tree_compose(trees, n, bottom, fd, &digest, &size, NULL) ==
	    0) {
		must(true, shale_tree_open(&out, fd, "composed", NULL));
		use_tree(out, false);
		shale_tree_close(out);
	}
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct shale_tree *t;
	uint8_t *copy = malloc(size + 1);

	if (!copy)
		return 0;
	if (size)
		memcpy(copy, data, size);
	size = fixup_table(copy, size, &shale_tree_kind);
	int fd = memory_file(copy, size);
	free(copy);
	int r = shale_tree_open(&t, fd, "fuzz", NULL);
	close(fd);
	if (r < 0)
		return 0;

	use_tree(t, shale_tree_check(t, NULL) == 0);
	if (size <= MAX_SIZE) {
		compose(t, 1, true);
		compose(t, 2, false);
		compose(t, 3, true);
	}
	shale_tree_close(t);
	return 0;
}
