/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/index/patch_impl.h"

#include "layers/index/patch_names.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

/* Steps that moved directories may be below the root, all together. */
enum { CLIMB_MAX = 1 << 20 };

static int put_xattrs(struct shale_patching *p,
		      const struct shale_index_inode *in,
		      struct shale_disk_index_inode *disk,
		      struct shale_err *err)
{
	struct shale_buf *xattrs = &p->section[SHALE_INDEX_XATTRS];

	if (in->xattr_len == 0)
		return 0;
	if (in->xattr_len != p->last_xattr_len ||
	    memcmp(in->xattrs, p->last_xattrs, in->xattr_len) != 0) {
		p->last_xattrs = in->xattrs;
		p->last_xattr_len = in->xattr_len;
		p->last_xattr_off = xattrs->len;
		int r = shale_patch_append(xattrs, in->xattrs, in->xattr_len,
					   err);
		if (r < 0)
			return r;
	}
	disk->xattr_len = le32_make(in->xattr_len);
	disk->xattr_off = le64_make(p->last_xattr_off);
	return 0;
}

/* A directory's entries and link count; `had`: what the base says of it. */
static int put_dir_fields(const struct shale_patching *p, uint64_t ino,
			  const struct shale_attr *had,
			  struct shale_disk_index_inode *disk,
			  struct shale_err *err)
{
	const struct shale_patch_delta_dir *d =
		shale_patch_delta_dir(&p->delta, ino);
	struct shale_index_dir run = {0};
	int64_t nlink = had ? had->nlink : 2;
	int r = 0;

	if (d) {
		run.first = d->first;
		run.count = d->count;
		nlink += d->subdirs;
	} else if (had) {
		r = shale_index_dir(p->delta.base, ino, &run, err);
	}
	disk->first = le64_make(run.first);
	disk->count = le64_make(run.count);
	disk->nlink = le32_make((uint32_t)nlink);
	return r;
}

static int put_kind(struct shale_patching *p,
		    const struct shale_index_inode *in,
		    const struct shale_attr *had,
		    struct shale_disk_index_inode *disk, struct shale_err *err)
{
	struct shale_buf *strings = &p->section[SHALE_INDEX_STRINGS];
	const struct shale_attr *a = &in->attr;

	if (S_ISDIR(a->mode))
		return put_dir_fields(p, a->ino, had, disk, err);
	if (!S_ISLNK(a->mode))
		return 0;
	disk->first = le64_make(strings->len);
	return shale_patch_append(strings, in->target, a->size, err);
}

/* The names that an inode has now: first, and further ones. */
static int put_names(struct shale_patching *p, uint64_t ino, uint32_t mode,
		     struct shale_disk_index_inode *disk, struct shale_err *err)
{
	int r = shale_patch_links(&p->delta, ino, &p->links, err);
	if (r < 0)
		return r;
	const struct shale_patch_link *l = (const void *)p->links.data;
	size_t n = p->links.len / sizeof(*l);

	if (mode == 0 || ino == SHALE_ROOT_INO) {
		disk->parent = le64_make(mode ? SHALE_ROOT_INO : 0);
		return n == 0 ? 0
			      : shale_patch_delta_refuse(ino, "it has a name",
							 err);
	}
	if (n == 0 || (n > 1 && S_ISDIR(mode)) || n > UINT32_MAX - 2)
		return shale_patch_delta_refuse(ino, "no name, or too many",
						err);
	disk->parent = le64_make(l[0].dir);
	disk->entry = le64_make(l[0].pos);
	if (!S_ISDIR(mode))
		disk->nlink = le32_make((uint32_t)n);
	for (size_t i = 1; r == 0 && i < n; i++) {
		struct shale_disk_index_link link = {le64_make(ino),
						     le64_make(l[i].dir),
						     le64_make(l[i].pos)};
		r = shale_patch_append(&p->section[SHALE_INDEX_LINKS], &link,
				       sizeof(link), err);
	}
	return r;
}

/* Where it stands among all inodes, and how the sums change. */
static int put_place(struct shale_patching *p, const struct shale_attr *now,
		     const struct shale_attr *had, struct shale_err *err)
{
	const struct shale_disk_index_inode *disk;
	uint64_t at;
	int r = shale_index_search(p->delta.base, now->ino, &at, &disk, err);
	if (r < 0)
		return r;

	struct shale_disk_patch_place place = {
		.before = le64_make(at + (uint64_t)p->shift),
		.base = le64_make(at + (had != NULL)),
	};
	p->shift += (now->mode != 0) - (had != NULL);
	if (had && S_ISREG(had->mode))
		p->bytes -= had->size;
	if (S_ISREG(now->mode) &&
	    __builtin_add_overflow(p->bytes, now->size, &p->bytes))
		return shale_patch_delta_refuse(now->ino, "too large", err);
	return shale_patch_append(&p->section[SHALE_PATCH_PLACES], &place,
				  sizeof(place), err);
}

static int put_inode(struct shale_patching *p, uint64_t ino,
		     struct shale_err *err)
{
	const struct shale_index_inode *said =
		shale_patch_delta_inode(&p->delta, ino);
	struct shale_index_inode in = {0};
	struct shale_attr was, *had = NULL;

	int r = shale_index_attr(p->delta.base, ino, &was, err);
	if (r < 0 && r != -ENOENT)
		return r;
	if (r == 0)
		had = &was;
	else if (!said)
		return shale_patch_delta_refuse(ino, "named, but not there",
						err);
	if (said)
		in = *said;
	else
		r = shale_index_read_inode(p->delta.base, ino, &in, err);

	const struct shale_attr *a = &in.attr;
	in.attr.ino = ino;
	struct shale_disk_index_inode disk = shale_index_encode_inode(&in);
	if (r == 0 || r == -ENOENT)
		r = put_names(p, ino, a->mode, &disk, err);
	if (r == 0 && a->mode == 0 && !had)
		return 0; /* came and went among the layers */
	if (r == 0)
		r = put_xattrs(p, &in, &disk, err);
	if (r == 0 && a->mode != 0)
		r = put_kind(p, &in, had, &disk, err);
	if (r == 0)
		r = put_place(p, a, had, err);
	return r < 0 ? r
		     : shale_patch_append(&p->section[SHALE_INDEX_INODES],
					  &disk, sizeof(disk), err);
}

/* The parent of a directory as it is now; the root's is the root. */
static int parent_of(const struct shale_patching *p, uint64_t ino,
		     uint64_t *parent, struct shale_err *err)
{
	const struct shale_disk_index_inode *own =
		(const void *)p->section[SHALE_INDEX_INODES].data;
	size_t lo = 0;
	size_t hi = p->section[SHALE_INDEX_INODES].len / sizeof(*own);
	struct shale_index_dir dir;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		uint64_t found = le64_get(own[mid].ino);
		if (found == ino) {
			*parent = le64_get(own[mid].parent);
			return 0;
		}
		if (found < ino)
			lo = mid + 1;
		else
			hi = mid;
	}
	int r = shale_index_dir(p->delta.base, ino, &dir, err);
	*parent = dir.parent;
	return r;
}

/* Every directory that came to where it is lies below the root. */
static int check_moved(const struct shale_patching *p, struct shale_err *err)
{
	const struct shale_patch_delta_name *c =
		(const void *)p->delta.names.data;
	size_t n = p->delta.names.len / sizeof(*c), steps = 0;

	for (size_t i = 0; i < n; i++) {
		if (c[i].to.ino == 0 || c[i].to.type != S_IFDIR >> 12)
			continue;
		for (uint64_t at = c[i].to.dir; at != SHALE_ROOT_INO;) {
			int r = ++steps > CLIMB_MAX
					? shale_patch_delta_refuse(
						  at,
						  "too deep, or inside "
						  "itself",
						  err)
					: parent_of(p, at, &at, err);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

int shale_patch_inodes(struct shale_patching *p, struct shale_err *err)
{
	const uint64_t *touched = (const void *)p->delta.touched.data;
	size_t n = p->delta.touched.len / sizeof(*touched);
	int r = 0;

	p->bytes = shale_index_bytes(p->delta.base);
	if (p->bytes == UINT64_MAX)
		return shale_patch_delta_refuse(SHALE_ROOT_INO, "too large",
						err);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = put_inode(p, touched[i], err);
	return r < 0 ? r : check_moved(p, err);
}
