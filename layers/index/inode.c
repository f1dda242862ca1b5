/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/index/inode.h"

#include <sys/stat.h>

int shale_index_read_inode(const struct shale_index *ix, uint64_t ino,
			   struct shale_index_inode *out, struct shale_err *err)
{
	uint32_t len;

	int r = shale_index_attr(ix, ino, &out->attr, err);
	if (r == 0)
		r = shale_index_xattrs(ix, ino, &out->xattrs, &out->xattr_len,
				       err);
	if (r == 0 && S_ISLNK(out->attr.mode))
		r = shale_index_target(ix, ino, &out->target, &len, err);
	if (r == 0 && S_ISREG(out->attr.mode))
		r = shale_index_content(ix, ino, &out->content, err);
	return r;
}

struct shale_disk_index_inode
shale_index_encode_inode(const struct shale_index_inode *in)
{
	const struct shale_attr *a = &in->attr;
	struct shale_disk_index_inode disk = {
		.ino = le64_make(a->ino),
		.mtime_sec = le64_make((uint64_t)a->mtime.tv_sec),
		.mtime_nsec = le32_make((uint32_t)a->mtime.tv_nsec),
		.mode = le32_make(a->mode),
		.uid = le32_make(a->uid),
		.gid = le32_make(a->gid),
		.size = le64_make(a->size),
	};

	if (S_ISREG(a->mode)) {
		disk.first = le64_make(in->content.first);
		disk.count = le64_make(in->content.count);
		disk.source = le64_make(in->content.ino);
		disk.tree = le32_make(in->content.tree);
		disk.levels = le32_make(in->content.levels);
	} else if (a->mode != 0 && !S_ISDIR(a->mode) && !S_ISLNK(a->mode)) {
		disk.first = le64_make((uint64_t)a->rdev_major << 32 |
				       a->rdev_minor);
	}
	return disk;
}
