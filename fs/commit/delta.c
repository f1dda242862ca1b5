/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/commit/delta.h"

#include "layers/base/cleanup.h"

#include <string.h>
#include <sys/stat.h>

void shale_delta_release(struct shale_delta *delta)
{
	if (!delta)
		return;
	for (uint32_t i = 0; i < delta->n_images; i++)
		shale_image_close(delta->images[i]);
	shale_buf_release(&delta->said);
	free(delta->images);
	delta->images = NULL;
	delta->n_images = 0;
}

int shale_delta_image(struct shale_delta *delta, uint32_t n,
		      struct shale_image **out, struct shale_err *err)
{
	if (n > delta->state.last && n > delta->state.pinned)
		return shale_err_say(err, EUCLEAN,
				     "the workspace refers to image %u of %u",
				     n, delta->state.last);
	if (n >= delta->n_images) {
		struct shale_image **images = realloc(
			delta->images, (n + 1) * sizeof(struct shale_image *));
		if (!images)
			return shale_err_set(err, ENOMEM, "commit");
		memset(images + delta->n_images, 0,
		       (n + 1 - delta->n_images) * sizeof(*images));
		delta->images = images;
		delta->n_images = n + 1;
	}
	if (!delta->images[n]) {
		struct shale_rec_image which;
		int r = shale_records_image(delta->records, n, &which, err);
		if (r == 0)
			r = delta->open_image(delta->arg, &which,
					      &delta->images[n], err);
		if (r < 0)
			return r;
	}
	*out = delta->images[n];
	return 0;
}

int shale_delta_lower(const struct shale_delta *delta, uint64_t ino,
		      struct shale_inode *out, struct shale_err *err)
{
	const struct shale_image *lower = delta->lower;
	for (size_t i = lower->n_trees; i-- > 0;) {
		uint64_t at;
		int r = shale_tree_find_inode(lower->trees[i], ino, &at, err);
		if (r == -ENOENT)
			continue;
		if (r == 0)
			r = shale_tree_inode(lower->trees[i], at, out, err);
		return r == 0 && !out->attr.mode ? -ENOENT : r;
	}
	return -ENOENT;
}

int shale_delta_lower_has(const struct shale_delta *delta, uint64_t dir,
			  const char *name, size_t len, bool *has,
			  struct shale_err *err)
{
	const struct shale_image *lower = delta->lower;
	*has = false;
	for (size_t i = lower->n_trees; i-- > 0;) {
		uint64_t at;
		struct shale_dirent entry;
		int r = shale_tree_find_dirent(lower->trees[i], dir, name, len,
					       &at, err);
		if (r == -ENOENT)
			continue;
		if (r == 0)
			r = shale_tree_dirent(lower->trees[i], at, &entry, err);
		*has = r == 0 && entry.ino;
		return r;
	}
	return 0;
}

static int get(struct shale_delta *delta, struct shale_key key,
	       struct shale_buf *value, struct shale_err *err)
{
	return shale_snapshot_get(delta->snapshot, key.b, key.len, value, err);
}

/* xattrs and target: from the workspace, else from the last image. */
static int fill_texts(struct shale_delta *delta, struct shale_inode *in,
		      const struct shale_inode *lower, struct shale_buf *xattrs,
		      struct shale_buf *target, struct shale_err *err)
{
	uint64_t ino = in->attr.ino;
	int r = get(delta, shale_key_xattrs(ino), xattrs, err);
	if (r == 0) {
		struct shale_rec_xattrs rec;
		r = shale_rec_xattrs_decode(xattrs, &rec, err);
		if (r < 0)
			return r;
		in->xattrs = rec.list;
		in->xattr_len = rec.len;
	} else if (r != -ENOENT) {
		return r;
	} else if (lower) {
		in->xattrs = lower->xattrs;
		in->xattr_len = lower->xattr_len;
	}

	if (!S_ISLNK(in->attr.mode))
		return 0;
	r = get(delta, shale_key_target(ino), target, err);
	if (r == 0) {
		in->target = (const char *)target->data;
		in->attr.size = target->len;
	} else if (r == -ENOENT && lower) {
		in->target = lower->target;
		in->attr.size = lower->attr.size;
		r = 0;
	}
	return r == -ENOENT ? shale_err_say(err, EUCLEAN,
					    "symlink %llu has no target",
					    (unsigned long long)ino)
			    : r;
}

/* Size and content of a regular file. */
static int fill_content(struct shale_delta *delta, struct shale_inode *in,
			const struct shale_inode *lower, struct shale_err *err)
{
	cleanup_buf struct shale_buf value = {0};
	uint64_t ino = in->attr.ino;
	int r = get(delta, shale_key_content(ino), &value, err);
	if (r == -ENOENT) {
		in->attr.size = lower ? lower->attr.size : 0;
		in->content =
			lower ? SHALE_CONTENT_SAME : SHALE_CONTENT_REPLACED;
		return 0;
	}

	struct shale_rec_content content = {0};
	if (r == 0)
		r = shale_rec_content_decode(&value, &content, err);
	if (r < 0)
		return r;
	in->attr.size = content.size;
	if (lower && content.epoch <= delta->state.committed) {
		in->content = SHALE_CONTENT_SAME;
	} else {
		struct shale_content below;
		if (lower)
			r = shale_content_resolve(&below, delta->lower->trees,
						  delta->lower->n_trees, ino,
						  err);
		if (r == 0)
			r = shale_delta_content(delta, in, &content,
						lower ? &below : NULL, err);
	}
	shale_rec_content_release(&content);
	return r;
}

/* Would the layer's record say nothing new? */
static bool says_nothing(const struct shale_inode *in,
			 const struct shale_inode *lower)
{
	const struct shale_attr *a = &in->attr, *b = &lower->attr;
	return in->content == SHALE_CONTENT_SAME && a->mode == b->mode &&
	       a->uid == b->uid && a->gid == b->gid && a->nlink == b->nlink &&
	       a->size == b->size && a->mtime.tv_sec == b->mtime.tv_sec &&
	       a->mtime.tv_nsec == b->mtime.tv_nsec &&
	       in->xattr_len == lower->xattr_len &&
	       (!in->xattr_len ||
		memcmp(in->xattrs, lower->xattrs, in->xattr_len) == 0);
}

static int add_gone(struct shale_delta *delta, uint64_t ino,
		    const struct shale_inode *lower, struct shale_err *err)
{
	if (!lower)
		return 0;
	struct shale_inode gone = {.attr.ino = ino};
	delta->inodes--;
	if (S_ISREG(lower->attr.mode))
		delta->bytes -= (int64_t)lower->attr.size;
	delta->changes++;
	return shale_tree_build_inode(delta->build, &gone, err);
}

static int add_inode(struct shale_delta *delta, uint64_t ino,
		     const struct shale_rec_attr *attr, struct shale_err *err)
{
	struct shale_inode below;
	int r = shale_delta_lower(delta, ino, &below, err);
	if (r < 0 && r != -ENOENT)
		return r;
	const struct shale_inode *lower = r == 0 ? &below : NULL;
	if (!attr->mode || !attr->nlink)
		return add_gone(delta, ino, lower, err);

	struct shale_inode in = {
		.attr = {.ino = ino,
			 .mode = attr->mode,
			 .uid = attr->uid,
			 .gid = attr->gid,
			 .nlink = attr->nlink,
			 .mtime = attr->mtime,
			 .rdev_major = attr->rdev_major,
			 .rdev_minor = attr->rdev_minor},
	};
	cleanup_buf struct shale_buf xattrs = {0};
	cleanup_buf struct shale_buf target = {0};
	r = fill_texts(delta, &in, lower, &xattrs, &target, err);
	if (r == 0 && S_ISREG(attr->mode))
		r = fill_content(delta, &in, lower, err);
	if (r < 0)
		return r;
	if (lower && says_nothing(&in, lower))
		return 0;

	delta->changes++;
	delta->inodes += lower ? 0 : 1;
	if (S_ISREG(attr->mode))
		delta->bytes += (int64_t)in.attr.size -
				(lower ? (int64_t)lower->attr.size : 0);
	if (shale_buf_append(&delta->said, &in.attr, sizeof(in.attr)) < 0)
		return shale_err_set(err, ENOMEM, "commit");
	return shale_tree_build_inode(delta->build, &in, err);
}

static int add_name(struct shale_delta *delta,
		    const struct shale_records_name *name,
		    struct shale_err *err)
{
	if (!name->ino) {
		bool has;
		int r = shale_delta_lower_has(delta, name->dir, name->name,
					      name->len, &has, err);
		if (r < 0 || !has)
			return r;
	}
	struct shale_dirent entry = {.dir = name->dir,
				     .ino = name->ino,
				     .name = name->name,
				     .name_len = name->len,
				     .type = name->ino ? name->type : 0};
	delta->changes++;
	return shale_tree_build_dirent(delta->build, &entry, err);
}

static int check(const struct shale_delta *delta, struct shale_err *err)
{
	return delta->cancelled && delta->cancelled(delta->arg)
		       ? shale_err_say(err, EINTR, "interrupted")
		       : 0;
}

static int on_attr(void *arg, const struct shale_buf *key,
		   const struct shale_buf *value, struct shale_err *err)
{
	struct shale_delta *delta = arg;
	uint64_t ino;
	struct shale_rec_attr attr;
	int r = shale_key_ino(key, 'I', &ino);
	if (r < 0)
		return shale_err_say(err, EUCLEAN,
				     "a key of the workspace is "
				     "damaged");
	r = shale_rec_attr_decode(value, &attr, err);
	if (r < 0 || attr.epoch <= delta->state.committed)
		return r;
	r = add_inode(delta, ino, &attr, err);
	return r < 0 ? r : check(delta, err);
}

int shale_delta_run(struct shale_delta *delta, struct shale_err *err)
{
	const struct shale_records *records = delta->records;
	int r = shale_records_each(records, 'I', on_attr, delta, err);

	for (size_t i = 0; r == 0 && i < records->n; i++)
		if (records->names[i].epoch > delta->state.committed)
			r = add_name(delta, &records->names[i], err);
	return r < 0 ? r : check(delta, err);
}
