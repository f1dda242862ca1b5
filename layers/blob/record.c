/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/blob/record.h"

#include <string.h>
#include <sys/stat.h>

static bool ino_valid(uint64_t ino)
{
	return ino >= SHALE_ROOT_INO && ino <= SHALE_INO_MAX;
}

static bool type_valid(uint32_t mode)
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

static const char *content_fault(const struct shale_inode *in)
{
	if (in->content > SHALE_CONTENT_PATCHED)
		return "unknown statement about content";
	if (in->content != SHALE_CONTENT_SAME && !S_ISREG(in->attr.mode))
		return "content of what is no regular file";
	if (in->content == SHALE_CONTENT_PATCHED ? in->limit > INT64_MAX
						 : in->limit != 0)
		return "limit of lower content out of range";
	return NULL;
}

static const char *target_fault(const struct shale_inode *in)
{
	if (in->attr.size < 1 || in->attr.size > SHALE_TARGET_MAX)
		return "symlink target empty or too long";
	if (memchr(in->target, 0, in->attr.size))
		return "symlink target with a NUL";
	return NULL;
}

const char *shale_inode_fault(const struct shale_inode *in)
{
	const struct shale_attr *a = &in->attr;

	if (!ino_valid(a->ino))
		return "inode number out of range";
	if (a->mode == 0)
		return NULL;
	if (!type_valid(a->mode) || a->mode & ~(uint32_t)(S_IFMT | 07777))
		return "unknown type or mode";
	if (a->size > INT64_MAX)
		return "size over 2^63 - 1";
	if (a->mtime.tv_nsec < 0 || a->mtime.tv_nsec >= 1000000000)
		return "nanoseconds out of range";
	if (in->xattr_len > SHALE_XATTRS_MAX || in->xattr_len % 4)
		return "length of xattrs out of range";
	if (S_ISLNK(a->mode)) {
		const char *fault = target_fault(in);
		if (fault)
			return fault;
	}
	return content_fault(in);
}

static bool name_valid(const char *name, size_t len)
{
	if (len < 1 || len > SHALE_NAME_MAX)
		return false;
	if (name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')))
		return false;
	return !memchr(name, '/', len) && !memchr(name, 0, len);
}

const char *shale_dirent_fault(const struct shale_dirent *in)
{
	if (!ino_valid(in->dir))
		return "directory's inode number out of range";
	if (!name_valid(in->name, in->name_len))
		return "invalid name";
	if (in->ino == 0)
		return in->type ? "a deleted name with a type" : NULL;
	if (!ino_valid(in->ino))
		return "inode number out of range";
	if (!type_valid((uint32_t)in->type << 12) || in->type > 15)
		return "unknown type";
	return NULL;
}

const char *shale_extent_fault(const struct shale_extent *in)
{
	if (!ino_valid(in->ino))
		return "inode number out of range";
	if (in->len == 0)
		return "empty extent";
	if (in->off > INT64_MAX || in->len > INT64_MAX - in->off)
		return "extent beyond 2^63 - 1";
	if (in->chunk == SHALE_HOLE && in->chunk_off != 0)
		return "a hole with an offset in a chunk";
	if (in->chunk == SHALE_CLONE &&
	    (!ino_valid(in->clone_ino) || in->clone_off > INT64_MAX ||
	     in->len > INT64_MAX - in->clone_off))
		return "a clone of what cannot be";
	return NULL;
}
