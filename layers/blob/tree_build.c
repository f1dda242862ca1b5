/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/blob/tree_build.h"

#include "layers/base/cleanup.h"
#include "layers/blob/build_impl.h"
#include "layers/blob/record.h"
#include "layers/blob/tree_impl.h"

#include <string.h>
#include <sys/stat.h>

static int no_memory(struct shale_err *err)
{
	return shale_err_set(err, ENOMEM, "build a tree blob");
}

int shale_tree_build_new(struct shale_tree_build **out, struct shale_err *err)
{
	struct shale_tree_build *b = calloc(1, sizeof(*b));
	if (!b)
		return no_memory(err);
	pthread_mutex_init(&b->lock, NULL);
	b->own = SHALE_NO_BLOB;
	b->run_end = UINT64_MAX;
	*out = b;
	return 0;
}

void shale_tree_build_free(struct shale_tree_build *b)
{
	if (!b)
		return;
	struct shale_buf *const bufs[] = {&b->inodes, &b->dirents,  &b->text,
					  &b->xattrs, &b->lists,    &b->extents,
					  &b->packed, &b->chunks,   &b->blobs,
					  &b->clones, &b->forgotten};
	for (size_t i = 0; i < sizeof(bufs) / sizeof(bufs[0]); i++)
		shale_buf_release(bufs[i]);
	shale_intern_release(&b->list_ids);
	shale_intern_release(&b->chunk_ids);
	pthread_mutex_destroy(&b->lock);
	free(b);
}

/* --------------------------------------------------------------- inodes */

struct list_key {
	const void *data;
	uint32_t len;
};

static bool list_equal(const void *array, uint32_t id, const void *key)
{
	const struct shale_tree_build *b = array;
	const struct shale_build_list *list =
		(const struct shale_build_list *)b->lists.data + id;
	const struct list_key *k = key;

	return list->len == k->len &&
	       memcmp(b->xattrs.data + list->off, k->data, k->len) == 0;
}

/* The number of an xattr list that is in order. */
static int intern_list(struct shale_tree_build *b, const void *data,
		       uint32_t len, uint32_t *id, struct shale_err *err)
{
	struct list_key key = {data, len};
	uint64_t hash = shale_xxh64(data, len);
	uint32_t found =
		shale_intern_find(&b->list_ids, hash, list_equal, b, &key);

	if (found == SHALE_INTERN_NONE) {
		struct shale_build_list list = {.off = b->xattrs.len,
						.len = len};
		found = (uint32_t)(b->lists.len / sizeof(list));
		if (shale_buf_append(&b->xattrs, data, len) < 0 ||
		    shale_buf_append(&b->lists, &list, sizeof(list)) < 0 ||
		    shale_intern_add(&b->list_ids, hash, found) < 0)
			return no_memory(err);
	}
	*id = found;
	return 0;
}

static int add_xattrs(struct shale_tree_build *b, const struct shale_inode *in,
		      struct shale_disk_inode *disk, struct shale_err *err)
{
	cleanup_buf struct shale_buf sorted = {0};
	uint32_t id = 0;

	if (shale_buf_append(&sorted, in->xattrs, in->xattr_len) < 0)
		return no_memory(err);
	int r = shale_xattr_sort(&sorted, err);
	if (r == 0)
		r = intern_list(b, sorted.data, (uint32_t)sorted.len, &id, err);
	if (r < 0)
		return r;
	disk->xattr_off = le64_make(id);
	disk->xattr_len = le32_make(in->xattr_len);
	return 0;
}

static int add_ref(struct shale_tree_build *b, const struct shale_inode *in,
		   struct shale_disk_inode *disk, struct shale_err *err)
{
	const struct shale_attr *a = &in->attr;

	if (S_ISLNK(a->mode)) {
		disk->ref = le64_make(b->text.len);
		if (shale_buf_append(&b->text, in->target, a->size) < 0)
			return no_memory(err);
	} else if (S_ISCHR(a->mode) || S_ISBLK(a->mode)) {
		disk->ref = le64_make((uint64_t)a->rdev_major << 32 |
				      a->rdev_minor);
	}
	return 0;
}

int shale_tree_build_inode(struct shale_tree_build *b,
			   const struct shale_inode *in, struct shale_err *err)
{
	const struct shale_attr *a = &in->attr;
	struct shale_disk_inode disk = {.ino = le64_make(a->ino)};
	const char *fault = shale_inode_fault(in);
	if (fault)
		return shale_err_say(err, EINVAL, "inode %llu: %s",
				     (unsigned long long)a->ino, fault);

	if (a->mode) {
		disk.mode = le32_make(a->mode);
		disk.uid = le32_make(a->uid);
		disk.gid = le32_make(a->gid);
		disk.nlink = le32_make(a->nlink);
		/* what a directory's size is depends on where it lay */
		if (S_ISREG(a->mode) || S_ISLNK(a->mode))
			disk.size = le64_make(a->size);
		disk.mtime_sec = le64_make((uint64_t)a->mtime.tv_sec);
		disk.mtime_nsec = le32_make((uint32_t)a->mtime.tv_nsec);
		disk.content = le32_make(in->content);
		disk.limit = le64_make(in->limit);
		int r = add_ref(b, in, &disk, err);
		if (r == 0 && in->xattr_len)
			r = add_xattrs(b, in, &disk, err);
		if (r < 0)
			return r;
	}
	if (shale_buf_append(&b->inodes, &disk, sizeof(disk)) < 0)
		return no_memory(err);
	return 0;
}

int shale_tree_build_dirent(struct shale_tree_build *b,
			    const struct shale_dirent *in,
			    struct shale_err *err)
{
	const char *fault = shale_dirent_fault(in);
	if (fault)
		return shale_err_say(err, EINVAL,
				     "name '%.*s' of directory %llu: %s",
				     in->name_len, in->name,
				     (unsigned long long)in->dir, fault);

	struct shale_disk_dirent disk = {
		.dir = le64_make(in->dir),
		.ino = le64_make(in->ino),
		.name_off = le64_make(b->text.len),
		.name_len = le16_make(in->name_len),
		.type = in->type,
	};
	if (shale_buf_append(&b->text, in->name, in->name_len) < 0 ||
	    shale_buf_append(&b->dirents, &disk, sizeof(disk)) < 0)
		return no_memory(err);
	return 0;
}

uint64_t shale_tree_build_count(const struct shale_tree_build *b,
				enum shale_tree_section section)
{
	const struct shale_buf *const bufs[SHALE_TREE_NSECTIONS] = {
		&b->inodes, &b->dirents, &b->extents, &b->chunks,
		&b->blobs,  &b->chunks, /* CHUNKSORT */
		&b->packed, &b->text,    &b->xattrs,  &b->clones,
	};
	size_t size = shale_tree_kind.record_size[section];

	if (section == SHALE_TREE_CHUNKSORT)
		size = sizeof(struct shale_disk_chunk);
	pthread_mutex_t *lock = (pthread_mutex_t *)&b->lock;
	pthread_mutex_lock(lock);
	uint64_t n = bufs[section]->len / size;
	pthread_mutex_unlock(lock);
	return n;
}
