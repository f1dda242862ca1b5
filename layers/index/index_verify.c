/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/index/record.h"

#include "layers/index/living.h"
#include "layers/index/patch_disk.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

struct verifying {
	const struct shale_index *ix;
	struct shale_living living;
	uint64_t entries; /* seen so far: runs are without gaps */
	uint64_t numbers; /* of a patch: so many it gave to entries so far */
	uint64_t bytes;
};

/* Decode an inode with all that hangs on it. */
static int verify_inode(struct verifying *v, uint64_t i, struct shale_err *err)
{
	struct shale_index_content content;
	struct shale_index_record rec;
	struct shale_attr attr;
	struct shale_xattr pair;
	const char *target;
	const void *list;
	uint32_t len, at = 0;
	uint64_t pos;

	int r = shale_index_attr_nth(v->ix, i, &attr, err);
	if (r == 0)
		r = shale_living_add(&v->living, attr.ino, attr.mode, err);
	if (r == 0)
		r = shale_index_find_inode(v->ix, attr.ino, &pos, &rec, err);
	if (r < 0)
		return r == -ENOENT
			       ? shale_index_damaged(v->ix, attr.ino,
						     "it is not found", err)
			       : r;
	if (pos != i)
		return shale_index_damaged(v->ix, attr.ino, "out of place",
					   err);
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

/* Runs follow each other: those of the base are in place, if it is good. */
static bool run_in_place(struct verifying *v, const struct shale_index_dir *dir)
{
	const struct shale_index *ix = v->ix;

	if (!ix->base)
		return dir->first == v->entries;
	if (dir->count == 0 || dir->first < ix->base->entries)
		return true;
	v->numbers += dir->count;
	return dir->first == ix->base->entries + v->numbers - dir->count;
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
	if (!run_in_place(v, &dir))
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

/* The n-th name that a patch has of an inode: it stands, behind the last. */
static int verify_name(struct verifying *v, uint64_t ino, uint32_t n,
		       struct shale_dirent *last, struct shale_err *err)
{
	struct shale_entry told, found;
	uint64_t dir, pos;

	int r = shale_index_link(v->ix, ino, n, &dir, &pos, err);
	if (r == 0)
		r = shale_index_entry(v->ix, pos, &told, err);
	if (r == 0)
		r = shale_index_lookup(v->ix, dir, told.name, told.name_len,
				       &found, NULL, err);
	if (r < 0 && r != -ENOENT && r != -ENOTDIR)
		return r;
	if (r < 0 || told.ino != ino || found.ino != ino)
		return shale_index_damaged(v->ix, ino, "a name that is not so",
					   err);
	if (n > 0 && (dir < last->dir ||
		      (dir == last->dir &&
		       shale_name_order(last->name, last->name_len, told.name,
					told.name_len) >= 0)))
		return shale_index_damaged(v->ix, ino, "names out of order",
					   err);
	*last = (struct shale_dirent){
		.dir = dir, .name = told.name, .name_len = told.name_len};
	return 0;
}

/* What a patch says of names; numbers of entries are not always the same. */
static int verify_patch_names(struct verifying *v,
			      const struct shale_living_inode *in,
			      struct shale_err *err)
{
	uint32_t n = in->type == S_IFDIR >> 12 ? in->ino != SHALE_ROOT_INO
					       : in->names;
	struct shale_dirent last = {0};
	uint64_t dir, pos;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < n; i++)
		r = verify_name(v, in->ino, i, &last, err);
	if (r < 0)
		return r;
	r = shale_index_link(v->ix, in->ino, n, &dir, &pos, NULL);
	return r == -ENOENT ? 0
			    : shale_index_damaged(v->ix, in->ino,
						  "too many names", err);
}

/* What the names say of an inode is what its record says. */
static int verify_names(struct verifying *v, uint64_t i, struct shale_err *err)
{
	const struct shale_living_inode *in = &v->living.inodes[i];
	struct shale_index_record rec;

	int r = shale_index_get_inode(v->ix, i, &rec, err);
	if (r < 0)
		return r;
	uint32_t nlink =
		in->type == S_IFDIR >> 12 ? 2 + in->subdirs : in->names;
	if (le32_get(rec.disk->nlink) != nlink)
		return shale_index_damaged(v->ix, in->ino, "bad link count",
					   err);
	if (le64_get(rec.disk->parent) != v->living.inodes[in->parent].ino)
		return shale_index_damaged(v->ix, in->ino, "bad parent", err);
	if (v->ix->base)
		return verify_patch_names(v, in, err);
	if (le64_get(rec.disk->entry) != in->entry)
		return shale_index_damaged(v->ix, in->ino, "bad parent", err);
	return 0;
}

/* Where the `j`-th record of a patch stands; `shift` is how many inodes more
 * than the base there are before it. */
static int verify_place(struct verifying *v, uint64_t j,
			const struct shale_disk_index_inode *own,
			int64_t *shift, struct shale_err *err)
{
	const struct shale_index *ix = v->ix;
	const struct shale_disk_patch_place *place;
	const struct shale_disk_index_inode *below;
	const void *record;
	uint64_t ino = le64_get(own->ino), at;
	bool gone = le32_get(own->mode) == 0;

	int r = shale_table_get(ix->table, SHALE_PATCH_PLACES, j, 1, &record,
				err);
	if (r == 0)
		r = shale_index_search(ix->base, ino, &at, &below, err);
	if (r < 0)
		return r;
	place = record;
	bool had = r > 0;
	if (le64_get(place->before) != at + (uint64_t)*shift ||
	    le64_get(place->base) != at + had || (gone && !had))
		return shale_index_damaged(ix, ino, "out of place", err);
	*shift += !gone - had;
	return 0;
}

/* The records of a patch are in order, and each is of use. */
static int verify_records(struct verifying *v, struct shale_err *err)
{
	const struct shale_index *ix = v->ix;
	const struct shale_disk_index_inode *own;
	const void *records;
	uint64_t last = 0, pos, links = 0;
	int64_t shift = 0;

	int r = shale_table_get(ix->table, SHALE_INDEX_INODES, 0, ix->records,
				&records, err);
	for (uint64_t j = 0; r == 0 && j < ix->records; j++) {
		own = (const struct shale_disk_index_inode *)records + j;
		uint64_t ino = le64_get(own->ino);
		uint32_t mode = le32_get(own->mode);
		if (ino <= last ||
		    (mode && !shale_living_find(&v->living, ino, &pos)))
			return shale_index_damaged(ix, ino, "out of order",
						   err);
		last = ino;
		if (mode && !S_ISDIR(mode))
			links += v->living.inodes[pos].names - 1;
		r = verify_place(v, j, own, &shift, err);
	}
	if (r == 0 && links != ix->links)
		r = shale_err_say(err, EUCLEAN,
				  "index %s: wrong number of links",
				  shale_table_name(ix->table));
	return r;
}

static int verify_runs(struct verifying *v, struct shale_err *err)
{
	const struct shale_index *ix = v->ix;
	uint64_t n = shale_table_count(ix->table, SHALE_PATCH_RUNS), last = 0;
	const struct shale_disk_patch_run *run;
	const void *runs;

	int r = shale_table_get(ix->table, SHALE_PATCH_RUNS, 0, n, &runs, err);
	if (r < 0)
		return r;
	run = runs;
	bool good = ix->base->entries + v->numbers == ix->positions &&
		    (n > 0) == (v->numbers > 0);
	for (uint64_t i = 0; good && i < n; i++) {
		uint64_t start = le64_get(run[i].start);
		good = i == 0 ? start == 0 : start > last;
		last = start;
	}
	return good && (n == 0 || last < v->numbers)
		       ? 0
		       : shale_err_say(err, EUCLEAN, "index %s: bad runs",
				       shale_table_name(ix->table));
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
	if (r == 0 && v->ix->base)
		r = verify_records(v, err);
	if (r == 0)
		r = v->ix->base ? verify_runs(v, err) : verify_links(v, err);
	if (r == 0 && v->bytes != shale_index_bytes(v->ix))
		r = shale_err_say(err, EUCLEAN, "index %s: wrong sum of sizes",
				  shale_table_name(v->ix->table));
	return r;
}

int shale_index_verify(const struct shale_index *ix, struct shale_err *err)
{
	struct verifying v = {.ix = ix};

	int r = shale_table_verify(ix->table, err);
	if (r == 0 && ix->base)
		r = shale_table_verify(ix->base->table, err);
	if (r == 0)
		r = verify_all(&v, err);
	shale_living_release(&v.living);
	return r;
}
