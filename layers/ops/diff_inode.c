/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/diff_impl.h"

#include <string.h>
#include <sys/stat.h>

static int compare_targets(const struct shale_image *old,
			   const struct shale_image *fresh,
			   struct shale_difference *d, struct shale_err *err)
{
	const char *was, *is;
	uint32_t was_len, is_len;

	int r = shale_index_target(old->index, d->old_ino, &was, &was_len, err);
	if (r == 0)
		r = shale_index_target(fresh->index, d->new_ino, &is, &is_len,
				       err);
	if (r == 0 && (was_len != is_len || memcmp(was, is, is_len) != 0))
		d->what |= SHALE_DIFF_CONTENT;
	return r;
}

static int compare_xattrs(const struct shale_image *old,
			  const struct shale_image *fresh,
			  struct shale_difference *d, struct shale_err *err)
{
	const void *was, *is;
	uint32_t was_len, is_len;

	int r = shale_index_xattrs(old->index, d->old_ino, &was, &was_len, err);
	if (r == 0)
		r = shale_index_xattrs(fresh->index, d->new_ino, &is, &is_len,
				       err);
	/* Lists are sorted, so that equal ones are the same bytes. */
	if (r == 0 &&
	    (was_len != is_len || (is_len && memcmp(was, is, is_len) != 0)))
		d->what |= SHALE_DIFF_XATTRS;
	return r;
}

static int compare_contents(const struct shale_image *old,
			    const struct shale_image *fresh, bool same,
			    struct shale_difference *d, struct shale_err *err)
{
	int r = 0;

	switch (d->is.mode & S_IFMT) {
	case S_IFLNK:
		return compare_targets(old, fresh, d, err);
	case S_IFCHR:
	case S_IFBLK:
		r = d->was.rdev_major != d->is.rdev_major ||
		    d->was.rdev_minor != d->is.rdev_minor;
		break;
	case S_IFREG:
		r = d->was.size != d->is.size;
		if (!r && !same && d->is.size)
			r = shale_diff_content(old, d->old_ino, fresh,
					       d->new_ino, err);
		break;
	default:
		break;
	}
	if (r > 0)
		d->what |= SHALE_DIFF_CONTENT;
	return r < 0 ? shale_err_wrap(err, r, "%s", d->path) : 0;
}

int shale_diff_inodes(const struct shale_image *old,
		      const struct shale_image *fresh, bool same_content,
		      struct shale_difference *d, struct shale_err *err)
{
	int r = compare_contents(old, fresh, same_content, d, err);
	if (r == 0)
		r = compare_xattrs(old, fresh, d, err);
	if (r < 0)
		return r;
	if (d->was.mode != d->is.mode)
		d->what |= SHALE_DIFF_MODE;
	if (d->was.uid != d->is.uid || d->was.gid != d->is.gid)
		d->what |= SHALE_DIFF_OWNER;
	if (d->was.mtime.tv_sec != d->is.mtime.tv_sec ||
	    d->was.mtime.tv_nsec != d->is.mtime.tv_nsec)
		d->what |= SHALE_DIFF_TIME;
	return 0;
}
