/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/plan.h"

#include "layers/base/cleanup.h"
#include "layers/ops/plan_impl.h"

#include <string.h>
#include <sys/stat.h>

struct shale_plan_inode *shale_plan_inode(const struct shale_plan *plan,
					  uint32_t inode)
{
	return (struct shale_plan_inode *)(void *)plan->inodes.data + inode;
}

struct shale_plan_name *shale_plan_name(const struct shale_plan *plan,
					uint32_t name)
{
	return (struct shale_plan_name *)(void *)plan->names.data + name;
}

uint32_t shale_plan_inodes(const struct shale_plan *plan)
{
	return (uint32_t)(plan->inodes.len / sizeof(struct shale_plan_inode));
}

static uint32_t count_names(const struct shale_plan *plan)
{
	return (uint32_t)(plan->names.len / sizeof(struct shale_plan_name));
}

const void *shale_plan_string(const struct shale_plan *plan, uint64_t offset)
{
	return plan->strings.data + offset;
}

const char *shale_plan_text(const struct shale_plan *plan, uint32_t name)
{
	return shale_plan_string(plan, shale_plan_name(plan, name)->text);
}

/* --------------------------------------------------------------- look-up */

static uint32_t hash_name(uint32_t parent, const char *text, size_t len)
{
	uint64_t h = shale_xxh64(text, len) + parent;
	h *= UINT64_C(0x9e3779b97f4a7c15);
	return (uint32_t)(h >> 32);
}

/* The slot that has this name, or the free one where it belongs. */
static size_t find_slot(const struct shale_plan *plan, uint32_t parent,
			const char *text, size_t len, uint32_t hash)
{
	size_t at = hash & (plan->slots - 1);
	while (plan->table[at] != SHALE_PLAN_NONE) {
		uint32_t i = plan->table[at];
		const struct shale_plan_name *n = shale_plan_name(plan, i);
		if (n->hash == hash && n->parent == parent && n->len == len &&
		    memcmp(shale_plan_text(plan, i), text, len) == 0)
			break;
		at = (at + 1) & (plan->slots - 1);
	}
	return at;
}

static int grow_table(struct shale_plan *plan, struct shale_err *err)
{
	size_t slots = plan->slots ? plan->slots * 2 : 1024;
	uint32_t *table = malloc(slots * sizeof(*table));
	if (!table)
		return shale_err_set(err, ENOMEM, "a table of names");
	memset(table, 0xff, slots * sizeof(*table));
	for (uint32_t i = 0; i < count_names(plan); i++) {
		size_t at = shale_plan_name(plan, i)->hash & (slots - 1);
		while (table[at] != SHALE_PLAN_NONE)
			at = (at + 1) & (slots - 1);
		table[at] = i;
	}
	free(plan->table);
	plan->table = table;
	plan->slots = slots;
	return 0;
}

uint32_t shale_plan_slot(const struct shale_plan *plan, uint32_t dir,
			 const char *text, size_t len)
{
	uint32_t hash = hash_name(dir, text, len);
	return plan->table[find_slot(plan, dir, text, len, hash)];
}

uint32_t shale_plan_child(const struct shale_plan *plan, uint32_t dir,
			  const char *text, size_t len)
{
	uint32_t i = shale_plan_slot(plan, dir, text, len);
	if (i == SHALE_PLAN_NONE ||
	    shale_plan_name(plan, i)->inode == SHALE_PLAN_NONE)
		return SHALE_PLAN_NONE;
	return i;
}

uint32_t shale_plan_find(const struct shale_plan *plan, const char *path,
			 size_t len)
{
	const char *end = path + len;
	uint32_t at = SHALE_PLAN_ROOT;
	while (path < end && at != SHALE_PLAN_NONE) {
		const char *slash = memchr(path, '/', (size_t)(end - path));
		size_t n = (size_t)((slash ? slash : end) - path);
		at = shale_plan_child(plan, at, path, n);
		path += n + 1;
	}
	return at;
}

/* ---------------------------------------------------------------- adding */

static int keep_string(struct shale_plan *plan, const void *data, size_t len,
		       uint64_t *offset, struct shale_err *err)
{
	*offset = plan->strings.len;
	if (shale_buf_append(&plan->strings, data, len) < 0)
		return shale_err_set(err, ENOMEM, "names of an import");
	return 0;
}

int shale_plan_have(struct shale_plan *plan, uint32_t parent, const char *text,
		    size_t len, uint32_t *name, struct shale_err *err)
{
	int r = 0;
	if (((size_t)count_names(plan) + 1) * 2 > plan->slots)
		r = grow_table(plan, err);
	if (r < 0)
		return r;

	uint32_t hash = hash_name(parent, text, len);
	size_t slot = find_slot(plan, parent, text, len, hash);
	if (plan->table[slot] != SHALE_PLAN_NONE) {
		*name = plan->table[slot];
		return 0;
	}
	uint32_t i = count_names(plan);
	struct shale_plan_name n = {
		.parent = parent,
		.inode = SHALE_PLAN_NONE,
		.child = SHALE_PLAN_NONE,
		.sibling = SHALE_PLAN_NONE,
		.hash = hash,
		.source = plan->source,
		.len = (uint8_t)len,
	};
	r = keep_string(plan, text, len, &n.text, err);
	if (r < 0)
		return r;
	if (i == SHALE_PLAN_NONE - 1 ||
	    shale_buf_append(&plan->names, &n, sizeof(n)) < 0)
		return shale_err_set(err, ENOMEM, "names of an import");
	plan->table[slot] = i;
	if (i != SHALE_PLAN_ROOT) {
		struct shale_plan_name *up = shale_plan_name(plan, parent);
		shale_plan_name(plan, i)->sibling = up->child;
		up->child = i;
	}
	*name = i;
	return 0;
}

static int keep_xattrs(struct shale_plan *plan,
		       const struct shale_arrival *entry,
		       struct shale_plan_inode *in, struct shale_err *err)
{
	in->xattr_len = entry->xattr_len;
	if (!entry->xattr_len)
		return 0;
	if (entry->xattr_len != plan->last_xattr_len ||
	    memcmp(shale_plan_string(plan, plan->last_xattrs), entry->xattrs,
		   entry->xattr_len) != 0) {
		int r = keep_string(plan, entry->xattrs, entry->xattr_len,
				    &plan->last_xattrs, err);
		if (r < 0)
			return r;
		plan->last_xattr_len = entry->xattr_len;
	}
	in->xattrs = plan->last_xattrs;
	return 0;
}

/* An inode without a name. */
int shale_plan_adopt(struct shale_plan *plan, const struct shale_arrival *entry,
		     uint32_t *inode, struct shale_err *err)
{
	uint32_t i = shale_plan_inodes(plan);
	struct shale_plan_inode in = {
		.attr = entry->attr,
		.name = SHALE_PLAN_NONE,
	};
	in.attr.ino = 0;
	int r = keep_xattrs(plan, entry, &in, err);
	if (r == 0 && S_ISLNK(in.attr.mode))
		r = keep_string(plan, entry->target, in.attr.size, &in.target,
				err);
	if (r < 0)
		return r;
	if (i == SHALE_PLAN_NONE - 1 ||
	    shale_buf_append(&plan->inodes, &in, sizeof(in)) < 0)
		return shale_err_set(err, ENOMEM, "inodes of an import");
	*inode = i;
	return 0;
}

/* `name` is `inode`'s from now on, because the current source says so. */
static void give_name(struct shale_plan *plan, uint32_t name, uint32_t inode)
{
	struct shale_plan_inode *in = shale_plan_inode(plan, inode);
	struct shale_plan_name *n = shale_plan_name(plan, name);
	if (!in->names++)
		in->name = name;
	n->inode = inode;
	n->source = plan->source;
	if (!S_ISDIR(in->attr.mode))
		n->hidden = true;
}

static int add_inode(struct shale_plan *plan, const struct shale_arrival *entry,
		     bool implied, uint32_t name, struct shale_err *err)
{
	uint32_t i;
	int r = shale_plan_adopt(plan, entry, &i, err);
	if (r < 0)
		return r;
	shale_plan_inode(plan, i)->implied = implied;
	give_name(plan, name, i);
	return 0;
}

int shale_plan_restate(struct shale_plan *plan, uint32_t inode,
		       const struct shale_arrival *entry, struct shale_err *err)
{
	struct shale_plan_inode *in = shale_plan_inode(plan, inode);
	uint64_t ino = in->attr.ino;
	in->attr = entry->attr;
	in->attr.ino = ino;
	in->implied = false;
	return keep_xattrs(plan, entry, in, err);
}

static int place(struct shale_plan *plan, uint32_t parent, const char *text,
		 size_t len, uint32_t *name, struct shale_err *err)
{
	int r = shale_plan_have(plan, parent, text, len, name, err);
	if (r == 0 && shale_plan_name(plan, *name)->inode != SHALE_PLAN_NONE)
		r = shale_plan_remove(plan, *name, err);
	return r;
}

/* Make the directory `name` that no entry spoke of, if it is not there. */
static int have_dir(struct shale_plan *plan, uint32_t name,
		    const struct timespec *mtime, struct shale_err *err)
{
	const struct shale_plan_name *n = shale_plan_name(plan, name);
	struct shale_arrival made = {
		.attr = {.mode = S_IFDIR | 0755, .mtime = *mtime},
	};
	if (n->inode != SHALE_PLAN_NONE) {
		mode_t mode = shale_plan_inode(plan, n->inode)->attr.mode;
		if (S_ISDIR(mode))
			return 0;
		if (n->source == plan->source)
			return S_ISLNK(mode) ? -ELOOP : -ENOTDIR;
		int r = shale_plan_remove(plan, name, err);
		if (r < 0)
			return r;
	}
	return add_inode(plan, &made, true, name, err);
}

int shale_plan_parent(struct shale_plan *plan,
		      const struct shale_arrival *entry, uint32_t *parent,
		      const char **last, struct shale_err *err)
{
	const char *at = entry->path, *end = at + entry->path_len, *slash;
	uint32_t dir = SHALE_PLAN_ROOT;
	while ((slash = memchr(at, '/', (size_t)(end - at)))) {
		size_t len = (size_t)(slash - at);
		uint32_t next;
		int r = shale_plan_have(plan, dir, at, len, &next, err);
		if (r == 0)
			r = have_dir(plan, next, &entry->attr.mtime, err);
		if (r == -ELOOP || r == -ENOTDIR)
			return shale_err_say(
				err, ENOTDIR,
				"'%s' cannot be below '%.*s', which is a %s",
				entry->path, (int)(slash - entry->path),
				entry->path,
				r == -ELOOP ? "symbolic link" : "file");
		if (r < 0)
			return r;
		dir = next;
		at = slash + 1;
	}
	*parent = dir;
	*last = at;
	return 0;
}

static int add_root(struct shale_plan *plan, const struct shale_arrival *entry,
		    uint32_t *name, struct shale_err *err)
{
	if (!S_ISDIR(entry->attr.mode))
		return shale_err_say(err, ENOTDIR,
				     "the root cannot be anything but a "
				     "directory");
	*name = SHALE_PLAN_ROOT;
	return shale_plan_restate(plan, 0, entry, err);
}

int shale_plan_add(struct shale_plan *plan, const struct shale_arrival *entry,
		   uint32_t *name, struct shale_err *err)
{
	if (!entry->path_len)
		return add_root(plan, entry, name, err);

	uint32_t parent;
	const char *last;
	int r = shale_plan_parent(plan, entry, &parent, &last, err);
	if (r < 0)
		return r;

	size_t len = entry->path_len - (size_t)(last - entry->path);
	uint32_t old = shale_plan_child(plan, parent, last, len);
	if (old != SHALE_PLAN_NONE && S_ISDIR(entry->attr.mode)) {
		uint32_t i = shale_plan_name(plan, old)->inode;
		if (S_ISDIR(shale_plan_inode(plan, i)->attr.mode)) {
			*name = old;
			shale_plan_name(plan, old)->source = plan->source;
			return shale_plan_restate(plan, i, entry, err);
		}
	}
	r = place(plan, parent, last, len, name, err);
	if (r < 0)
		return r;
	return add_inode(plan, entry, false, *name, err);
}

int shale_plan_link(struct shale_plan *plan, const struct shale_arrival *entry,
		    uint32_t inode, uint32_t *name, struct shale_err *err)
{
	uint32_t parent;
	const char *last;
	int r = shale_plan_parent(plan, entry, &parent, &last, err);
	if (r < 0)
		return r;
	size_t len = entry->path_len - (size_t)(last - entry->path);

	/* The old name may be this inode's only one. */
	shale_plan_inode(plan, inode)->names++;
	r = place(plan, parent, last, len, name, err);
	if (r < 0)
		return r;
	shale_plan_inode(plan, inode)->names--;
	give_name(plan, *name, inode);
	return 0;
}

int shale_plan_init(struct shale_plan *plan, struct shale_err *err)
{
	*plan = (struct shale_plan){0};
	struct shale_arrival root = {.attr = {.mode = S_IFDIR | 0755}};
	uint32_t name;
	int r = shale_plan_have(plan, SHALE_PLAN_NONE, "", 0, &name, err);
	if (r == 0)
		r = add_inode(plan, &root, true, name, err);
	return r;
}

void shale_plan_release(struct shale_plan *plan)
{
	shale_buf_release(&plan->inodes);
	shale_buf_release(&plan->names);
	shale_buf_release(&plan->strings);
	free(plan->table);
	plan->table = NULL;
}

int shale_plan_remove(struct shale_plan *plan, uint32_t name,
		      struct shale_err *err)
{
	cleanup_buf struct shale_buf stack = {0};
	int r = shale_buf_append(&stack, &name, sizeof(name));

	while (r == 0 && stack.len) {
		uint32_t i;
		stack.len -= sizeof(i);
		memcpy(&i, stack.data + stack.len, sizeof(i));
		struct shale_plan_name *n = shale_plan_name(plan, i);
		if (n->inode == SHALE_PLAN_NONE)
			continue;
		shale_plan_inode(plan, n->inode)->names--;
		n->inode = SHALE_PLAN_NONE;
		for (uint32_t c = n->child; c != SHALE_PLAN_NONE && r == 0;
		     c = shale_plan_name(plan, c)->sibling)
			r = shale_buf_append(&stack, &c, sizeof(c));
	}
	return r < 0 ? shale_err_set(err, ENOMEM, "names of an import") : 0;
}
