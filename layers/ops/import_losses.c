/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/import_layer.h"

#include "layers/base/cleanup.h"

#include <string.h>
#include <sys/stat.h>

/*
 * What layers take away from the parent: names that are hidden, replaced or in
 * an opaque directory, all that lies below a directory that went with them, and
 * inodes that have no name left.
 */
struct losses {
	struct shale_import *imp;
	struct shale_metadoc *doc;
	const struct shale_index *ix;
	struct shale_inodemap kept;  /* the parent's inodes in the plan */
	struct shale_inodemap names; /* how many names a parent's inode lost */
	struct shale_buf gone;       /* directories of the parent: numbers */
	struct shale_buf path;
	uint64_t *inodes, *bytes;
};

enum { DIRECTORY = S_IFDIR >> 12 };

static int say_deleted(struct losses *l, uint64_t dir,
		       const struct shale_entry *entry, struct shale_err *err)
{
	struct shale_dirent out = {
		.dir = dir,
		.name = entry->name,
		.name_len = entry->name_len,
	};
	l->imp->result.deleted++;
	int r = shale_tree_build_dirent(l->imp->build, &out, err);
	l->path.len = 0;
	if (r == 0)
		r = shale_index_path(l->ix, dir, 0, &l->path, err);
	if (r < 0)
		return r;
	if ((l->path.len > 1 && shale_buf_append(&l->path, "/", 1) < 0) ||
	    shale_buf_append(&l->path, entry->name, entry->name_len) < 0)
		return shale_err_set(err, ENOMEM, "a path");
	return shale_metadoc_deleted(l->doc, (char *)l->path.data, l->path.len,
				     err);
}

/* A name of the parent's is no longer this inode's. */
static int lose(struct losses *l, const struct shale_entry *entry,
		struct shale_err *err)
{
	struct shale_inodemap_slot *slot;
	if (entry->type != DIRECTORY) {
		int r = shale_inodemap_find(&l->names, 0, entry->ino, &slot,
					    err);
		if (r == 0)
			slot->inode++;
		return r;
	}
	if (!shale_inodemap_get(&l->kept, 0, entry->ino) &&
	    shale_buf_append(&l->gone, &entry->ino, sizeof(entry->ino)) < 0)
		return shale_err_set(err, ENOMEM, "directories that go");
	return 0;
}

static int delete_name(struct losses *l, uint64_t dir,
		       const struct shale_entry *entry, struct shale_err *err)
{
	int r = lose(l, entry, err);
	return r < 0 ? r : say_deleted(l, dir, entry, err);
}

static int delete_inode(struct losses *l, uint64_t ino, uint64_t size,
			struct shale_err *err)
{
	struct shale_inode gone = {.attr.ino = ino};
	--*l->inodes;
	*l->bytes -= size;
	return shale_tree_build_inode(l->imp->build, &gone, err);
}

/* ------------------------------------------------------------ of the plan */

/* What counts of the parent before the layers' names are looked at. */
static int begin_inodes(struct losses *l, struct shale_err *err)
{
	const struct shale_plan *plan = &l->imp->plan;
	for (uint32_t i = 0; i < shale_plan_inodes(plan); i++) {
		struct shale_plan_inode *in = shale_plan_inode(plan, i);
		struct shale_inodemap_slot *slot;
		struct shale_attr was = {
			.nlink = S_ISDIR(in->attr.mode) ? 2 : 0,
		};
		if (!in->names)
			continue;
		int r = 0;
		if (in->base)
			r = shale_index_attr(l->ix, in->base, &was, err);
		if (r == 0 && in->base)
			r = shale_inodemap_find(&l->kept, 0, in->base, &slot,
						err);
		if (r < 0)
			return r;
		if (in->base)
			slot->inode = i + 1;
		in->attr.nlink = was.nlink;
		*l->inodes -= in->base != 0;
		*l->bytes -= S_ISREG(was.mode) ? was.size : 0;
	}
	return 0;
}

static int compare_name(struct losses *l, uint32_t name, struct shale_err *err)
{
	const struct shale_plan *plan = &l->imp->plan;
	const struct shale_plan_name *n = shale_plan_name(plan, name);
	uint32_t up_inode = shale_plan_name(plan, n->parent)->inode;
	if (up_inode == SHALE_PLAN_NONE)
		return 0;
	struct shale_plan_inode *up = shale_plan_inode(plan, up_inode), *in;
	struct shale_entry was = {0};
	int r = 0;
	if (up->base)
		r = shale_index_lookup(l->ix, up->base,
				       shale_plan_text(plan, name), n->len,
				       &was, NULL, err);
	if (r == -ENOENT) {
		was = (struct shale_entry){0};
		r = 0;
	}
	if (r < 0)
		return r;
	if (n->inode == SHALE_PLAN_NONE) {
		if (!was.ino || !(n->hidden || up->opaque))
			return 0;
		up->attr.nlink -= was.type == DIRECTORY;
		return delete_name(l, up->base, &was, err);
	}
	in = shale_plan_inode(plan, n->inode);
	if (was.ino == in->attr.ino)
		return 0;
	bool dir = S_ISDIR(in->attr.mode);
	up->attr.nlink += dir;
	in->attr.nlink += !dir;
	if (!was.ino)
		return 0;
	up->attr.nlink -= was.type == DIRECTORY;
	return lose(l, &was, err);
}

/* Names of a directory of the parent's that the plan's, `name`, has not. */
static int delete_names(struct losses *l, uint64_t dir, uint32_t name,
			struct shale_plan_inode *in, struct shale_err *err)
{
	struct shale_index_dir d;
	int r = shale_index_dir(l->ix, dir, &d, err);
	for (uint64_t i = 0; r == 0 && i < d.count; i++) {
		struct shale_entry entry;
		r = shale_index_entry(l->ix, d.first + i, &entry, err);
		if (r < 0)
			return r;
		if (name != SHALE_PLAN_NONE &&
		    shale_plan_slot(&l->imp->plan, name, entry.name,
				    entry.name_len) != SHALE_PLAN_NONE)
			continue;
		if (in)
			in->attr.nlink -= entry.type == DIRECTORY;
		r = delete_name(l, dir, &entry, err);
	}
	return r;
}

static int compare_names(struct losses *l, struct shale_err *err)
{
	const struct shale_plan *plan = &l->imp->plan;
	uint32_t names =
		(uint32_t)(plan->names.len / sizeof(struct shale_plan_name));
	int r = 0;
	for (uint32_t i = 0; i < names && r == 0; i++) {
		uint32_t inode = shale_plan_name(plan, i)->inode;
		if (i != SHALE_PLAN_ROOT)
			r = compare_name(l, i, err);
		if (r < 0 || inode == SHALE_PLAN_NONE)
			continue;
		struct shale_plan_inode *in = shale_plan_inode(plan, inode);
		if (S_ISDIR(in->attr.mode) && in->opaque && in->base)
			r = delete_names(l, in->base, i, in, err);
	}
	return r;
}

/* ---------------------------------------------------------- of the parent */

static int delete_gone(struct losses *l, struct shale_err *err)
{
	int r = 0;
	while (r == 0 && l->gone.len) {
		uint64_t dir;
		l->gone.len -= sizeof(dir);
		memcpy(&dir, l->gone.data + l->gone.len, sizeof(dir));
		r = delete_names(l, dir, SHALE_PLAN_NONE, NULL, err);
		if (r == 0)
			r = delete_inode(l, dir, 0, err);
	}
	return r;
}

/* An inode that lost some of its names, and that the plan does not have. */
static int lessen(struct losses *l, uint64_t ino, uint32_t lost,
		  struct shale_err *err)
{
	struct shale_inode out = {.content = SHALE_CONTENT_SAME};
	uint32_t len;
	int r = shale_index_attr(l->ix, ino, &out.attr, err);
	if (r < 0)
		return r;
	if (out.attr.nlink <= lost)
		return delete_inode(l, ino,
				    S_ISREG(out.attr.mode) ? out.attr.size : 0,
				    err);
	out.attr.nlink -= lost;
	r = shale_index_xattrs(l->ix, ino, &out.xattrs, &out.xattr_len, err);
	if (r == 0 && S_ISLNK(out.attr.mode))
		r = shale_index_target(l->ix, ino, &out.target, &len, err);
	return r < 0 ? r : shale_tree_build_inode(l->imp->build, &out, err);
}

static int lessen_all(struct losses *l, struct shale_err *err)
{
	const struct shale_plan *plan = &l->imp->plan;
	int r = 0;
	for (size_t i = 0; i < l->names.slots && r == 0; i++) {
		const struct shale_inodemap_slot *lost = &l->names.slot[i];
		if (!lost->inode)
			continue;
		uint32_t kept = shale_inodemap_get(&l->kept, 0, lost->ino);
		if (kept)
			shale_plan_inode(plan, kept - 1)->attr.nlink -=
				lost->inode;
		else
			r = lessen(l, lost->ino, lost->inode, err);
	}
	return r;
}

int shale_import_losses(struct shale_import *imp, struct shale_metadoc *doc,
			uint64_t *inodes, uint64_t *bytes,
			struct shale_err *err)
{
	struct losses l = {
		.imp = imp,
		.doc = doc,
		.ix = imp->onto.image->index,
		.inodes = inodes,
		.bytes = bytes,
	};
	*inodes = shale_index_inodes(l.ix);
	*bytes = shale_index_bytes(l.ix);
	int r = begin_inodes(&l, err);
	if (r == 0)
		r = compare_names(&l, err);
	if (r == 0)
		r = delete_gone(&l, err);
	if (r == 0)
		r = lessen_all(&l, err);
	shale_inodemap_release(&l.kept);
	shale_inodemap_release(&l.names);
	shale_buf_release(&l.gone);
	shale_buf_release(&l.path);
	return r;
}
