/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/index/record.h"

#include "layers/index/living.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

struct verifying {
	const struct shale_index *ix;
	struct shale_living living;
	uint64_t entries; /* seen so far: runs are without gaps */
	uint64_t bytes;
};

/* Decode an inode with all that hangs on it. */
static int verify_inode(struct verifying *v, uint64_t i, struct shale_err *err)
{
	struct shale_index_content content;
	struct shale_attr attr;
	struct shale_xattr pair;
	const char *target;
	const void *list;
	uint32_t len, at = 0;

	int r = shale_index_attr_nth(v->ix, i, &attr, err);
	if (r == 0)
		r = shale_living_add(&v->living, attr.ino, attr.mode, err);
	if (r < 0)
		return r;
	if (attr.ino >= shale_index_next_ino(v->ix))
		return shale_index_damaged(v->ix, attr.ino,
					   "above the next free number", err);
	r = shale_index_xattrs(v->ix, attr.ino, &list, &len, err);
	while (r == 0 && len > 0) {
		r = shale_xattr_next(list, len, &at, &pair, err);
		if (r <= 0)
			break;
		r = 0;
	}
	if (r == 0 && S_ISLNK(attr.mode))
		r = shale_index_target(v->ix, attr.ino, &target, &len, err);
	if (r == 0 && S_ISREG(attr.mode)) {
		r = shale_index_content(v->ix, attr.ino, &content, err);
		v->bytes = v->bytes > UINT64_MAX - attr.size
				   ? UINT64_MAX
				   : v->bytes + attr.size;
	}
	return r;
}

/* One directory's run: in its place, sorted, of inodes that are there. */
static int verify_dir(struct verifying *v, uint64_t pos, struct shale_err *err)
{
	struct shale_index_dir dir;
	struct shale_entry entry, before = {0};
	uint64_t ino = v->living.inodes[pos].ino, child;

	int r = shale_index_dir(v->ix, ino, &dir, err);
	if (r < 0)
		return r;
	if (dir.first != v->entries)
		return shale_index_damaged(v->ix, ino, "entries out of place",
					   err);
	for (uint64_t i = 0; i < dir.count; i++) {
		r = shale_index_entry(v->ix, dir.first + i, &entry, err);
		if (r < 0)
			return r;
		if (i > 0 && shale_name_order(before.name, before.name_len,
					      entry.name, entry.name_len) >= 0)
			return shale_index_damaged(v->ix, ino,
						   "entries out of order", err);
		if (!shale_living_find(&v->living, entry.ino, &child) ||
		    v->living.inodes[child].type != entry.type)
			return shale_index_damaged(
				v->ix, ino, "entry of no such inode", err);
		r = shale_living_name(&v->living, pos, child, dir.first + i,
				      err);
		if (r < 0)
			return r;
		before = entry;
	}
	v->entries += dir.count;
	return 0;
}

/* What the names say of an inode is what its record says. */
static int verify_names(struct verifying *v, uint64_t i, struct shale_err *err)
{
	const struct shale_living_inode *in = &v->living.inodes[i];
	const struct shale_disk_index_inode *disk;

	int r = shale_index_get_inode(v->ix, i, &disk, err);
	if (r < 0)
		return r;
	uint32_t nlink =
		in->type == S_IFDIR >> 12 ? 2 + in->subdirs : in->names;
	if (le32_get(disk->nlink) != nlink)
		return shale_index_damaged(v->ix, in->ino, "bad link count",
					   err);
	if (le64_get(disk->parent) != v->living.inodes[in->parent].ino ||
	    le64_get(disk->entry) != in->entry)
		return shale_index_damaged(v->ix, in->ino, "bad parent", err);
	return 0;
}

static int verify_links(struct verifying *v, struct shale_err *err)
{
	size_t n = v->living.links.len / sizeof(struct shale_disk_index_link);
	const void *links;

	if (v->ix->links != n)
		return shale_err_say(err, EUCLEAN,
				     "index %s: wrong number of links",
				     shale_table_name(v->ix->table));
	int r = shale_table_get(v->ix->table, SHALE_INDEX_LINKS, 0, n, &links,
				err);
	if (r < 0 || n == 0)
		return r;
	if (memcmp(links, v->living.links.data, v->living.links.len) != 0)
		return shale_err_say(err, EUCLEAN, "index %s: bad links",
				     shale_table_name(v->ix->table));
	return 0;
}

static int verify_trees(const struct shale_index *ix, struct shale_err *err)
{
	const struct shale_disk_index_tree *tree;
	uint32_t image = 0, bottom = 0;
	const void *trees;

	int r = shale_table_get(ix->table, SHALE_INDEX_TREES, 0, ix->trees,
				&trees, err);
	if (r < 0)
		return r;
	tree = trees;
	for (uint32_t i = 0; i < ix->trees; i++) {
		if (i > 0 && le32_get(tree[i].image) == image + 1) {
			image++;
			bottom = i;
		}
		if (le32_get(tree[i].image) != image ||
		    le32_get(tree[i].bottom) != bottom)
			return shale_err_say(err, EUCLEAN,
					     "index %s: tree %" PRIu32
					     " is out of place",
					     shale_table_name(ix->table), i);
	}
	return 0;
}

static int verify_all(struct verifying *v, struct shale_err *err)
{
	int r = verify_trees(v->ix, err);

	for (uint64_t i = 0; r == 0 && i < v->ix->inodes; i++)
		r = verify_inode(v, i, err);
	for (uint64_t i = 0; r == 0 && i < v->ix->inodes; i++)
		if (v->living.inodes[i].type == S_IFDIR >> 12)
			r = verify_dir(v, i, err);
	if (r == 0 && v->entries != v->ix->entries)
		r = shale_err_say(err, EUCLEAN,
				  "index %s: entries of no directory",
				  shale_table_name(v->ix->table));
	if (r == 0)
		r = shale_living_check(&v->living, err);
	for (uint64_t i = 0; r == 0 && i < v->ix->inodes; i++)
		r = verify_names(v, i, err);
	if (r == 0)
		r = verify_links(v, err);
	if (r == 0 && v->bytes != shale_index_bytes(v->ix))
		r = shale_err_say(err, EUCLEAN, "index %s: wrong sum of sizes",
				  shale_table_name(v->ix->table));
	return r;
}

int shale_index_verify(const struct shale_index *ix, struct shale_err *err)
{
	struct verifying v = {.ix = ix};

	int r = shale_table_verify(ix->table, err);
	if (r == 0)
		r = verify_all(&v, err);
	shale_living_release(&v.living);
	return r;
}
