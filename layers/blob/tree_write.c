/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/blob/tree_build.h"

#include "layers/base/cleanup.h"
#include "layers/blob/build_impl.h"
#include "layers/blob/tree_impl.h"

#include <string.h>
#include <sys/stat.h>

/*
 * Sections are written in the order of their numbers, straight from the
 * records as they were collected.
 */
struct out {
	struct shale_tree_build *b;
	struct shale_table_writer *table;
	struct shale_build_order order;
	uint64_t names; /* bytes of STRINGS before the symlink targets */
	uint64_t next_ino;
};

/* --------------------------------------------------------- the sections */

/* Where an xattr list lies in XATTRS: they go there in order of first use. */
static uint64_t place_list(struct shale_build_list *list, uint64_t *end)
{
	if (!list->written) {
		list->written = true;
		list->out = *end;
		*end += list->len;
	}
	return list->out;
}

static int write_inodes(struct out *o, struct shale_err *err)
{
	struct shale_tree_build *b = o->b;
	uint64_t n = N_RECORDS(b->inodes, struct shale_disk_inode);
	uint64_t strings = o->names, xattrs = 0, last = 0;

	for (uint64_t i = 0; i < n; i++) {
		struct shale_disk_inode d =
			RECORD(b->inodes, struct shale_disk_inode,
			       shale_build_nth(o->order.inodes, i));
		uint64_t ino = le64_get(d.ino);
		if (ino == last || ino >= o->next_ino)
			return shale_err_say(err, EINVAL, "inode %llu %s",
					     (unsigned long long)ino,
					     ino == last
						     ? "is there twice"
						     : "is not below the next "
						       "free number");
		last = ino;
		if (S_ISLNK(le32_get(d.mode))) {
			d.ref = le64_make(strings);
			strings += le64_get(d.size);
		}
		if (le32_get(d.xattr_len))
			d.xattr_off = le64_make(place_list(
				&RECORD(b->lists, struct shale_build_list,
					le64_get(d.xattr_off)),
				&xattrs));
		int r = shale_table_writer_add(o->table, &d, 1, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int write_dirents(struct out *o, struct shale_err *err)
{
	struct shale_tree_build *b = o->b;
	uint64_t n = N_RECORDS(b->dirents, struct shale_disk_dirent);
	uint64_t strings = 0;

	for (uint64_t i = 0; i < n; i++) {
		uint32_t at = shale_build_nth(o->order.dirents, i);
		struct shale_disk_dirent d =
			RECORD(b->dirents, struct shale_disk_dirent, at);
		uint32_t before =
			i ? shale_build_nth(o->order.dirents, i - 1) : 0;
		const char *fault = NULL;
		if (i && shale_build_dirent_order(&before, &at, b) == 0)
			fault = "is there twice";
		else if (le64_get(d.dir) >= o->next_ino ||
			 le64_get(d.ino) >= o->next_ino)
			fault = "has a number not below the next free one";
		if (fault)
			return shale_err_say(
				err, EINVAL, "name '%.*s' of directory %llu %s",
				le16_get(d.name_len),
				(const char *)b->text.data +
					le64_get(d.name_off),
				(unsigned long long)le64_get(d.dir), fault);
		d.name_off = le64_make(strings);
		strings += le16_get(d.name_len);
		int r = shale_table_writer_add(o->table, &d, 1, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* What keeps an extent from following `last` and belonging to `owner`. */
static const char *extent_fault(const struct shale_disk_extent *last,
				const struct shale_disk_extent *e,
				const struct shale_disk_inode *owner)
{
	uint64_t off = le64_get(e->off), ino = le64_get(e->ino);

	if (last && le64_get(last->ino) == ino &&
	    le64_get(last->off) + le64_get(last->len) > off)
		return "has extents that overlap";
	if (!owner || le64_get(owner->ino) != ino)
		return "has extents, but no record";
	if (le32_get(owner->content) == SHALE_CONTENT_SAME)
		return "has extents, but its content is the same";
	if (off + le64_get(e->len) > le64_get(owner->size))
		return "has extents beyond its size";
	return NULL;
}

static int write_extents(struct out *o, struct shale_err *err)
{
	struct shale_tree_build *b = o->b;
	uint64_t n = N_RECORDS(b->extents, struct shale_disk_extent);
	uint64_t n_inodes = N_RECORDS(b->inodes, struct shale_disk_inode);
	const struct shale_disk_extent *last = NULL;
	uint32_t clones = 0;
	uint64_t at = 0;

	for (uint64_t i = 0; i < n; i++) {
		const struct shale_disk_extent *e =
			&RECORD(b->extents, struct shale_disk_extent,
				shale_build_nth(o->order.extents, i));
		const struct shale_disk_inode *owner = NULL;
		for (; at < n_inodes; at++) {
			owner = &RECORD(b->inodes, struct shale_disk_inode,
					shale_build_nth(o->order.inodes, at));
			if (le64_get(owner->ino) >= le64_get(e->ino))
				break;
		}
		const char *fault = extent_fault(last, e, owner);
		if (fault)
			return shale_err_say(
				err, EINVAL, "inode %llu %s",
				(unsigned long long)le64_get(e->ino), fault);
		struct shale_disk_extent d = *e;
		if (le32_get(d.chunk) == SHALE_CLONE)
			d.chunk_off = le32_make(clones++);
		int r = shale_table_writer_add(o->table, &d, 1, err);
		if (r < 0)
			return r;
		last = e;
	}
	return 0;
}

static int write_chunks(struct out *o, struct shale_err *err)
{
	struct shale_tree_build *b = o->b;
	uint64_t n = N_RECORDS(b->chunks, struct shale_disk_chunk);
	int r = 0;

	for (uint64_t i = 0; i < n && r == 0; i++) {
		struct shale_disk_chunk d =
			RECORD(b->chunks, struct shale_disk_chunk, i);
		d.blob = le32_make(o->order.blob_place[le32_get(d.blob)]);
		r = shale_table_writer_add(o->table, &d, 1, err);
	}
	return r;
}

static int write_blobs(struct out *o, struct shale_err *err)
{
	int r = 0;

	for (uint32_t i = 0; i < o->order.n_blobs && r == 0; i++) {
		const struct shale_build_blob *blob =
			&RECORD(o->b->blobs, struct shale_build_blob,
				o->order.blobs[i]);
		struct shale_disk_blob d = {.size = le64_make(blob->size)};
		memcpy(d.digest, blob->digest.b, sizeof(d.digest));
		r = shale_table_writer_add(o->table, &d, 1, err);
	}
	return r;
}

static int write_chunksort(struct out *o, struct shale_err *err)
{
	uint64_t n = N_RECORDS(o->b->chunks, struct shale_disk_chunk);
	int r = 0;

	for (uint64_t i = 0; i < n && r == 0; i++) {
		struct le32 number =
			le32_make(shale_build_nth(o->order.chunks, i));
		r = shale_table_writer_add(o->table, &number, 1, err);
	}
	return r;
}

static int write_packed(struct out *o, struct shale_err *err)
{
	return shale_table_writer_add(
		o->table, o->b->packed.data,
		N_RECORDS(o->b->packed, struct shale_disk_packed), err);
}

/* As EXTENTS has them. */
static int write_clones(struct out *o, struct shale_err *err)
{
	struct shale_tree_build *b = o->b;
	uint64_t n = N_RECORDS(b->extents, struct shale_disk_extent);
	int r = 0;

	for (uint64_t i = 0; i < n && r == 0; i++) {
		const struct shale_disk_extent *e =
			&RECORD(b->extents, struct shale_disk_extent,
				shale_build_nth(o->order.extents, i));
		if (le32_get(e->chunk) != SHALE_CLONE)
			continue;
		const struct shale_disk_clone *clone =
			&RECORD(b->clones, struct shale_disk_clone,
				le32_get(e->chunk_off));
		if (le64_get(clone->ino) >= o->next_ino)
			return shale_err_say(
				err, EINVAL,
				"a clone of inode %llu, which is not below the "
				"next free number",
				(unsigned long long)le64_get(clone->ino));
		r = shale_table_writer_add(o->table, clone, 1, err);
	}
	return r;
}

/* Names as DIRENTS has them, then symlink targets as INODES has them. */
static int write_strings(struct out *o, struct shale_err *err)
{
	struct shale_tree_build *b = o->b;
	uint64_t n_dirents = N_RECORDS(b->dirents, struct shale_disk_dirent);
	uint64_t n_inodes = N_RECORDS(b->inodes, struct shale_disk_inode);
	int r = 0;

	for (uint64_t i = 0; i < n_dirents && r == 0; i++) {
		const struct shale_disk_dirent *d =
			&RECORD(b->dirents, struct shale_disk_dirent,
				shale_build_nth(o->order.dirents, i));
		r = shale_table_writer_add(o->table,
					   b->text.data + le64_get(d->name_off),
					   le16_get(d->name_len), err);
	}
	for (uint64_t i = 0; i < n_inodes && r == 0; i++) {
		const struct shale_disk_inode *d =
			&RECORD(b->inodes, struct shale_disk_inode,
				shale_build_nth(o->order.inodes, i));
		if (S_ISLNK(le32_get(d->mode)))
			r = shale_table_writer_add(
				o->table, b->text.data + le64_get(d->ref),
				le64_get(d->size), err);
	}
	return r;
}

static int write_xattrs(struct out *o, struct shale_err *err)
{
	struct shale_tree_build *b = o->b;
	uint64_t n_inodes = N_RECORDS(b->inodes, struct shale_disk_inode);
	uint64_t end = 0;
	int r = 0;

	for (uint64_t i = 0; i < n_inodes && r == 0; i++) {
		const struct shale_disk_inode *d =
			&RECORD(b->inodes, struct shale_disk_inode,
				shale_build_nth(o->order.inodes, i));
		if (!le32_get(d->xattr_len))
			continue;
		const struct shale_build_list *list =
			&RECORD(b->lists, struct shale_build_list,
				le64_get(d->xattr_off));
		if (list->out != end)
			continue; /* it was written for an inode before */
		end += list->len;
		r = shale_table_writer_add(o->table, b->xattrs.data + list->off,
					   list->len, err);
	}
	return r;
}

/* --------------------------------------------------------------- finish */

static int prepare(struct out *o, struct shale_err *err)
{
	struct shale_tree_build *b = o->b;
	uint64_t n_dirents = N_RECORDS(b->dirents, struct shale_disk_dirent);

	for (uint64_t i = 0; i < n_dirents; i++)
		o->names +=
			le16_get(RECORD(b->dirents, struct shale_disk_dirent, i)
					 .name_len);
	return shale_build_order_make(b, &o->order, err);
}

static int write_all(struct out *o, struct shale_err *err)
{
	static int (*const section[SHALE_TREE_NSECTIONS])(
		struct out *, struct shale_err *) = {
		[SHALE_TREE_INODES] = write_inodes,
		[SHALE_TREE_DIRENTS] = write_dirents,
		[SHALE_TREE_EXTENTS] = write_extents,
		[SHALE_TREE_CHUNKS] = write_chunks,
		[SHALE_TREE_BLOBS] = write_blobs,
		[SHALE_TREE_CHUNKSORT] = write_chunksort,
		[SHALE_TREE_PACKED] = write_packed,
		[SHALE_TREE_STRINGS] = write_strings,
		[SHALE_TREE_XATTRS] = write_xattrs,
		[SHALE_TREE_CLONES] = write_clones,
	};

	shale_table_writer_field(o->table, SHALE_TREE_NEXT_INO, o->next_ino);
	for (unsigned i = 0; i < SHALE_TREE_NSECTIONS; i++) {
		int r = shale_table_writer_begin(o->table, i, err);
		if (r == 0)
			r = section[i](o, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int shale_tree_build_finish(struct shale_tree_build *b, int fd,
			    uint64_t next_ino, struct shale_digest *digest,
			    uint64_t *size, struct shale_err *err)
{
	struct out o = {.b = b, .next_ino = next_ino};

	if (next_ino < 1 || next_ino > SHALE_INO_MAX + 1)
		return shale_err_say(err, EINVAL,
				     "next inode number out of range");
	int r = prepare(&o, err);
	if (r == 0)
		r = shale_table_writer_new(&o.table, fd, &shale_tree_kind, err);
	if (r == 0)
		r = write_all(&o, err);
	if (r == 0)
		r = shale_table_writer_finish(o.table, digest, size, err);
	shale_table_writer_free(o.table);
	shale_build_order_release(&o.order);
	return r;
}
