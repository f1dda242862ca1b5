/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/index/index.h"

#include "layers/base/cleanup.h"
#include "layers/index/record.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

const struct shale_table_kind shale_index_kind = {
	.magic = "SHALEIDX",
	.version = 1,
	.sections = SHALE_INDEX_NSECTIONS,
	.record_size = {SHALE_INDEX_RECORD_SIZES},
	.noun = "index",
};

int shale_index_damaged(const struct shale_index *ix, uint64_t ino,
			const char *what, struct shale_err *err)
{
	return shale_err_say(err, EUCLEAN, "index %s: inode %" PRIu64 ": %s",
			     shale_table_name(ix->table), ino, what);
}

int shale_index_open(struct shale_index **out, int fd, const char *name,
		     struct shale_err *err)
{
	cleanup_index struct shale_index *ix = calloc(1, sizeof(*ix));
	if (!ix)
		return shale_err_set(err, ENOMEM, "open index %s", name);
	int r = shale_table_open(&ix->table, fd, &shale_index_kind, name, err);
	if (r < 0)
		return r;

	uint64_t trees = shale_table_count(ix->table, SHALE_INDEX_TREES);
	ix->inodes = shale_table_count(ix->table, SHALE_INDEX_INODES);
	ix->records = ix->inodes;
	ix->entries = shale_table_count(ix->table, SHALE_INDEX_ENTRIES);
	ix->positions = ix->entries;
	ix->links = shale_table_count(ix->table, SHALE_INDEX_LINKS);
	if (ix->inodes == 0 || trees == 0 || trees >= SHALE_NO_TREE)
		return shale_err_say(err, EUCLEAN, "index %s is empty", name);
	ix->trees = (uint32_t)trees;
	*out = steal_ptr(&ix);
	return 0;
}

void shale_index_close(struct shale_index *ix)
{
	if (!ix)
		return;
	if (ix->table)
		shale_table_close(ix->table);
	shale_index_close(ix->base);
	free(ix);
}

struct shale_index *shale_index_base(const struct shale_index *ix)
{
	return ix->base;
}

const char *shale_index_file(const struct shale_index *ix)
{
	return shale_table_name(ix->table);
}

void shale_index_relax(const struct shale_index *ix)
{
	shale_table_relax(ix->table);
	if (ix->base)
		shale_table_relax(ix->base->table);
}

int shale_index_set_spare(struct shale_index *ix,
			  const struct shale_table_spare *spare,
			  struct shale_err *err)
{
	return shale_table_set_spare(ix->table, spare, err);
}

uint64_t shale_index_inodes(const struct shale_index *ix)
{
	return ix->inodes;
}

uint64_t shale_index_entries(const struct shale_index *ix)
{
	return ix->entries;
}

uint64_t shale_index_next_ino(const struct shale_index *ix)
{
	return shale_table_field(ix->table, SHALE_INDEX_NEXT_INO);
}

uint64_t shale_index_bytes(const struct shale_index *ix)
{
	return shale_table_field(ix->table, SHALE_INDEX_BYTES);
}

bool shale_index_has_xattrs(const struct shale_index *ix)
{
	return shale_table_count(ix->table, SHALE_INDEX_XATTRS) > 0 ||
	       (ix->base && shale_index_has_xattrs(ix->base));
}

uint32_t shale_index_trees(const struct shale_index *ix)
{
	return ix->trees;
}

int shale_index_get_tree(const struct shale_index *ix, uint32_t i,
			 const struct shale_disk_index_tree **out,
			 struct shale_err *err)
{
	const void *record;
	int r = shale_table_get(ix->table, SHALE_INDEX_TREES, i, 1, &record,
				err);
	if (r < 0)
		return r;
	*out = record;
	if (le32_get((*out)->bottom) > i)
		return shale_err_say(err, EUCLEAN,
				     "index %s: tree %" PRIu32
				     " is below its image",
				     shale_table_name(ix->table), i);
	return 0;
}

int shale_index_tree(const struct shale_index *ix, uint32_t i,
		     struct shale_digest *digest, uint32_t *image,
		     struct shale_err *err)
{
	const struct shale_disk_index_tree *tree;
	int r = shale_index_get_tree(ix, i, &tree, err);
	if (r < 0)
		return r;
	memcpy(digest->b, tree->digest, sizeof(digest->b));
	*image = le32_get(tree->image);
	return 0;
}

int shale_index_begins(const struct shale_index *ix,
		       const struct shale_digest *trees, size_t n,
		       struct shale_err *err)
{
	struct shale_digest digest;
	uint32_t image;

	for (uint32_t i = 0; i < ix->trees; i++) {
		int r = shale_index_tree(ix, i, &digest, &image, err);
		if (r < 0)
			return r;
		if (i >= n || image != 0 ||
		    !shale_digest_equal(&digest, &trees[i]))
			return shale_err_say(err, EINVAL,
					     "the index is not of the first "
					     "trees");
	}
	return 0;
}

int shale_index_intact(const struct shale_index *ix, struct shale_err *err)
{
	int r = shale_table_intact(ix->table, err);
	return r < 0 || !ix->base ? r
				  : shale_table_intact(ix->base->table, err);
}

/* ------------------------------------------------------------- inodes */

static int own_inode(const struct shale_index *ix, uint64_t i,
		     const struct shale_disk_index_inode **out,
		     struct shale_err *err)
{
	const void *record;
	int r = shale_table_get(ix->table, SHALE_INDEX_INODES, i, 1, &record,
				err);
	if (r < 0)
		return r;
	*out = record;
	return 0;
}

int shale_index_get_inode(const struct shale_index *ix, uint64_t i,
			  struct shale_index_record *out, struct shale_err *err)
{
	if (ix->base)
		return shale_patch_nth(ix, i, out, err);
	out->in = ix;
	return own_inode(ix, i, &out->disk, err);
}

/*
 * Where few inodes were deleted, a number is its position or just above; it is
 * never below, since positions ascend with numbers from 1 on.
 */
int shale_index_search(const struct shale_index *ix, uint64_t ino, uint64_t *at,
		       const struct shale_disk_index_inode **out,
		       struct shale_err *err)
{
	uint64_t lo = 0, hi = ino < ix->records ? ino : ix->records;

	for (uint64_t mid = hi - 1; lo < hi; mid = lo + (hi - lo) / 2) {
		int r = own_inode(ix, mid, out, err);
		if (r < 0)
			return r;
		uint64_t found = le64_get((*out)->ino);
		if (found == ino) {
			*at = mid;
			return 1;
		}
		if (found < ino)
			lo = mid + 1;
		else
			hi = mid;
	}
	*at = lo;
	return shale_table_intact(ix->table, err);
}

int shale_index_find_inode(const struct shale_index *ix, uint64_t ino,
			   uint64_t *pos, struct shale_index_record *out,
			   struct shale_err *err)
{
	uint64_t at;

	if (ix->base)
		return shale_patch_find(ix, ino, pos, out, err);
	int r = shale_index_search(ix, ino, &at, &out->disk, err);
	if (r < 0)
		return r;
	if (r == 0)
		return shale_err_set(err, ENOENT, "inode %" PRIu64, ino);
	out->in = ix;
	if (pos)
		*pos = at;
	return 0;
}

int shale_index_seek(const struct shale_index *ix, uint64_t ino, uint64_t *pos,
		     struct shale_err *err)
{
	uint64_t lo = 0, hi = ino < ix->inodes ? ino : ix->inodes;

	while (lo < hi) {
		struct shale_index_record rec;
		uint64_t mid = lo + (hi - lo) / 2;
		int r = shale_index_get_inode(ix, mid, &rec, err);
		if (r < 0)
			return r;
		if (le64_get(rec.disk->ino) < ino)
			lo = mid + 1;
		else
			hi = mid;
	}
	*pos = lo;
	return shale_index_intact(ix, err);
}
