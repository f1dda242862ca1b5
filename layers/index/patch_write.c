/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/index/patch.h"

#include "layers/base/cleanup.h"
#include "layers/index/patch_impl.h"

#include <errno.h>
#include <string.h>

/* -------------------------------------------------------------- entries */

/* The next entries are those from `first` on; a run goes on where it can. */
static int put_run(struct shale_patching *p, uint64_t first, uint64_t n,
		   uint64_t dir_start, struct shale_err *err)
{
	struct shale_buf *runs = &p->section[SHALE_PATCH_RUNS];
	struct shale_disk_patch_run run = {le64_make(p->positions),
					   le64_make(first)};

	if (n == 0)
		return 0;
	if (runs->len >= sizeof(run)) {
		const struct shale_disk_patch_run *last =
			(void *)(runs->data + runs->len - sizeof(run));
		uint64_t start = le64_get(last->start);
		uint64_t end = le64_get(last->first) + (p->positions - start);
		if (start >= dir_start && end == first &&
		    first != p->delta.base->entries) {
			p->positions += n;
			return 0;
		}
	}
	p->positions += n;
	return shale_patch_append(runs, &run, sizeof(run), err);
}

static int put_entry(struct shale_patching *p, struct shale_patch_delta_name *c,
		     uint64_t dir_start, struct shale_err *err)
{
	struct shale_buf *strings = &p->section[SHALE_INDEX_STRINGS];
	struct shale_buf *entries = &p->section[SHALE_INDEX_ENTRIES];
	struct shale_disk_index_entry disk = {
		.ino = le64_make(c->to.ino),
		.name_off = le64_make(strings->len),
		.name_len = le16_make(c->to.name_len),
		.type = c->to.type,
	};
	uint64_t number = entries->len / sizeof(disk);

	c->pos = p->delta.base->entries + p->positions;
	int r = shale_patch_append(strings, c->to.name, c->to.name_len, err);
	if (r == 0)
		r = shale_patch_append(entries, &disk, sizeof(disk), err);
	if (r == 0)
		r = put_run(p, p->delta.base->entries + number, 1, dir_start,
			    err);
	return r;
}

/* Lay out a directory: its entries of the base between those that change. */
static int put_dir(struct shale_patching *p, struct shale_patch_delta_dir *dir,
		   struct shale_err *err)
{
	struct shale_patch_delta_name *c = (void *)p->delta.names.data;
	uint64_t start = p->positions, at = dir->base_first;
	int r = 0;

	c += dir->names;
	for (uint64_t i = 0; r == 0 && i < dir->n; i++) {
		r = put_run(p, at, c[i].at - at, start, err);
		at = c[i].at + c[i].was;
		if (r == 0 && c[i].to.ino != 0)
			r = put_entry(p, &c[i], start, err);
		p->entries += (c[i].to.ino != 0) - c[i].was;
	}
	if (r == 0)
		r = put_run(p, at, dir->base_first + dir->base_count - at,
			    start, err);
	dir->first = p->delta.base->entries + start;
	dir->count = p->positions - start;
	return r;
}

static int put_dirs(struct shale_patching *p, struct shale_err *err)
{
	struct shale_patch_delta_dir *dirs = (void *)p->delta.dirs.data;
	size_t n = p->delta.dirs.len / sizeof(*dirs);
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		r = put_dir(p, &dirs[i], err);
	p->entries -= (int64_t)p->delta.lost;
	return r;
}

/* -------------------------------------------------------------- the file */

static int put_trees(struct shale_patching *p,
		     const struct shale_digest *digests, size_t n,
		     struct shale_err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		struct shale_disk_index_tree tree = {.image = le32_make(0)};
		memcpy(tree.digest, digests[i].b, sizeof(tree.digest));
		r = shale_patch_append(&p->section[SHALE_INDEX_TREES], &tree,
				       sizeof(tree), err);
	}
	return r;
}

static int write_table(const struct shale_patching *p, int fd,
		       struct shale_err *err)
{
	const struct shale_index *base = p->delta.base;
	cleanup_table_writer struct shale_table_writer *w = NULL;
	int r = shale_table_writer_new(&w, fd, &shale_patch_kind, err);

	for (unsigned s = 0; r == 0 && s < SHALE_PATCH_NSECTIONS; s++) {
		size_t n = p->section[s].len / shale_patch_kind.record_size[s];
		r = shale_table_writer_begin(w, s, err);
		if (r == 0 && n > 0)
			r = shale_table_writer_add(w, p->section[s].data, n,
						   err);
	}
	if (r < 0)
		return r;
	const uint64_t field[SHALE_TABLE_FIELDS] = {
		[SHALE_INDEX_NEXT_INO] = p->delta.next_ino,
		[SHALE_INDEX_BYTES] = p->bytes,
		[SHALE_PATCH_BASE_TREES] = base->trees,
		[SHALE_PATCH_BASE_INODES] = base->inodes,
		[SHALE_PATCH_BASE_ENTRIES] = base->entries,
		[SHALE_PATCH_INODES] = base->inodes + (uint64_t)p->shift,
		[SHALE_PATCH_ENTRIES] = base->entries + (uint64_t)p->entries,
		[SHALE_PATCH_POSITIONS] = p->positions,
	};
	for (unsigned i = 0; i < SHALE_TABLE_FIELDS; i++)
		shale_table_writer_field(w, i, field[i]);
	return shale_table_writer_finish(w, NULL, NULL, err);
}

int shale_patch_write(int fd, const struct shale_index *base,
		      struct shale_tree *const *trees,
		      const struct shale_digest *digests, size_t n,
		      struct shale_err *err)
{
	struct shale_patching p = {0};

	if (base->base || n >= SHALE_NO_TREE)
		return shale_err_say(err, EINVAL,
				     "the index is not of the first trees");
	int r = shale_index_begins(base, digests, n, err);
	if (r == 0)
		r = put_trees(&p, digests, n, err);
	if (r == 0)
		r = shale_patch_delta_gather(&p.delta, base, trees, n, err);
	if (r == 0)
		r = put_dirs(&p, err);
	if (r == 0)
		r = shale_patch_inodes(&p, err);
	if (r == 0)
		r = write_table(&p, fd, err);
	for (unsigned s = 0; s < SHALE_PATCH_NSECTIONS; s++)
		shale_buf_release(&p.section[s]);
	shale_buf_release(&p.links);
	shale_patch_delta_release(&p.delta);
	return r;
}
