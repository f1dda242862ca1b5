/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/mount/forest_impl.h"

#include "layers/base/cleanup.h"

#include <string.h>
#include <sys/stat.h>

enum { DIRECTORY_SIZE = 4096 };

/* A node's image, for one operation. */
struct place {
	struct shale_forest *f;
	struct shale_forest_tree *tree;
	const struct shale_image *image;
	const struct shale_index *ix;
	uint32_t number;
	uint64_t ino;
};

static void leave(struct place *p)
{
	shale_forest_put(p->f, p->tree);
}
#define cleanup_place SHALE_CLEANUP(leave)

static int enter(struct place *p, struct shale_forest *f, uint64_t id,
		 struct shale_err *err)
{
	p->f = f;
	p->number = shale_node_tree(id);
	p->ino = shale_node_ino(id);
	int r = shale_forest_get(f, p->number, &p->tree, &p->image, err);
	if (r == 0)
		p->ix = p->image->index;
	return r;
}

/* Bytes that are not holes, as far as a bounded look tells. */
static uint64_t data_bytes(const struct place *p, uint64_t ino, uint64_t size)
{
	struct shale_content content;

	if (shale_image_content(p->image, ino, &content, NULL) < 0)
		return size;
	return shale_content_data(&content, 0, size, SHALE_DATA_STEPS);
}

static void fill(const struct place *p, struct shale_forest_node *out)
{
	uint64_t bytes = S_ISREG(out->attr.mode) ? out->attr.size : 0;

	out->id = shale_node_id(p->number, out->attr.ino);
	out->changes = false;
	if (S_ISDIR(out->attr.mode)) /* as in a writable mount */
		bytes = out->attr.size = DIRECTORY_SIZE;
	if (bytes >= SHALE_HOLES_FROM)
		bytes = data_bytes(p, out->attr.ino, bytes);
	out->blocks = (bytes + 4095) / 4096 * 8;
}

static int get_node(const struct place *p, uint64_t ino,
		    struct shale_forest_node *out, struct shale_err *err)
{
	int r = shale_index_attr(p->ix, ino, &out->attr, err);
	if (r == -ENOENT)
		return -ESTALE;
	if (r == 0)
		fill(p, out);
	return r;
}

/* The parent of an image's root, in the made-up tree, is not known to it. */
static int lookup_dots(const struct place *p, size_t len,
		       struct shale_forest_node *out, struct shale_err *err)
{
	struct shale_index_dir dir;
	if (len == 1)
		return get_node(p, p->ino, out, err);
	int r = shale_index_dir(p->ix, p->ino, &dir, err);
	return r < 0 ? r : get_node(p, dir.parent, out, err);
}

int shale_forest_lookup(struct shale_forest *f, uint64_t dir, const char *name,
			size_t len, struct shale_forest_node *out,
			struct shale_err *err)
{
	struct shale_entry entry;

	if (shale_forest_is_top(f, dir))
		return shale_forest_top_lookup(f, dir, name, len, out, err);
	cleanup_place struct place p = {0};
	int r = enter(&p, f, dir, err);
	if (r < 0)
		return r;
	if (name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')))
		return lookup_dots(&p, len, out, err);
	r = shale_index_lookup(p.ix, p.ino, name, len, &entry, NULL, err);
	return r < 0 ? r : get_node(&p, entry.ino, out, err);
}

int shale_forest_getattr(struct shale_forest *f, uint64_t id,
			 struct shale_forest_node *out, struct shale_err *err)
{
	if (shale_forest_is_top(f, id))
		return shale_forest_top_getattr(f, id, out, err);
	cleanup_place struct place p = {0};
	int r = enter(&p, f, id, err);
	return r < 0 ? r : get_node(&p, p.ino, out, err);
}

/* "." and "..": number and type only. */
static bool emit_dots(const struct place *p, const struct shale_index_dir *dir,
		      uint64_t off, shale_forest_entry_fn *fn, void *arg)
{
	struct shale_forest_node node = {.attr = {.mode = S_IFDIR}};

	node.id = shale_node_id(p->number, p->ino);
	if (off < 1 && !fn(arg, ".", 1, &node, false, 1))
		return false;
	node.id = shale_node_id(p->number, dir->parent);
	return off >= 2 || fn(arg, "..", 2, &node, false, 2);
}

/* Returns 1: all attributes, 0: number and type. */
static int get_entry(const struct place *p, const struct shale_entry *entry,
		     enum shale_listing what, struct shale_forest_node *out,
		     struct shale_err *err)
{
	uint32_t type = (uint32_t)entry->type << 12;

	if (what == SHALE_LIST_ALL ||
	    (what == SHALE_LIST_DIRS && S_ISDIR(type))) {
		int r = get_node(p, entry->ino, out, err);
		return r < 0 ? r : 1;
	}
	out->id = shale_node_id(p->number, entry->ino);
	out->attr.mode = type;
	return 0;
}

int shale_forest_readdir(struct shale_forest *f, uint64_t id, uint64_t off,
			 enum shale_listing what, shale_forest_entry_fn *fn,
			 void *arg, struct shale_err *err)
{
	struct shale_index_dir dir;
	struct shale_entry entry;

	if (shale_forest_is_top(f, id))
		return shale_forest_top_readdir(
			f, id, off, what != SHALE_LIST_NAMES, fn, arg, err);
	cleanup_place struct place p = {0};
	int r = enter(&p, f, id, err);
	if (r == 0)
		r = shale_index_dir(p.ix, p.ino, &dir, err);
	if (r < 0 || !emit_dots(&p, &dir, off, fn, arg))
		return r;

	/* An entry's offset is 3 + its position; one goes on behind it. */
	for (uint64_t i = off < 3 ? 0 : off - 2; i < dir.count; i++) {
		struct shale_forest_node node = {0};
		r = shale_index_entry(p.ix, dir.first + i, &entry, err);
		if (r == 0)
			r = get_entry(&p, &entry, what, &node, err);
		if (r < 0)
			return r;
		if (!fn(arg, entry.name, entry.name_len, &node, r > 0, i + 3))
			return 0;
	}
	return 0;
}

int shale_forest_readlink(struct shale_forest *f, uint64_t id,
			  struct shale_buf *out, struct shale_err *err)
{
	const char *target;
	uint32_t len;

	if (shale_forest_is_top(f, id))
		return shale_forest_top_readlink(f, id, out, err);
	cleanup_place struct place p = {0};
	int r = enter(&p, f, id, err);
	if (r == 0)
		r = shale_index_target(p.ix, p.ino, &target, &len, err);
	return r < 0 ? r : shale_buf_append(out, target, len);
}

int shale_forest_getxattr(struct shale_forest *f, uint64_t id, const char *name,
			  struct shale_buf *out, struct shale_err *err)
{
	struct shale_xattr x;
	const void *list;
	uint32_t len;

	if (shale_forest_is_top(f, id))
		return -ENODATA;
	cleanup_place struct place p = {0};
	int r = enter(&p, f, id, err);
	if (r == 0)
		r = shale_index_xattrs(p.ix, p.ino, &list, &len, err);
	if (r == 0)
		r = len ? shale_xattr_find(list, len, name, &x, err) : -ENODATA;
	return r < 0 ? r : shale_buf_append(out, x.value, x.value_len);
}

int shale_forest_listxattr(struct shale_forest *f, uint64_t id,
			   struct shale_buf *out, struct shale_err *err)
{
	struct shale_xattr x;
	const void *list;
	uint32_t len, at = 0;

	if (shale_forest_is_top(f, id))
		return 0;
	cleanup_place struct place p = {0};
	int r = enter(&p, f, id, err);
	if (r == 0)
		r = shale_index_xattrs(p.ix, p.ino, &list, &len, err);
	while (r == 0 && len) {
		int more = shale_xattr_next(list, len, &at, &x, err);
		if (more <= 0)
			return more;
		r = shale_buf_append(out, x.name, x.name_len);
		if (r == 0)
			r = shale_buf_append(out, "", 1);
	}
	return r;
}

bool shale_forest_has_xattrs(const struct shale_forest *f)
{
	return !f->single || shale_index_has_xattrs(f->single->index);
}

/*
 * A chunk of which no more is wanted is read past the page cache of the store:
 * that takes a third less time.  Errors are for the read to find.
 */
static void bring_once(const struct place *p,
		       const struct shale_content *content, uint64_t off,
		       size_t len)
{
	struct shale_wanted wanted = {.chunks = p->image->chunks, .once = true};

	shale_wanted_add(&wanted, content, off, len);
	shale_wanted_bring(&wanted);
}

int shale_forest_read(struct shale_forest *f, uint64_t id, uint64_t off,
		      void *room, size_t len, struct shale_view *view,
		      struct shale_err *err)
{
	if (shale_forest_is_top(f, id))
		return -EISDIR;
	struct shale_content content;
	cleanup_place struct place p = {0};
	int r = enter(&p, f, id, err);
	if (r == 0)
		r = shale_image_content(p.image, p.ino, &content, err);
	if (r < 0)
		return r;
	if (off == 0)
		shale_push_note(f->push, p.ino);
	if (shale_fill_note(f->fill, p.ino, content.size, off, len))
		bring_once(&p, &content, off, len);
	shale_readahead_note(f->readahead, id, &content, p.image->chunks, off,
			     len);
	return shale_content_view(&content, p.image->chunks, off, room, len,
				  view, err);
}

int shale_forest_seek(struct shale_forest *f, uint64_t id, uint64_t off,
		      bool data, uint64_t *out, struct shale_err *err)
{
	struct shale_content content;

	if (shale_forest_is_top(f, id))
		return -EINVAL;
	cleanup_place struct place p = {0};
	int r = enter(&p, f, id, err);
	if (r == 0)
		r = shale_image_content(p.image, p.ino, &content, err);
	return r < 0 ? r : shale_content_seek(&content, off, data, out, err);
}

void shale_forest_totals(struct shale_forest *f, uint64_t *inodes,
			 uint64_t *bytes)
{
	*inodes = f->single ? shale_index_inodes(f->single->index) : 0;
	*bytes = f->single ? shale_index_bytes(f->single->index) : 0;
}

void shale_forest_name(struct shale_forest *f, uint64_t id,
		       struct shale_buf *out)
{
	cleanup_place struct place p = {0};
	size_t len = out->len;

	if (!shale_forest_is_top(f, id) &&
	    shale_forest_top_path(f, shale_node_tree(id), out) == 0 &&
	    enter(&p, f, id, NULL) == 0 &&
	    shale_index_path(p.ix, p.ino, 0, out, NULL) == 0)
		return;
	out->len = len;
	(void)shale_buf_printf(out, "inode %llu",
			       (unsigned long long)shale_node_ino(id));
}
