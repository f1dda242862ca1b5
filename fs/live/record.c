/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/live/record.h"

#include "fs/live/record_disk.h"
#include "layers/blob/tree_disk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { NSEC = 1000000000, MANIFESTS = 32 };

static int damaged(const char *what, struct shale_err *err)
{
	return shale_err_say(err, EUCLEAN, "workspace record is damaged: %s",
			     what);
}

static bool known_type(uint32_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
	case S_IFDIR:
	case S_IFLNK:
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
	case S_IFSOCK:
		return true;
	default:
		return false;
	}
}

static bool inode_number(uint64_t ino)
{
	return ino >= SHALE_ROOT_INO && ino <= SHALE_INO_MAX;
}

/* ----------------------------------------------------------- S and G */

int shale_rec_state_decode(const struct shale_buf *v,
			   struct shale_rec_state *out, struct shale_err *err)
{
	struct shale_disk_state disk;
	struct shale_rec_state s;

	if (v->len != sizeof(disk))
		return damaged("state has another size", err);
	memcpy(&disk, v->data, sizeof(disk));
	s.next_ino = le64_get(disk.next_ino);
	s.epoch = le32_get(disk.epoch);
	s.committed = le32_get(disk.committed);
	s.last = le32_get(disk.last);
	s.pinned = le32_get(disk.pinned);
	if (s.next_ino <= SHALE_ROOT_INO || s.next_ino > SHALE_INO_MAX + 1)
		return damaged("next inode number out of range", err);
	if (s.epoch <= s.committed || s.pinned > s.last)
		return damaged("epochs out of order", err);
	*out = s;
	return 0;
}

int shale_rec_state_encode(const struct shale_rec_state *in,
			   struct shale_buf *v)
{
	struct shale_disk_state disk = {
		.next_ino = le64_make(in->next_ino),
		.epoch = le32_make(in->epoch),
		.committed = le32_make(in->committed),
		.last = le32_make(in->last),
		.pinned = le32_make(in->pinned),
	};

	return shale_buf_append(v, &disk, sizeof(disk));
}

int shale_rec_image_decode(const struct shale_buf *v,
			   struct shale_rec_image *out, struct shale_err *err)
{
	struct shale_disk_manifests disk;

	if (v->len < sizeof(disk))
		return damaged("image ends early", err);
	memcpy(&disk, v->data, sizeof(disk));
	uint32_t n = le32_get(disk.n);
	if (n < 1 || n > MANIFESTS ||
	    v->len - sizeof(disk) != n * sizeof(struct shale_digest))
		return damaged("wrong number of manifests", err);
	out->n = n;
	memcpy(out->manifest, v->data + sizeof(disk),
	       n * sizeof(struct shale_digest));
	return 0;
}

int shale_rec_image_encode(const struct shale_rec_image *in,
			   struct shale_buf *v)
{
	struct shale_disk_manifests disk = {le32_make(in->n)};

	if (in->n < 1 || in->n > MANIFESTS)
		return -EINVAL;
	int r = shale_buf_append(v, &disk, sizeof(disk));
	if (r < 0)
		return r;
	return shale_buf_append(v, in->manifest,
				in->n * sizeof(struct shale_digest));
}

/* ------------------------------------------------------------------ I */

static struct timespec get_time(const struct shale_disk_time *t)
{
	return (struct timespec){
		.tv_sec = (time_t)le64_get(t->sec),
		.tv_nsec = (long)le32_get(t->nsec),
	};
}

static struct shale_disk_time put_time(const struct timespec *t)
{
	return (struct shale_disk_time){
		.sec = le64_make((uint64_t)t->tv_sec),
		.nsec = le32_make((uint32_t)t->tv_nsec),
	};
}

static const char *attr_fault(const struct shale_rec_attr *a)
{
	bool unborn = a->born == SHALE_UNBORN && !a->nlink && a->mode;
	if (!a->epoch || (a->born > a->epoch && !unborn))
		return "epochs of an inode";
	if (a->mode && (!known_type(a->mode) || a->mode > 0177777))
		return "unknown type of an inode";
	if (a->mtime.tv_nsec >= NSEC || a->ctime.tv_nsec >= NSEC ||
	    a->atime.tv_nsec >= NSEC)
		return "nanoseconds out of range";
	if (S_ISDIR(a->mode) ? !inode_number(a->parent) : a->parent != 0)
		return "parent of an inode";
	if (a->next_cookie > UINT64_C(1) << 62)
		return "directory counter out of range";
	return NULL;
}

int shale_rec_attr_decode(const struct shale_buf *v, struct shale_rec_attr *out,
			  struct shale_err *err)
{
	struct shale_disk_attr disk;

	if (v->len != sizeof(disk))
		return damaged("an inode has another size", err);
	memcpy(&disk, v->data, sizeof(disk));
	struct shale_rec_attr a = {
		.epoch = le32_get(disk.epoch),
		.born = le32_get(disk.born),
		.mode = le32_get(disk.mode),
		.uid = le32_get(disk.uid),
		.gid = le32_get(disk.gid),
		.nlink = le32_get(disk.nlink),
		.rdev_major = le32_get(disk.rdev_major),
		.rdev_minor = le32_get(disk.rdev_minor),
		.mtime = get_time(&disk.mtime),
		.ctime = get_time(&disk.ctime),
		.atime = get_time(&disk.atime),
		.parent = le64_get(disk.parent),
		.next_cookie = le64_get(disk.next_cookie),
	};
	const char *fault = attr_fault(&a);
	if (fault)
		return damaged(fault, err);
	*out = a;
	return 0;
}

int shale_rec_attr_encode(const struct shale_rec_attr *in, struct shale_buf *v)
{
	struct shale_disk_attr disk = {
		.epoch = le32_make(in->epoch),
		.born = le32_make(in->born),
		.mode = le32_make(in->mode),
		.uid = le32_make(in->uid),
		.gid = le32_make(in->gid),
		.nlink = le32_make(in->nlink),
		.rdev_major = le32_make(in->rdev_major),
		.rdev_minor = le32_make(in->rdev_minor),
		.mtime = put_time(&in->mtime),
		.ctime = put_time(&in->ctime),
		.atime = put_time(&in->atime),
		.parent = le64_make(in->parent),
		.next_cookie = le64_make(in->next_cookie),
	};

	return shale_buf_append(v, &disk, sizeof(disk));
}

/* ------------------------------------------------------------------ C */

void shale_rec_content_release(struct shale_rec_content *c)
{
	if (!c)
		return;
	free(c->ranges);
	c->ranges = NULL;
	c->n_ranges = 0;
}

static const char *decode_files(struct shale_rec_content *c,
				const uint8_t *from)
{
	for (uint32_t i = 0; i < c->n_files; i++) {
		struct shale_disk_file disk;
		memcpy(&disk, from + i * sizeof(disk), sizeof(disk));
		struct shale_rec_file *file = &c->file[i];
		file->epoch = le32_get(disk.epoch);
		file->limit = le64_get(disk.limit);
		if (i == 0 && file->limit == SHALE_DISK_LENT) {
			c->lent = true;
			file->limit = 0;
		}
		if (!file->epoch || file->epoch > c->epoch ||
		    (i && file->epoch >= c->file[i - 1].epoch))
			return "epochs of data files";
		if (file->limit > c->size)
			return "limit of a data file";
	}
	if (c->lent && (c->n_files != 1 || c->n_ranges))
		return "a data file is lent, and not all of the content";
	return NULL;
}

static const char *decode_ranges(struct shale_rec_content *c,
				 const uint8_t *from)
{
	uint64_t end = 0;

	for (uint32_t i = 0; i < c->n_ranges; i++) {
		struct shale_disk_range disk;
		memcpy(&disk, from + i * sizeof(disk), sizeof(disk));
		struct shale_rec_range *range = &c->ranges[i];
		range->off = le64_get(disk.off);
		range->len = le64_get(disk.len);
		range->ino = le64_get(disk.ino);
		range->src = le64_get(disk.src);
		range->image = le32_get(disk.image);
		range->epoch = le32_get(disk.epoch);
		if (range->off < end || !range->len || range->off > c->size ||
		    range->len > c->size - range->off)
			return "ranges of content";
		end = range->off + range->len;
		if (!inode_number(range->ino) || range->src > INT64_MAX ||
		    range->len > INT64_MAX - range->src)
			return "source of a range";
		if (range->epoch > c->epoch)
			return "epoch of a range";
	}
	return NULL;
}

int shale_rec_content_decode(const struct shale_buf *v,
			     struct shale_rec_content *out,
			     struct shale_err *err)
{
	struct shale_disk_content_head disk;

	if (v->len < sizeof(disk))
		return damaged("content ends early", err);
	memcpy(&disk, v->data, sizeof(disk));
	struct shale_rec_content c = {
		.epoch = le32_get(disk.epoch),
		.size = le64_get(disk.size),
		.present = le64_get(disk.present),
		.n_files = le32_get(disk.n_files),
		.n_ranges = le32_get(disk.n_ranges),
	};
	if (c.size > INT64_MAX || c.n_files > SHALE_CONTENT_FILES)
		return damaged("content out of range", err);
	size_t files = c.n_files * sizeof(struct shale_disk_file);
	uint64_t ranges =
		c.n_ranges * (uint64_t)sizeof(struct shale_disk_range);
	if (v->len - sizeof(disk) != files + ranges)
		return damaged("content has another size", err);

	const char *fault = decode_files(&c, v->data + sizeof(disk));
	if (fault)
		return damaged(fault, err);
	if (c.n_ranges) {
		c.ranges = calloc(c.n_ranges, sizeof(*c.ranges));
		if (!c.ranges)
			return shale_err_set(err, ENOMEM, "workspace record");
	}
	fault = decode_ranges(&c, v->data + sizeof(disk) + files);
	if (fault) {
		shale_rec_content_release(&c);
		return damaged(fault, err);
	}
	*out = c;
	return 0;
}

int shale_rec_content_encode(const struct shale_rec_content *in,
			     struct shale_buf *v)
{
	struct shale_disk_content_head disk = {
		.epoch = le32_make(in->epoch),
		.n_files = le32_make(in->n_files),
		.size = le64_make(in->size),
		.present = le64_make(in->present),
		.n_ranges = le32_make(in->n_ranges),
	};

	int r = shale_buf_append(v, &disk, sizeof(disk));
	for (uint32_t i = 0; r == 0 && i < in->n_files; i++) {
		struct shale_disk_file file = {
			.epoch = le32_make(in->file[i].epoch),
			.limit = le64_make(in->lent ? SHALE_DISK_LENT
						    : in->file[i].limit),
		};
		r = shale_buf_append(v, &file, sizeof(file));
	}
	for (uint32_t i = 0; r == 0 && i < in->n_ranges; i++) {
		const struct shale_rec_range *from = &in->ranges[i];
		struct shale_disk_range range = {
			.off = le64_make(from->off),
			.len = le64_make(from->len),
			.ino = le64_make(from->ino),
			.src = le64_make(from->src),
			.image = le32_make(from->image),
			.epoch = le32_make(from->epoch),
		};
		r = shale_buf_append(v, &range, sizeof(range));
	}
	return r;
}

/* ------------------------------------------------------------ N and X */

int shale_rec_name_decode(const struct shale_buf *v, struct shale_rec_name *out,
			  struct shale_err *err)
{
	struct shale_disk_name disk;

	if (v->len != sizeof(disk))
		return damaged("a name has another size", err);
	memcpy(&disk, v->data, sizeof(disk));
	struct shale_rec_name n = {
		.epoch = le32_get(disk.epoch),
		.born = le32_get(disk.born),
		.ino = le64_get(disk.ino),
		.cookie = le64_get(disk.cookie),
		.type = disk.type,
	};
	if (!n.epoch || n.born > n.epoch)
		return damaged("epochs of a name", err);
	if (n.ino ? !inode_number(n.ino) ||
			    !known_type((uint32_t)n.type << 12) ||
			    n.type > 15 || n.cookie < 3
		  : n.type != 0 || n.cookie != 0)
		return damaged("inode of a name", err);
	if (n.cookie > INT64_MAX)
		return damaged("offset of a name", err);
	*out = n;
	return 0;
}

int shale_rec_name_encode(const struct shale_rec_name *in, struct shale_buf *v)
{
	struct shale_disk_name disk = {
		.epoch = le32_make(in->epoch),
		.born = le32_make(in->born),
		.ino = le64_make(in->ino),
		.cookie = le64_make(in->cookie),
		.type = in->type,
	};

	return shale_buf_append(v, &disk, sizeof(disk));
}

int shale_rec_xattrs_decode(const struct shale_buf *v,
			    struct shale_rec_xattrs *out, struct shale_err *err)
{
	struct shale_disk_xattrs disk;

	if (v->len < sizeof(disk) || v->len - sizeof(disk) > SHALE_XATTRS_MAX)
		return damaged("xattrs have another size", err);
	memcpy(&disk, v->data, sizeof(disk));
	struct shale_rec_xattrs x = {
		.epoch = le32_get(disk.epoch),
		.list = v->data + sizeof(disk),
		.len = (uint32_t)(v->len - sizeof(disk)),
	};
	if (!x.epoch)
		return damaged("epoch of xattrs", err);
	*out = x;
	return 0;
}

int shale_rec_xattrs_encode(const struct shale_rec_xattrs *in,
			    struct shale_buf *v)
{
	struct shale_disk_xattrs disk = {le32_make(in->epoch)};

	int r = shale_buf_append(v, &disk, sizeof(disk));
	return r < 0 ? r : shale_buf_append(v, in->list, in->len);
}
