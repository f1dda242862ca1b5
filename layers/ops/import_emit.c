/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/import_impl.h"

#include "layers/base/cleanup.h"

#include <sys/stat.h>

/*
 * Says in the tree blob, and in metadata.json, what differs from the parent:
 * names and inodes of the plan that are new or changed, then tombstones.
 */
struct emit {
	struct shale_import *imp;
	struct shale_metadoc *doc;
	struct shale_inodemap kept; /* the parent's inodes that live on */
	struct shale_buf path;
};

/* Is an inode with a base just as it was? */
static int inode_same(const struct emit *e, const struct shale_plan_inode *in,
		      bool *attr, bool *content, struct shale_err *err)
{
	const struct shale_onto *onto = &e->imp->onto;
	struct shale_attr was;
	*attr = *content = false;
	if (!in->base)
		return 0;
	int r = shale_index_attr(onto->image->index, in->base, &was, err);
	if (r == 0)
		r = shale_onto_compare(onto, &e->imp->plan, in, attr, err);
	*attr = *attr && was.nlink == in->attr.nlink;
	*content = !S_ISREG(in->attr.mode) || in->content == SHALE_PLAN_SAME ||
		   (in->content == SHALE_PLAN_EMPTY && was.size == 0);
	return r;
}

static int put_inode(struct emit *e, struct shale_plan_inode *in,
		     struct shale_err *err)
{
	const struct shale_plan *plan = &e->imp->plan;
	bool attr, content;
	int r = inode_same(e, in, &attr, &content, err);
	in->said = true;
	in->differs = !attr || !content;
	if (r < 0 || !in->differs)
		return r;

	struct shale_inode out = {
		.attr = in->attr,
		.content = S_ISREG(in->attr.mode) && !content
				   ? SHALE_CONTENT_REPLACED
				   : SHALE_CONTENT_SAME,
		.xattr_len = in->xattr_len,
	};
	if (in->xattr_len)
		out.xattrs = shale_plan_string(plan, in->xattrs);
	if (S_ISLNK(in->attr.mode))
		out.target = shale_plan_string(plan, in->target);
	return shale_tree_build_inode(e->imp->build, &out, err);
}

/* What the parent has under this name; ino 0: nothing. */
static int was_there(const struct emit *e, uint32_t name,
		     struct shale_entry *was, struct shale_err *err)
{
	const struct shale_plan *plan = &e->imp->plan;
	const struct shale_plan_name *n = shale_plan_name(plan, name);
	uint32_t up = shale_plan_name(plan, n->parent)->inode;
	uint64_t dir = shale_plan_inode(plan, up)->base;

	*was = (struct shale_entry){0};
	if (!dir)
		return 0;
	int r = shale_index_lookup(e->imp->onto.image->index, dir,
				   shale_plan_text(plan, name), n->len, was,
				   NULL, err);
	if (r == -ENOENT)
		*was = (struct shale_entry){0};
	return r == -ENOENT ? 0 : r;
}

static int put_name(struct emit *e, uint32_t name,
		    const struct shale_plan_inode *in, bool *added,
		    bool *differs, struct shale_err *err)
{
	const struct shale_plan *plan = &e->imp->plan;
	const struct shale_plan_name *n = shale_plan_name(plan, name);
	struct shale_entry was;
	uint8_t type = (uint8_t)(in->attr.mode >> 12);
	int r = was_there(e, name, &was, err);
	if (r < 0)
		return r;
	*added = !was.ino;
	*differs = was.ino != in->attr.ino || was.type != type;
	if (!*differs)
		return 0;

	uint32_t up = shale_plan_name(plan, n->parent)->inode;
	struct shale_dirent out = {
		.dir = shale_plan_inode(plan, up)->attr.ino,
		.ino = in->attr.ino,
		.name = shale_plan_text(plan, name),
		.name_len = n->len,
		.type = type,
	};
	return shale_tree_build_dirent(e->imp->build, &out, err);
}

/* The path of a name of the plan, with a slash before it. */
static int full_path(struct emit *e, uint32_t name, struct shale_err *err)
{
	cleanup_buf struct shale_buf path = {0};
	int r = shale_plan_path(&e->imp->plan, name, &path, err);
	e->path.len = 0;
	if (r == 0 && shale_buf_printf(&e->path, "/%s", path.data) < 0)
		r = shale_err_set(err, ENOMEM, "a path");
	return r;
}

static int put_one(struct emit *e, uint32_t name, struct shale_err *err)
{
	struct shale_import_result *sum = &e->imp->result;
	struct shale_plan_inode *in = shale_plan_inode(
		&e->imp->plan, shale_plan_name(&e->imp->plan, name)->inode);
	bool added = !e->imp->onto.image, differs = false;
	int r = 0;

	sum->names++;
	if (!in->said) {
		sum->inodes++;
		sum->files += S_ISREG(in->attr.mode);
		sum->bytes += S_ISREG(in->attr.mode) ? in->attr.size : 0;
		r = put_inode(e, in, err);
	}
	if (r == 0 && name != SHALE_PLAN_ROOT)
		r = put_name(e, name, in, &added, &differs, err);
	if (r < 0 || !(in->differs || differs))
		return r;
	if (added)
		sum->added++;
	else
		sum->changed++;
	r = full_path(e, name, err);
	if (r == 0)
		r = shale_metadoc_file(e->doc, (char *)e->path.data,
				       e->path.len, &in->attr, err);
	return r;
}

/* ------------------------------------------------------------- tombstones */

/* Entry `pos` of the parent's directory `dir`, whose path is in e->path. */
static int delete_name(struct emit *e, uint64_t dir,
		       const struct shale_entry *entry, struct shale_err *err)
{
	struct shale_dirent out = {
		.dir = dir,
		.name = entry->name,
		.name_len = entry->name_len,
	};
	size_t len = e->path.len;
	e->imp->result.deleted++;
	int r = shale_tree_build_dirent(e->imp->build, &out, err);
	if (r < 0)
		return r;
	if ((len > 1 && shale_buf_append(&e->path, "/", 1) < 0) ||
	    shale_buf_append(&e->path, entry->name, entry->name_len) < 0)
		return shale_err_set(err, ENOMEM, "a path");
	r = shale_metadoc_deleted(e->doc, (char *)e->path.data, e->path.len,
				  err);
	e->path.len = len;
	return r;
}

/*
 * Names of the parent's directory that the plan has not.  `name` is the plan's
 * name of it, or SHALE_PLAN_NONE: it is gone with all its names.
 */
static int delete_names(struct emit *e, uint64_t dir, uint32_t name,
			struct shale_err *err)
{
	const struct shale_index *ix = e->imp->onto.image->index;
	struct shale_index_dir d;
	int r = shale_index_dir(ix, dir, &d, err);
	e->path.len = 0;
	for (uint64_t i = 0; r == 0 && i < d.count; i++) {
		struct shale_entry entry;
		r = shale_index_entry(ix, d.first + i, &entry, err);
		if (r < 0)
			return r;
		if (name != SHALE_PLAN_NONE &&
		    shale_plan_child(&e->imp->plan, name, entry.name,
				     entry.name_len) != SHALE_PLAN_NONE)
			continue;
		if (!e->path.len)
			r = shale_index_path(ix, dir, 0, &e->path, err);
		if (r == 0)
			r = delete_name(e, dir, &entry, err);
	}
	return r;
}

static int map_kept(struct emit *e, struct shale_err *err)
{
	uint32_t n = shale_plan_inodes(&e->imp->plan);
	for (uint32_t i = 0; i < n; i++) {
		const struct shale_plan_inode *in =
			shale_plan_inode(&e->imp->plan, i);
		struct shale_inodemap_slot *slot;
		if (!in->base || !in->said)
			continue;
		int r = shale_inodemap_find(&e->kept, 0, in->base, &slot, err);
		if (r < 0)
			return r;
		slot->inode = i + 1;
	}
	return 0;
}

static int delete_gone(struct emit *e, struct shale_err *err)
{
	const struct shale_plan *plan = &e->imp->plan;
	const struct shale_index *ix = e->imp->onto.image->index;
	uint64_t n = shale_index_inodes(ix);
	int r = map_kept(e, err);

	for (uint64_t i = 0; r == 0 && i < n; i++) {
		struct shale_attr attr;
		r = shale_index_attr_nth(ix, i, &attr, err);
		if (r < 0)
			return r;
		uint32_t kept = shale_inodemap_get(&e->kept, 0, attr.ino);
		uint32_t name = SHALE_PLAN_NONE;
		if (kept) {
			name = shale_plan_inode(plan, kept - 1)->name;
		} else {
			struct shale_inode gone = {.attr.ino = attr.ino};
			r = shale_tree_build_inode(e->imp->build, &gone, err);
		}
		if (r == 0 && S_ISDIR(attr.mode))
			r = delete_names(e, attr.ino, name, err);
	}
	return r;
}

int shale_import_emit(struct shale_import *imp, const uint32_t *order, size_t n,
		      struct shale_metadoc *doc, struct shale_err *err)
{
	struct emit e = {.imp = imp, .doc = doc};
	int r = 0;
	for (size_t i = 0; i < n && r == 0; i++) {
		if (shale_plan_name(&imp->plan, order[i])->inode !=
		    SHALE_PLAN_NONE)
			r = put_one(&e, order[i], err);
	}
	if (r == 0 && imp->onto.image && !imp->opts.layer)
		r = delete_gone(&e, err);
	shale_inodemap_release(&e.kept);
	shale_buf_release(&e.path);
	return r;
}
