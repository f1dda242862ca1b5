/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/commit/stack.h"

#include "fs/commit/refer.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

struct merge {
	const struct shale_image *stack, *bottom;
	struct shale_tree_build *build;
	struct shale_pack *pack;
};

/* All content of `ino` in the stack, chunk by chunk. */
static int refer_content(struct merge *m, uint64_t ino, struct shale_err *err)
{
	struct shale_content content;
	int r = shale_image_content(m->stack, ino, &content, err);
	if (r == 0)
		r = shale_pack_begin(m->pack, ino, err);
	if (r == 0)
		r = shale_refer_chunks(m->pack, &content, 0, content.size, err);
	return r < 0 ? r : shale_pack_end(m->pack, err);
}

static bool same_attr(const struct shale_attr *a, const struct shale_attr *b)
{
	return a->mode == b->mode && a->uid == b->uid && a->gid == b->gid &&
	       a->nlink == b->nlink && a->size == b->size &&
	       a->mtime.tv_sec == b->mtime.tv_sec &&
	       a->mtime.tv_nsec == b->mtime.tv_nsec;
}

/*
 * A number that both have: the bottom's inode, or a directory of several with
 * the attributes of a later one.
 */
static int add_shared(struct merge *m, struct shale_inode *in,
		      const struct shale_attr *below, struct shale_err *err)
{
	const void *xattrs;
	uint32_t len;
	int r = shale_index_xattrs(m->bottom->index, in->attr.ino, &xattrs,
				   &len, err);
	if (r < 0)
		return r;
	if (same_attr(&in->attr, below) && len == in->xattr_len &&
	    (!len || memcmp(xattrs, in->xattrs, len) == 0))
		return 0;
	in->content = SHALE_CONTENT_SAME;
	return shale_tree_build_inode(m->build, in, err);
}

static int add_inode(struct merge *m, const struct shale_attr *attr,
		     struct shale_err *err)
{
	const struct shale_index *index = m->stack->index;
	struct shale_inode in = {.attr = *attr};
	uint32_t target_len;
	int r = shale_index_xattrs(index, attr->ino, &in.xattrs, &in.xattr_len,
				   err);
	if (r == 0 && S_ISLNK(attr->mode))
		r = shale_index_target(index, attr->ino, &in.target,
				       &target_len, err);
	if (r < 0)
		return r;

	struct shale_attr below;
	r = shale_index_attr(m->bottom->index, attr->ino, &below, err);
	if (r == 0)
		return add_shared(m, &in, &below, err);
	if (r != -ENOENT)
		return r;

	if (S_ISREG(attr->mode)) {
		in.content = SHALE_CONTENT_REPLACED;
		r = refer_content(m, attr->ino, err);
		if (r < 0)
			return r;
	}
	return shale_tree_build_inode(m->build, &in, err);
}

/* Names of one directory: those that are new or lead elsewhere. */
static int add_names(struct merge *m, uint64_t dir, struct shale_err *err)
{
	struct shale_index_dir run;
	int r = shale_index_dir(m->stack->index, dir, &run, err);

	for (uint64_t i = 0; r == 0 && i < run.count; i++) {
		struct shale_entry entry, below;
		r = shale_index_entry(m->stack->index, run.first + i, &entry,
				      err);
		if (r < 0)
			break;
		r = shale_index_lookup(m->bottom->index, dir, entry.name,
				       entry.name_len, &below, NULL, err);
		if (r == 0 && below.ino == entry.ino)
			continue;
		if (r < 0 && r != -ENOENT && r != -ENOTDIR)
			break;
		struct shale_dirent add = {dir, entry.ino, entry.name,
					   entry.name_len, entry.type};
		r = shale_tree_build_dirent(m->build, &add, err);
	}
	return r;
}

/* Inodes of the bottom image that nothing shows any more, and the names in
 * directories that are gone with them. */
static int add_gone(struct merge *m, struct shale_err *err)
{
	const struct shale_index *bottom = m->bottom->index;
	int r = 0;

	for (uint64_t i = 0; r == 0 && i < shale_index_inodes(bottom); i++) {
		struct shale_attr attr, now;
		r = shale_index_attr_nth(bottom, i, &attr, err);
		if (r < 0)
			break;
		r = shale_index_attr(m->stack->index, attr.ino, &now, err);
		if (r != -ENOENT)
			continue;
		struct shale_inode gone = {.attr.ino = attr.ino};
		r = shale_tree_build_inode(m->build, &gone, err);
	}
	return r;
}

int shale_stack_layer(const struct shale_image *stack,
		      const struct shale_image *bottom,
		      struct shale_tree_build *build, struct shale_pack *pack,
		      struct shale_err *err)
{
	struct merge m = {stack, bottom, build, pack};

	for (uint64_t i = 0; i < shale_index_inodes(stack->index); i++) {
		struct shale_attr attr;
		int r = shale_index_attr_nth(stack->index, i, &attr, err);
		if (r == 0)
			r = add_inode(&m, &attr, err);
		if (r == 0 && S_ISDIR(attr.mode))
			r = add_names(&m, attr.ino, err);
		if (r < 0)
			return r;
	}
	return add_gone(&m, err);
}
