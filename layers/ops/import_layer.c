/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/import_layer.h"

#include "layers/base/cleanup.h"

#include <string.h>
#include <sys/stat.h>

/* -------------------------------------------------------------------- marks */

static int obey(struct shale_import *imp, const struct shale_arrival *arrival,
		const struct shale_whiteout *mark, struct shale_buf *path,
		struct shale_err *err)
{
	struct shale_arrival at = *arrival;
	int r = shale_import_full_path(imp, &at, path, err);
	if (r == 0 && mark->what == SHALE_WHITEOUT_NAME)
		r = shale_plan_hide(&imp->plan, &at, mark->name, mark->name_len,
				    err);
	if (r == 0 && mark->what == SHALE_WHITEOUT_ALL)
		r = shale_plan_hide_all(&imp->plan, &at, err);
	return r;
}

/* --exclude speaks of names, also of those that a whiteout hides. */
static bool is_excluded(const struct shale_import *imp,
			const struct shale_arrival *arrival,
			const struct shale_whiteout *mark)
{
	if (mark->what != SHALE_WHITEOUT_NAME || !imp->opts.exclude.n)
		return false;
	cleanup_buf struct shale_buf path = {0};
	size_t dir = (size_t)(mark->name - arrival->path);
	const char *slash = memrchr(arrival->path, '/', dir);
	if (shale_buf_printf(&path, "%.*s%.*s",
			     slash ? (int)(slash + 1 - arrival->path) : 0,
			     arrival->path, (int)mark->name_len,
			     mark->name) < 0 ||
	    !shale_buf_str(&path))
		return false;
	return shale_exclude_match_above(&imp->opts.exclude,
					 (const char *)path.data, false);
}

int shale_import_mark(struct shale_import *imp, struct shale_arrival *arrival,
		      struct shale_buf *path, struct shale_buf *xattrs,
		      struct shale_whiteout *mark, struct shale_err *err)
{
	*mark = (struct shale_whiteout){0};
	if (!imp->opts.layer)
		return 0;
	int r = shale_whiteout_read(imp->opts.layer, arrival, mark, err);
	if (r < 0)
		return shale_err_wrap(err, r, "'%.300s'", arrival->path);
	if (mark->what != SHALE_WHITEOUT_ENTRY)
		return is_excluded(imp, arrival, mark)
			       ? 0
			       : obey(imp, arrival, mark, path, err);
	if (imp->opts.layer != SHALE_LAYER_OVERLAY || !arrival->xattr_len)
		return 0;
	r = shale_whiteout_strip(arrival->xattrs, arrival->xattr_len, xattrs,
				 err);
	arrival->xattrs = xattrs->data;
	arrival->xattr_len = (uint32_t)xattrs->len;
	return r;
}

int shale_import_marked(struct shale_import *imp,
			const struct shale_whiteout *mark, uint32_t name,
			struct shale_err *err)
{
	uint32_t inode = shale_plan_name(&imp->plan, name)->inode;
	if (mark->opaque)
		return shale_plan_hide_below(&imp->plan, name, err);
	if (!mark->redirect)
		return 0;
	if (imp->plan.source)
		return shale_err_say(err, EBADMSG,
				     "a renamed directory (redirect) over "
				     "another layer; import one layer after "
				     "the other");
	return shale_plan_redirect(&imp->plan, inode, mark->redirect,
				   (uint16_t)mark->redirect_len, err);
}

/* ---------------------------------------------------------- the parent's */

/* The parent's `name` in its directory `dir`; 0: there is none. */
static int look_up(const struct shale_import *imp, uint64_t dir,
		   const char *name, size_t len, uint64_t *ino,
		   struct shale_err *err)
{
	struct shale_entry there = {0};
	*ino = 0;
	if (!dir || len > SHALE_NAME_MAX)
		return 0;
	int r = shale_index_lookup(imp->onto.image->index, dir, name, len,
				   &there, NULL, err);
	if (r == -ENOENT || r == -ENOTDIR)
		return 0;
	*ino = there.ino;
	return r;
}

/* What the parent says of an inode, as an arrival. */
static int describe(const struct shale_import *imp, uint64_t ino,
		    struct shale_arrival *out, struct shale_err *err)
{
	const struct shale_index *ix = imp->onto.image->index;
	uint32_t len;
	*out = (struct shale_arrival){.path = ""};
	int r = shale_index_attr(ix, ino, &out->attr, err);
	if (r == 0)
		r = shale_index_xattrs(ix, ino, &out->xattrs, &out->xattr_len,
				       err);
	if (r == 0 && S_ISLNK(out->attr.mode))
		r = shale_index_target(ix, ino, &out->target, &len, err);
	return r;
}

/* Walk the plan and the parent at once: names that the plan has are its. */
static int find_lower(const struct shale_import *imp, const char *path,
		      uint64_t *ino, struct shale_err *err)
{
	const struct shale_plan *plan = &imp->plan;
	uint32_t name = SHALE_PLAN_ROOT;
	*ino = imp->onto.image ? SHALE_ROOT_INO : 0;
	while (*path && *ino) {
		size_t len = strcspn(path, "/");
		if (name != SHALE_PLAN_NONE) {
			uint32_t up = shale_plan_name(plan, name)->inode;
			if (shale_plan_inode(plan, up)->opaque)
				*ino = 0;
			name = shale_plan_slot(plan, name, path, len);
		}
		const struct shale_plan_name *n =
			name == SHALE_PLAN_NONE ? NULL
						: shale_plan_name(plan, name);
		if (n && n->hidden)
			*ino = 0;
		if (n && n->inode == SHALE_PLAN_NONE)
			name = SHALE_PLAN_NONE;
		int r = look_up(imp, *ino, path, len, ino, err);
		if (r < 0)
			return r;
		path += len + (path[len] == '/');
	}
	return 0;
}

int shale_import_lower(struct shale_import *imp, const char *path,
		       uint32_t *inode, struct shale_err *err)
{
	struct shale_inodemap_slot *slot;
	struct shale_arrival there;
	uint64_t ino;
	*inode = SHALE_PLAN_NONE;
	int r = find_lower(imp, path, &ino, err);
	if (r < 0 || !ino)
		return r;
	r = shale_inodemap_find(&imp->adopted, 0, ino, &slot, err);
	if (r == 0 && !slot->inode) {
		r = describe(imp, ino, &there, err);
		if (r == 0)
			r = shale_plan_adopt(&imp->plan, &there, inode, err);
		if (r < 0)
			return r;
		slot->inode = *inode + 1;
		struct shale_plan_inode *in =
			shale_plan_inode(&imp->plan, *inode);
		in->content = SHALE_PLAN_SAME;
		if (!S_ISDIR(there.attr.mode))
			r = shale_onto_adopt(&imp->onto, in, ino, err);
	}
	*inode = slot->inode - 1;
	return r;
}

/* ----------------------------------------------------------------- settling */

static int find_redirected(const struct shale_import *imp, uint64_t above,
			   const struct shale_plan_inode *in, uint64_t *ino,
			   struct shale_err *err)
{
	const char *to = shale_plan_string(&imp->plan, in->target);
	cleanup_buf struct shale_buf path = {0};
	*ino = 0;
	if (*to != '/')
		return look_up(imp, above, to, in->redirect, ino, err);
	if (!imp->onto.image)
		return 0;
	if (shale_buf_printf(&path, "/%s%.*s", imp->prefix, (int)in->redirect,
			     to) < 0 ||
	    !shale_buf_str(&path))
		return shale_err_set(err, ENOMEM, "a path");
	int r = shale_index_find(imp->onto.image->index,
				 (const char *)path.data, ino, err);
	if (r == -ENOENT || r == -ENOTDIR)
		*ino = r = 0;
	return r;
}

/* The parent's directory that shows in the plan's; 0: none does. */
static int find_below(const struct shale_import *imp, uint32_t name,
		      uint64_t *ino, struct shale_err *err)
{
	const struct shale_plan *plan = &imp->plan;
	const struct shale_plan_name *n = shale_plan_name(plan, name);
	const struct shale_plan_inode *in = shale_plan_inode(plan, n->inode);
	uint64_t above = 0;
	*ino = 0;
	if (in->opaque)
		return 0;
	if (name == SHALE_PLAN_ROOT) {
		*ino = imp->onto.image ? SHALE_ROOT_INO : 0;
		return 0;
	}
	const struct shale_plan_inode *up =
		shale_plan_inode(plan, shale_plan_name(plan, n->parent)->inode);
	if (!up->opaque)
		above = up->base;
	if (in->redirect)
		return find_redirected(imp, above, in, ino, err);
	if (n->hidden)
		return 0;
	return look_up(imp, above, shale_plan_text(plan, name), n->len, ino,
		       err);
}

/* The plan's directory carries on the parent's. */
static int merge(struct shale_import *imp, uint32_t name, uint64_t ino,
		 const struct shale_arrival *there, struct shale_err *err)
{
	uint32_t inode = shale_plan_name(&imp->plan, name)->inode;
	cleanup_buf struct shale_buf path = {0};
	int r = 0;
	if (shale_plan_inode(&imp->plan, inode)->implied)
		r = shale_plan_restate(&imp->plan, inode, there, err);
	if (r == 0)
		r = shale_onto_adopt(&imp->onto,
				     shale_plan_inode(&imp->plan, inode), ino,
				     err);
	if (r == -EEXIST && shale_plan_path(&imp->plan, name, &path, NULL) == 0)
		shale_err_say(err, EBADMSG,
			      "'%s' and another directory of the layer are one "
			      "directory of the image",
			      (const char *)path.data);
	return r == -EEXIST ? -EBADMSG : r;
}

static int settle_one(struct shale_import *imp, uint32_t name,
		      struct shale_err *err)
{
	uint32_t inode = shale_plan_name(&imp->plan, name)->inode;
	struct shale_plan_inode *in = shale_plan_inode(&imp->plan, inode);
	struct shale_arrival there = {0};
	uint64_t ino = 0;
	if (!S_ISDIR(in->attr.mode))
		return 0;
	int r = find_below(imp, name, &ino, err);
	if (r == 0 && ino)
		r = describe(imp, ino, &there, err);
	if (r < 0)
		return r;
	if (S_ISDIR(there.attr.mode))
		return merge(imp, name, ino, &there, err);
	if (in->redirect)
		return shale_err_say(
			err, EBADMSG,
			"a directory of the layer was '%.*s' below, which is "
			"no directory of the image: this layer was made over "
			"another one",
			(int)in->redirect,
			(const char *)shale_plan_string(&imp->plan,
							in->target));
	in->opaque = true;
	return 0;
}

/* A directory that only marks spoke of, and that is not there either. */
static int prune(struct shale_import *imp, uint32_t name, struct shale_err *err)
{
	struct shale_plan *plan = &imp->plan;
	const struct shale_plan_name *n = shale_plan_name(plan, name);
	const struct shale_plan_inode *in = shale_plan_inode(plan, n->inode);
	if (name == SHALE_PLAN_ROOT || !in->implied || in->base)
		return 0;
	for (uint32_t c = n->child; c != SHALE_PLAN_NONE;
	     c = shale_plan_name(plan, c)->sibling) {
		if (shale_plan_name(plan, c)->inode != SHALE_PLAN_NONE)
			return 0;
	}
	return shale_plan_remove(plan, name, err);
}

int shale_import_settle(struct shale_import *imp, struct shale_err *err)
{
	cleanup_free uint32_t *order = NULL;
	size_t n;
	int r = shale_plan_order(&imp->plan, &order, &n, err);
	for (size_t i = 0; i < n && r == 0; i++)
		r = settle_one(imp, order[i], err);
	for (size_t i = n; i-- && r == 0;)
		r = prune(imp, order[i], err);
	return r;
}
