/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/archive_item.h"

#include "layers/ops/archive_acl.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

static int fill_xattrs(struct shale_archive_reader *r, struct archive_entry *e,
		       struct shale_buf *list, struct shale_err *err)
{
	const char *name;
	const void *value;
	size_t len;
	bool acl = false;

	archive_entry_xattr_reset(e);
	while (archive_entry_xattr_next(e, &name, &value, &len) == ARCHIVE_OK) {
		if (!name || !shale_xattr_wanted(r->xattrs, true, name))
			continue;
		acl = acl || strncmp(name, "system.posix_acl_", 17) == 0;
		int rc = shale_xattr_append(list, name, value, len, err);
		if (rc < 0)
			return rc;
	}
	int rc = 0;
	if (!acl &&
	    shale_xattr_wanted(r->xattrs, true, "system.posix_acl_access"))
		rc = shale_archive_acl(e, list, err);
	return rc == 0 && list->len ? shale_xattr_sort(list, err) : rc;
}

/* `decimal_times`: -1.25 came as -1 s and 250,000,000 ns. */
static int fill_attr(struct archive_entry *e, bool decimal_times,
		     struct shale_archive_item *item, struct shale_err *err)
{
	struct shale_attr *attr = &item->attr;
	int64_t size = archive_entry_size_is_set(e) ? archive_entry_size(e) : 0;
	int64_t uid = archive_entry_uid(e), gid = archive_entry_gid(e);
	long nsec = archive_entry_mtime_nsec(e);

	if (size < 0 || uid < 0 || uid >= UINT32_MAX || gid < 0 ||
	    gid >= UINT32_MAX)
		return shale_err_say(err, EBADMSG,
				     "its size or owner is out of range");
	attr->mode = archive_entry_mode(e);
	if (item->is_link)
		attr->mode = S_IFREG;
	attr->uid = (uint32_t)uid;
	attr->gid = (uint32_t)gid;
	if (archive_entry_mtime_is_set(e)) {
		attr->mtime.tv_sec = archive_entry_mtime(e);
		attr->mtime.tv_nsec = nsec >= 0 && nsec < 1000000000 ? nsec : 0;
		if (decimal_times && attr->mtime.tv_sec < 0 &&
		    attr->mtime.tv_nsec) {
			attr->mtime.tv_sec--;
			attr->mtime.tv_nsec = 1000000000 - attr->mtime.tv_nsec;
		}
	}
	switch (attr->mode & S_IFMT) {
	case S_IFREG:
		attr->size = (uint64_t)size;
		item->no_size = !archive_entry_size_is_set(e);
		item->has_content = !item->is_link || size > 0;
		return 0;
	case S_IFCHR:
	case S_IFBLK:
		attr->rdev_major = (uint32_t)archive_entry_rdevmajor(e);
		attr->rdev_minor = (uint32_t)archive_entry_rdevminor(e);
		return 0;
	case S_IFDIR:
	case S_IFLNK:
	case S_IFIFO:
	case S_IFSOCK:
		return 0;
	}
	return shale_err_say(err, EBADMSG, "it is of no known type");
}

static const char *text_of(const char *as_is, const char *utf8)
{
	return as_is ? as_is : utf8;
}

/* A cleaned copy of a path, appended to the heap with its NUL. */
static int put_path(struct shale_buf *heap, const char *path, uint32_t *len,
		    struct shale_err *err)
{
	size_t size = strlen(path) + 1, at = heap->len, n;
	if (size > SHALE_RING_BATCH || shale_buf_append(heap, path, size) < 0)
		return shale_err_set(err, ENAMETOOLONG, "a path");
	int rc = shale_arrival_clean_path((char *)heap->data + at, &n, err);
	if (rc < 0)
		return rc;
	*len = (uint32_t)n;
	heap->len = at + n + 1;
	return 0;
}

static int put_target(struct shale_buf *heap, struct archive_entry *e,
		      struct shale_archive_item *item, struct shale_err *err)
{
	const char *target = text_of(archive_entry_symlink(e),
				     archive_entry_symlink_utf8(e));
	size_t len = target ? strlen(target) : 0;
	if (!len || len > SHALE_TARGET_MAX)
		return shale_err_say(err, EBADMSG,
				     "its target has %zu bytes; 1 to %d can be "
				     "stored",
				     len, SHALE_TARGET_MAX);
	item->target_len = (uint32_t)len;
	item->attr.size = len;
	if (shale_buf_append(heap, target, len) < 0)
		return shale_err_set(err, ENOMEM, "a target");
	return 0;
}

int shale_archive_item_fill(struct shale_archive_reader *r,
			    struct archive_entry *e, const char *path,
			    struct shale_archive_item *item,
			    struct shale_err *err)
{
	cleanup_buf struct shale_buf xattrs = {0};
	struct shale_buf *heap = &r->batch->heap;
	const char *link = text_of(archive_entry_hardlink(e),
				   archive_entry_hardlink_utf8(e));
	item->kind = SHALE_ARCHIVE_ENTRY;
	item->at = heap->len;
	item->is_link = link != NULL;
	int rc = fill_attr(e, r->decimal_times, item, err);
	if (rc == 0)
		rc = fill_xattrs(r, e, &xattrs, err);
	if (rc == 0)
		rc = put_path(heap, path, &item->path_len, err);
	if (rc == 0 && link)
		rc = put_path(heap, link, &item->link_len, err);
	if (rc == 0 && S_ISLNK(item->attr.mode))
		rc = put_target(heap, e, item, err);
	item->xattr_len = (uint32_t)xattrs.len;
	if (rc == 0 && xattrs.len &&
	    shale_buf_append(heap, xattrs.data, xattrs.len) < 0)
		rc = shale_err_set(err, ENOMEM, "xattrs");
	return rc;
}

void shale_archive_arrival(const struct shale_batch *batch,
			   const struct shale_archive_item *item,
			   struct shale_arrival *out)
{
	const char *at = (const char *)batch->heap.data + item->at;
	*out = (struct shale_arrival){
		.attr = item->attr,
		.path = at,
		.path_len = item->path_len,
		.xattr_len = item->xattr_len,
	};
	at += item->path_len + 1;
	if (item->is_link) {
		out->link = at;
		out->link_len = item->link_len;
		at += item->link_len + 1;
	}
	out->target = at;
	out->xattrs = at + item->target_len;
}
