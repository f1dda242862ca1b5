/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/index/patch.h"

#include "layers/base/buf.h"
#include "layers/base/cleanup.h"
#include "layers/index/patch_disk.h"
#include "layers/index/record.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A base with fewer records is merged whole in no time. */
enum { BASE_MIN = 4096, PAYS_BELOW = 16 };

const struct shale_table_kind shale_patch_kind = {
	.magic = "SHALEIDP",
	.version = 1,
	.sections = SHALE_PATCH_NSECTIONS,
	.record_size =
		{
			SHALE_INDEX_RECORD_SIZES,
			[SHALE_PATCH_PLACES] =
				sizeof(struct shale_disk_patch_place),
			[SHALE_PATCH_RUNS] =
				sizeof(struct shale_disk_patch_run),
		},
	.noun = "index patch",
};

bool shale_patch_pays(const struct shale_index *base,
		      struct shale_tree *const *trees, size_t n)
{
	uint64_t all = base->inodes + base->entries, changed = 0;

	for (size_t i = base->trees; i < n; i++) {
		changed += shale_tree_count(trees[i], SHALE_TREE_INODES);
		changed += shale_tree_count(trees[i], SHALE_TREE_DIRENTS);
	}
	return all >= BASE_MIN && changed <= all / PAYS_BELOW;
}

/* ----------------------------------------------------------------- open */

/* Is `base` the index that the patch was made over? */
static int check_base(const struct shale_index *ix,
		      const struct shale_index *base, struct shale_err *err)
{
	const struct shale_table *t = ix->table;
	uint64_t n = shale_table_field(t, SHALE_PATCH_BASE_TREES);
	const void *ours, *theirs;

	if (base->base || n == 0 || n > ix->trees || n != base->trees ||
	    base->inodes != shale_table_field(t, SHALE_PATCH_BASE_INODES) ||
	    base->entries != shale_table_field(t, SHALE_PATCH_BASE_ENTRIES))
		return shale_err_say(err, EUCLEAN,
				     "index patch %s is of another index",
				     shale_table_name(t));
	int r = shale_table_get(t, SHALE_INDEX_TREES, 0, n, &ours, err);
	if (r == 0)
		r = shale_table_get(base->table, SHALE_INDEX_TREES, 0, n,
				    &theirs, err);
	if (r < 0)
		return r;
	if (memcmp(ours, theirs, n * sizeof(struct shale_disk_index_tree)) != 0)
		return shale_err_say(err, EUCLEAN,
				     "index patch %s is of another index",
				     shale_table_name(t));
	return 0;
}

/* Counts that the records can bear: nobody walks, or allocates, by others. */
static int check_counts(struct shale_index *ix, const struct shale_index *base,
			struct shale_err *err)
{
	const struct shale_table *t = ix->table;
	uint64_t own = shale_table_count(t, SHALE_INDEX_ENTRIES);
	uint64_t numbers = shale_table_field(t, SHALE_PATCH_POSITIONS);
	uint64_t trees = shale_table_count(t, SHALE_INDEX_TREES);

	ix->records = shale_table_count(t, SHALE_INDEX_INODES);
	ix->links = shale_table_count(t, SHALE_INDEX_LINKS);
	ix->inodes = shale_table_field(t, SHALE_PATCH_INODES);
	ix->entries = shale_table_field(t, SHALE_PATCH_ENTRIES);
	if (trees == 0 || trees >= SHALE_NO_TREE || ix->inodes == 0 ||
	    ix->inodes > base->inodes + ix->records ||
	    ix->entries > base->entries + own ||
	    numbers > base->entries + own ||
	    shale_table_count(t, SHALE_PATCH_PLACES) != ix->records)
		return shale_err_say(err, EUCLEAN, "index patch %s: bad counts",
				     shale_table_name(t));
	ix->trees = (uint32_t)trees;
	ix->positions = base->entries + numbers;
	return 0;
}

int shale_patch_open(struct shale_index **out, int fd,
		     struct shale_index **base, const char *name,
		     struct shale_err *err)
{
	cleanup_index struct shale_index *ix = calloc(1, sizeof(*ix));
	if (!ix)
		return shale_err_set(err, ENOMEM, "open index %s", name);
	int r = shale_table_open(&ix->table, fd, &shale_patch_kind, name, err);
	if (r == 0)
		r = check_counts(ix, *base, err);
	if (r == 0)
		r = check_base(ix, *base, err);
	if (r < 0)
		return r;
	ix->base = steal_ptr(base);
	*out = steal_ptr(&ix);
	return 0;
}

bool shale_index_is_patch(int fd)
{
	char magic[8];
	return pread(fd, magic, sizeof(magic), 0) == sizeof(magic) &&
	       memcmp(magic, shale_patch_kind.magic, sizeof(magic)) == 0;
}

int shale_index_list_trees(int fd, const char *name, struct shale_buf *trees,
			   uint32_t *base_trees, struct shale_err *err)
{
	cleanup_table struct shale_table *t = NULL;
	const struct shale_disk_index_tree *tree;
	const void *list;
	bool patch = shale_index_is_patch(fd);

	int r = shale_table_open(&t, fd,
				 patch ? &shale_patch_kind : &shale_index_kind,
				 name, err);
	if (r < 0)
		return r;
	uint64_t n = shale_table_count(t, SHALE_INDEX_TREES);
	uint64_t below =
		patch ? shale_table_field(t, SHALE_PATCH_BASE_TREES) : 0;
	if (n == 0 || n >= SHALE_NO_TREE || below > n || (patch && below == 0))
		return shale_err_say(err, EUCLEAN, "index %s: bad counts",
				     name);
	r = shale_table_get(t, SHALE_INDEX_TREES, 0, n, &list, err);
	if (r < 0)
		return r;
	tree = list;
	for (uint64_t i = 0; i < n; i++)
		if (shale_buf_append(trees, tree[i].digest,
				     sizeof(tree[i].digest)) < 0)
			return shale_err_set(err, ENOMEM, "index %s", name);
	*base_trees = (uint32_t)below;
	return shale_table_intact(t, err);
}

/* --------------------------------------------------------------- inodes */

struct place {
	uint64_t before, base;
	bool stands;
};

/* Where the `j`-th record stands among all inodes. */
static int get_place(const struct shale_index *ix, uint64_t j,
		     struct place *out, struct shale_err *err)
{
	const struct shale_disk_patch_place *place;
	const struct shale_disk_index_inode *disk;
	const void *record;

	int r = shale_table_get(ix->table, SHALE_INDEX_INODES, j, 1, &record,
				err);
	if (r < 0)
		return r;
	disk = record;
	out->stands = le32_get(disk->mode) != 0;
	r = shale_table_get(ix->table, SHALE_PATCH_PLACES, j, 1, &record, err);
	if (r < 0)
		return r;
	place = record;
	out->before = le64_get(place->before);
	out->base = le64_get(place->base);
	if (out->before > ix->inodes || out->base > ix->base->inodes)
		return shale_index_damaged(ix, le64_get(disk->ino),
					   "place outside the index", err);
	return 0;
}

int shale_patch_find(const struct shale_index *ix, uint64_t ino, uint64_t *pos,
		     struct shale_index_record *out, struct shale_err *err)
{
	struct place place = {0};
	uint64_t at, below;

	int r = shale_index_search(ix, ino, &at, &out->disk, err);
	if (r < 0)
		return r;
	if (r > 0) {
		if (le32_get(out->disk->mode) == 0)
			return shale_err_set(err, ENOENT, "inode %" PRIu64,
					     ino);
		out->in = ix;
		r = pos ? get_place(ix, at, &place, err) : 0;
		if (r == 0 && pos)
			*pos = place.before;
		return r;
	}
	r = shale_index_search(ix->base, ino, &below, &out->disk, err);
	if (r == 0)
		return shale_err_set(err, ENOENT, "inode %" PRIu64, ino);
	if (r < 0)
		return r;
	out->in = ix->base;
	if (!pos)
		return 0;
	r = at > 0 ? get_place(ix, at - 1, &place, err) : 0;
	if (r < 0)
		return r;
	*pos = place.before + place.stands + (below - place.base);
	return *pos < ix->inodes
		       ? 0
		       : shale_index_damaged(ix, ino, "place outside the index",
					     err);
}

int shale_patch_nth(const struct shale_index *ix, uint64_t i,
		    struct shale_index_record *out, struct shale_err *err)
{
	struct place place = {0}, here;
	uint64_t lo = 0, hi = ix->records;
	const void *record;
	int r;

	if (i >= ix->inodes)
		return shale_err_say(err, EUCLEAN,
				     "index %s has no inode number %" PRIu64,
				     shale_table_name(ix->table), i);
	/* the last record before which there are at most i */
	while (lo < hi) {
		uint64_t mid = lo + (hi - lo) / 2;
		r = get_place(ix, mid, &here, err);
		if (r < 0)
			return r;
		if (here.before <= i) {
			place = here;
			lo = mid + 1;
		} else {
			hi = mid;
		}
	}
	bool own = lo > 0 && place.stands && place.before == i;
	out->in = own ? ix : ix->base;
	r = shale_table_get(
		out->in->table, SHALE_INDEX_INODES,
		own ? lo - 1 : place.base + (i - place.before) - place.stands,
		1, &record, err);
	if (r == 0)
		out->disk = record;
	return r;
}

/* -------------------------------------------------------------- entries */

static int get_run(const struct shale_index *ix, uint64_t i, uint64_t *start,
		   uint64_t *first, struct shale_err *err)
{
	const struct shale_disk_patch_run *run;
	const void *record;
	int r = shale_table_get(ix->table, SHALE_PATCH_RUNS, i, 1, &record,
				err);
	if (r < 0)
		return r;
	run = record;
	*start = le64_get(run->start);
	*first = le64_get(run->first);
	return 0;
}

static int bad_entry(const struct shale_index *ix, uint64_t pos,
		     struct shale_err *err)
{
	return shale_err_say(err, EUCLEAN,
			     "index patch %s: entry %" PRIu64 " is nowhere",
			     shale_table_name(ix->table), pos);
}

int shale_patch_entry(const struct shale_index *ix, uint64_t pos,
		      const struct shale_index **in, uint64_t *at,
		      struct shale_err *err)
{
	uint64_t below = ix->base->entries, want = pos - below;
	uint64_t lo = 0, hi = shale_table_count(ix->table, SHALE_PATCH_RUNS);
	uint64_t start = 0, first = 0;

	*in = ix->base;
	*at = pos;
	if (pos < below)
		return 0;
	if (pos >= ix->positions)
		return bad_entry(ix, pos, err);
	/* the last run that starts at or before it */
	bool found = false;
	while (lo < hi) {
		uint64_t mid = lo + (hi - lo) / 2, s, f;
		int r = get_run(ix, mid, &s, &f, err);
		if (r < 0)
			return r;
		if (s <= want) {
			start = s;
			first = f;
			found = true;
			lo = mid + 1;
		} else {
			hi = mid;
		}
	}
	if (!found || first > UINT64_MAX / 2)
		return bad_entry(ix, pos, err);
	*at = first + (want - start);
	if (first >= below) {
		*in = ix;
		*at -= below;
	}
	return 0;
}
