/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/index/record.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

/* What an index says of one inode, decoded and checked. */

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
		r = shale_index_get_tree(ix, c.tree, &tree, err);
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
