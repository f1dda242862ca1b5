/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/index/record.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

static int get_entry(const struct shale_index *ix, uint64_t pos,
		     const struct shale_disk_index_entry **out,
		     const char **name, struct shale_err *err)
{
	const void *record, *bytes;
	int r = 0;

	if (ix->base)
		r = shale_patch_entry(ix, pos, &ix, &pos, err);
	if (r == 0)
		r = shale_table_get(ix->table, SHALE_INDEX_ENTRIES, pos, 1,
				    &record, err);
	if (r < 0)
		return r;
	*out = record;
	r = shale_table_get(ix->table, SHALE_INDEX_STRINGS,
			    le64_get((*out)->name_off),
			    le16_get((*out)->name_len), &bytes, err);
	*name = bytes;
	return r;
}

static bool good_name(const char *name, size_t len)
{
	if (len == 0 || len > SHALE_NAME_MAX)
		return false;
	if (name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')))
		return false;
	return !memchr(name, '/', len) && !memchr(name, 0, len);
}

static int decode_entry(const struct shale_index *ix, uint64_t pos,
			const struct shale_disk_index_entry *disk,
			const char *name, struct shale_entry *out,
			struct shale_err *err)
{
	struct shale_entry e = {
		.ino = le64_get(disk->ino),
		.name = name,
		.name_len = le16_get(disk->name_len),
		.type = disk->type,
	};

	if (e.ino == 0 || e.ino > SHALE_INO_MAX || e.type > 15 ||
	    !good_name(name, e.name_len))
		return shale_err_say(err, EUCLEAN,
				     "index %s: entry %" PRIu64 " is damaged",
				     shale_table_name(ix->table), pos);
	int r = shale_index_intact(ix, err);
	if (r == 0)
		*out = e;
	return r;
}

int shale_index_entry(const struct shale_index *ix, uint64_t pos,
		      struct shale_entry *out, struct shale_err *err)
{
	const struct shale_disk_index_entry *disk;
	const char *name;
	int r = get_entry(ix, pos, &disk, &name, err);
	return r < 0 ? r : decode_entry(ix, pos, disk, name, out, err);
}

int shale_index_lookup(const struct shale_index *ix, uint64_t dir,
		       const char *name, size_t name_len,
		       struct shale_entry *out, uint64_t *pos,
		       struct shale_err *err)
{
	struct shale_index_dir d;
	int r = shale_index_dir(ix, dir, &d, err);
	if (r < 0)
		return r;

	uint64_t lo = d.first, hi = d.first + d.count;
	while (lo < hi) {
		const struct shale_disk_index_entry *disk;
		const char *found;
		uint64_t mid = lo + (hi - lo) / 2;

		r = get_entry(ix, mid, &disk, &found, err);
		if (r < 0)
			return r;
		int order = shale_name_order(found, le16_get(disk->name_len),
					     name, name_len);
		if (order == 0) {
			if (pos)
				*pos = mid;
			return decode_entry(ix, mid, disk, found, out, err);
		}
		if (order < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	r = shale_index_intact(ix, err);
	if (r < 0)
		return r;
	return shale_err_set(err, ENOENT, "'%.*s'", (int)name_len, name);
}

static int get_link(const struct shale_index *ix, uint64_t i,
		    const struct shale_disk_index_link **out,
		    struct shale_err *err)
{
	const void *record;
	int r = shale_table_get(ix->table, SHALE_INDEX_LINKS, i, 1, &record,
				err);
	if (r < 0)
		return r;
	*out = record;
	return 0;
}

/* The n-th (from 0) record of `ino` in LINKS. */
static int find_link(const struct shale_index *ix, uint64_t ino, uint32_t n,
		     uint64_t *dir, uint64_t *pos, struct shale_err *err)
{
	const struct shale_disk_index_link *link;
	uint64_t lo = 0, hi = ix->links;

	while (lo < hi) {
		uint64_t mid = lo + (hi - lo) / 2;
		int r = get_link(ix, mid, &link, err);
		if (r < 0)
			return r;
		if (le64_get(link->ino) < ino)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (n >= ix->links - lo)
		return shale_err_set(err, ENOENT, "inode %" PRIu64, ino);
	int r = get_link(ix, lo + n, &link, err);
	if (r < 0)
		return r;
	if (le64_get(link->ino) != ino)
		return shale_err_set(err, ENOENT, "inode %" PRIu64, ino);
	*dir = le64_get(link->dir);
	*pos = le64_get(link->entry);
	return 0;
}

int shale_index_link(const struct shale_index *ix, uint64_t ino, uint32_t n,
		     uint64_t *dir, uint64_t *pos, struct shale_err *err)
{
	struct shale_index_record rec;
	int r = shale_index_find_inode(ix, ino, NULL, &rec, err);
	if (r < 0)
		return r;
	if (ino == SHALE_ROOT_INO)
		return shale_err_set(err, ENOENT, "names of the root");
	if (n > 0)
		return find_link(rec.in, ino, n - 1, dir, pos, err);
	if (le64_get(rec.disk->entry) >= rec.in->positions)
		return shale_index_damaged(ix, ino, "name outside the index",
					   err);
	*dir = le64_get(rec.disk->parent);
	*pos = le64_get(rec.disk->entry);
	return 0;
}
