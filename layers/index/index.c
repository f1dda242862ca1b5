/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/index/index.h"

#include "layers/base/cleanup.h"
#include "layers/index/record.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

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

uint32_t shale_index_trees(const struct shale_index *ix)
{
	return ix->trees;
}

static int get_tree(const struct shale_index *ix, uint32_t i,
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
	int r = get_tree(ix, i, &tree, err);
	if (r < 0)
		return r;
	memcpy(digest->b, tree->digest, sizeof(digest->b));
	*image = le32_get(tree->image);
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

static int decode_attr(const struct shale_index_record *rec,
		       struct shale_attr *out, struct shale_err *err)
{
	const struct shale_index *ix = rec->in;
	const struct shale_disk_index_inode *disk = rec->disk;
	struct shale_attr a = {
		.ino = le64_get(disk->ino),
		.mode = le32_get(disk->mode),
		.uid = le32_get(disk->uid),
		.gid = le32_get(disk->gid),
		.nlink = le32_get(disk->nlink),
		.size = le64_get(disk->size),
		.mtime.tv_sec = (time_t)le64_get(disk->mtime_sec),
		.mtime.tv_nsec = (long)le32_get(disk->mtime_nsec),
	};

	if (a.ino == 0 || a.ino > SHALE_INO_MAX)
		return shale_index_damaged(ix, a.ino, "bad number", err);
	if (a.mtime.tv_nsec >= 1000000000)
		return shale_index_damaged(ix, a.ino, "bad time", err);
	if (a.size > INT64_MAX)
		return shale_index_damaged(ix, a.ino, "bad size", err);
	switch (a.mode & ~(uint32_t)07777) {
	case S_IFREG:
	case S_IFDIR:
	case S_IFIFO:
	case S_IFSOCK:
		break;
	case S_IFLNK:
		if (a.size == 0 || a.size > SHALE_TARGET_MAX)
			return shale_index_damaged(ix, a.ino, "bad target",
						   err);
		break;
	case S_IFCHR:
	case S_IFBLK:
		a.rdev_major = (uint32_t)(le64_get(disk->first) >> 32);
		a.rdev_minor = (uint32_t)le64_get(disk->first);
		break;
	default:
		return shale_index_damaged(ix, a.ino, "unknown type", err);
	}
	int r = shale_table_intact(ix->table, err);
	if (r == 0)
		*out = a;
	return r;
}

int shale_index_attr(const struct shale_index *ix, uint64_t ino,
		     struct shale_attr *out, struct shale_err *err)
{
	struct shale_index_record rec;
	int r = shale_index_find_inode(ix, ino, NULL, &rec, err);
	return r < 0 ? r : decode_attr(&rec, out, err);
}

int shale_index_attr_nth(const struct shale_index *ix, uint64_t i,
			 struct shale_attr *out, struct shale_err *err)
{
	struct shale_index_record rec;
	int r = shale_index_get_inode(ix, i, &rec, err);
	return r < 0 ? r : decode_attr(&rec, out, err);
}

int shale_index_dir(const struct shale_index *ix, uint64_t ino,
		    struct shale_index_dir *out, struct shale_err *err)
{
	struct shale_index_record rec;
	int r = shale_index_find_inode(ix, ino, NULL, &rec, err);
	if (r < 0)
		return r;
	if (!S_ISDIR(le32_get(rec.disk->mode)))
		return shale_err_set(err, ENOTDIR, "inode %" PRIu64, ino);

	struct shale_index_dir dir = {
		.parent = le64_get(rec.disk->parent),
		.first = le64_get(rec.disk->first),
		.count = le64_get(rec.disk->count),
	};
	/* a run lies among the base's entries, or among those of the patch */
	uint64_t end = ix->base && dir.first < ix->base->entries
			       ? ix->base->entries
			       : ix->positions;
	if (dir.first > end || dir.count > end - dir.first)
		return shale_index_damaged(ix, ino, "entries outside the index",
					   err);
	r = shale_index_intact(ix, err);
	if (r == 0)
		*out = dir;
	return r;
}

int shale_index_target(const struct shale_index *ix, uint64_t ino,
		       const char **target, uint32_t *len,
		       struct shale_err *err)
{
	struct shale_index_record rec;
	struct shale_attr attr;
	const void *bytes;

	int r = shale_index_find_inode(ix, ino, NULL, &rec, err);
	if (r == 0)
		r = decode_attr(&rec, &attr, err);
	if (r < 0)
		return r;
	if (!S_ISLNK(attr.mode))
		return shale_err_set(err, EINVAL, "inode %" PRIu64, ino);
	r = shale_table_get(rec.in->table, SHALE_INDEX_STRINGS,
			    le64_get(rec.disk->first), attr.size, &bytes, err);
	if (r < 0)
		return r;
	if (memchr(bytes, 0, attr.size))
		return shale_index_damaged(ix, ino, "bad target", err);
	*target = bytes;
	*len = (uint32_t)attr.size;
	return 0;
}

int shale_index_xattrs(const struct shale_index *ix, uint64_t ino,
		       const void **list, uint32_t *len, struct shale_err *err)
{
	struct shale_index_record rec;
	int r = shale_index_find_inode(ix, ino, NULL, &rec, err);
	if (r < 0)
		return r;

	uint32_t n = le32_get(rec.disk->xattr_len);
	if (n > SHALE_XATTRS_MAX)
		return shale_index_damaged(ix, ino, "too many xattrs", err);
	if (n == 0) {
		*list = NULL;
	} else {
		r = shale_table_get(rec.in->table, SHALE_INDEX_XATTRS,
				    le64_get(rec.disk->xattr_off), n, list,
				    err);
		if (r < 0)
			return r;
	}
	*len = n;
	return 0;
}

int shale_index_content(const struct shale_index *ix, uint64_t ino,
			struct shale_index_content *out, struct shale_err *err)
{
	struct shale_index_record rec;
	int r = shale_index_find_inode(ix, ino, NULL, &rec, err);
	if (r < 0)
		return r;
	if (!S_ISREG(le32_get(rec.disk->mode)))
		return shale_err_set(err, EINVAL, "inode %" PRIu64, ino);

	struct shale_index_content c = {
		.tree = le32_get(rec.disk->tree),
		.levels = le32_get(rec.disk->levels),
		.ino = le64_get(rec.disk->source),
		.first = le64_get(rec.disk->first),
		.count = le64_get(rec.disk->count),
	};
	if (c.tree != SHALE_NO_TREE) {
		const struct shale_disk_index_tree *tree;
		if (c.tree >= ix->trees)
			return shale_index_damaged(ix, ino, "bad tree number",
						   err);
		r = get_tree(ix, c.tree, &tree, err);
		if (r < 0)
			return r;
		c.bottom = le32_get(tree->bottom);
		if (c.levels == 0 || c.levels - 1 > c.tree - c.bottom)
			return shale_index_damaged(ix, ino,
						   "bad number of layers", err);
	} else if (c.levels != 0) {
		return shale_index_damaged(ix, ino, "bad number of layers",
					   err);
	}
	r = shale_index_intact(ix, err);
	if (r == 0)
		*out = c;
	return r;
}
