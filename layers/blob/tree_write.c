/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/blob/tree_build.h"

#include "layers/base/cleanup.h"
#include "layers/blob/build_impl.h"
#include "layers/blob/tree_impl.h"

#include <string.h>
#include <sys/stat.h>

/*
 * Sections are written in the order of their numbers.  Records are left where
 * they are; an array of numbers says in which order they go out, and is NULL
 * where they were added in order, as a walk adds them.
 */
struct out {
	struct shale_tree_build *b;
	struct shale_table_writer *table;
	uint32_t *inodes, *dirents, *extents; /* orders, or NULL */
	uint32_t *blobs;      /* new number of each, or SHALE_NO_BLOB */
	uint32_t *blob_order; /* of those that CHUNKS name */
	uint32_t n_blobs;
	uint64_t names; /* bytes of STRINGS before the symlink targets */
	uint64_t next_ino;
};

static int no_memory(struct shale_err *err)
{
	return shale_err_set(err, ENOMEM, "write a tree blob");
}

static uint32_t nth(const uint32_t *order, uint64_t i)
{
	return order ? order[i] : (uint32_t)i;
}

#define RECORDS(buf, type)    ((type *)(buf).data)
#define N_RECORDS(buf, type)  ((buf).len / sizeof(type))
#define RECORD(buf, type, at) (RECORDS(buf, type)[at])

/* -------------------------------------------------------------- sorting */

typedef int order_fn(const void *a, const void *b, void *build);

static int compare(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static int inode_order(const void *a, const void *b, void *build)
{
	const struct shale_disk_inode *all =
		RECORDS(((struct shale_tree_build *)build)->inodes,
			struct shale_disk_inode);

	return compare(le64_get(all[*(const uint32_t *)a].ino),
		       le64_get(all[*(const uint32_t *)b].ino));
}

static int dirent_order(const void *a, const void *b, void *build)
{
	const struct shale_tree_build *t = build;
	const struct shale_disk_dirent *x = &RECORD(
		t->dirents, struct shale_disk_dirent, *(const uint32_t *)a);
	const struct shale_disk_dirent *y = &RECORD(
		t->dirents, struct shale_disk_dirent, *(const uint32_t *)b);
	int order = compare(le64_get(x->dir), le64_get(y->dir));
	if (order)
		return order;

	const char *text = (const char *)t->text.data;
	return shale_name_order(
		text + le64_get(x->name_off), le16_get(x->name_len),
		text + le64_get(y->name_off), le16_get(y->name_len));
}

static int extent_order(const void *a, const void *b, void *build)
{
	const struct shale_disk_extent *all =
		RECORDS(((struct shale_tree_build *)build)->extents,
			struct shale_disk_extent);
	const struct shale_disk_extent *x = &all[*(const uint32_t *)a];
	const struct shale_disk_extent *y = &all[*(const uint32_t *)b];
	int order = compare(le64_get(x->ino), le64_get(y->ino));

	return order ? order : compare(le64_get(x->off), le64_get(y->off));
}

/* `*out` stays NULL if the records are in order; double keys are found by
 * whoever writes them. */
static int sort(struct shale_tree_build *b, uint64_t n, order_fn *fn,
		uint32_t **out, struct shale_err *err)
{
	uint64_t sorted = 1;

	if (n > UINT32_MAX)
		return shale_err_say(err, EFBIG, "too many records");
	for (; sorted < n; sorted++) {
		uint32_t x = (uint32_t)sorted - 1, y = (uint32_t)sorted;
		if (fn(&x, &y, b) > 0)
			break;
	}
	if (sorted >= n)
		return 0;

	uint32_t *order = malloc(n * sizeof(*order));
	if (!order)
		return no_memory(err);
	for (uint64_t i = 0; i < n; i++)
		order[i] = (uint32_t)i;
	qsort_r(order, n, sizeof(*order), fn, b);
	*out = order;
	return 0;
}

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
		struct shale_disk_inode d = RECORD(
			b->inodes, struct shale_disk_inode, nth(o->inodes, i));
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
		uint32_t at = nth(o->dirents, i);
		struct shale_disk_dirent d =
			RECORD(b->dirents, struct shale_disk_dirent, at);
		uint32_t before = i ? nth(o->dirents, i - 1) : 0;
		const char *fault = NULL;
		if (i && dirent_order(&before, &at, b) == 0)
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
	uint64_t at = 0;

	for (uint64_t i = 0; i < n; i++) {
		const struct shale_disk_extent *e =
			&RECORD(b->extents, struct shale_disk_extent,
				nth(o->extents, i));
		const struct shale_disk_inode *owner = NULL;
		for (; at < n_inodes; at++) {
			owner = &RECORD(b->inodes, struct shale_disk_inode,
					nth(o->inodes, at));
			if (le64_get(owner->ino) >= le64_get(e->ino))
				break;
		}
		const char *fault = extent_fault(last, e, owner);
		if (fault)
			return shale_err_say(
				err, EINVAL, "inode %llu %s",
				(unsigned long long)le64_get(e->ino), fault);
		int r = shale_table_writer_add(o->table, e, 1, err);
		if (r < 0)
			return r;
		last = e;
	}
	return 0;
}

/* Number the blobs that chunks name in the order in which they do. */
static int number_blobs(struct out *o, struct shale_err *err)
{
	struct shale_tree_build *b = o->b;
	const struct shale_build_blob *blobs =
		RECORDS(b->blobs, struct shale_build_blob);
	uint64_t n_chunks = N_RECORDS(b->chunks, struct shale_disk_chunk);
	uint64_t n = N_RECORDS(b->blobs, struct shale_build_blob);

	o->blobs = malloc((n + 1) * sizeof(*o->blobs));
	o->blob_order = malloc((n + 1) * sizeof(*o->blob_order));
	if (!o->blobs || !o->blob_order)
		return no_memory(err);
	for (uint64_t i = 0; i < n; i++)
		o->blobs[i] = SHALE_NO_BLOB;

	for (uint64_t i = 0; i < n_chunks; i++) {
		const struct shale_disk_chunk *c =
			&RECORD(b->chunks, struct shale_disk_chunk, i);
		uint32_t blob = le32_get(c->blob);
		uint32_t stored =
			le32_get(c->stored_codec) & (SHALE_CHUNK_LIMIT - 1);
		if (blob == b->own && !b->own_known)
			return shale_err_say(err, EINVAL,
					     "the new data blob has no digest");
		if (le64_get(c->off) > blobs[blob].size ||
		    stored > blobs[blob].size - le64_get(c->off))
			return shale_err_say(err, EINVAL,
					     "a chunk lies outside its blob");
		if (o->blobs[blob] != SHALE_NO_BLOB)
			continue;
		uint32_t same = 0; /* the new blob may be one that was there */
		while (same < o->n_blobs &&
		       !shale_digest_equal(&blobs[o->blob_order[same]].digest,
					   &blobs[blob].digest))
			same++;
		if (same == o->n_blobs)
			o->blob_order[o->n_blobs++] = blob;
		o->blobs[blob] = same;
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
		d.blob = le32_make(o->blobs[le32_get(d.blob)]);
		r = shale_table_writer_add(o->table, &d, 1, err);
	}
	return r;
}

static int write_blobs(struct out *o, struct shale_err *err)
{
	int r = 0;

	for (uint32_t i = 0; i < o->n_blobs && r == 0; i++) {
		const struct shale_build_blob *blob = &RECORD(
			o->b->blobs, struct shale_build_blob, o->blob_order[i]);
		struct shale_disk_blob d = {.size = le64_make(blob->size)};
		memcpy(d.digest, blob->digest.b, sizeof(d.digest));
		r = shale_table_writer_add(o->table, &d, 1, err);
	}
	return r;
}

static int hash_order(const void *a, const void *b, void *build)
{
	const struct shale_disk_chunk *all =
		RECORDS(((struct shale_tree_build *)build)->chunks,
			struct shale_disk_chunk);
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	int order = memcmp(all[x].hash, all[y].hash, sizeof(all[x].hash));

	return order ? order : compare(x, y);
}

static int write_chunksort(struct out *o, struct shale_err *err)
{
	cleanup_free uint32_t *order = NULL;
	uint64_t n = N_RECORDS(o->b->chunks, struct shale_disk_chunk);
	int r = sort(o->b, n, hash_order, &order, err);

	for (uint64_t i = 0; i < n && r == 0; i++) {
		struct le32 number = le32_make(nth(order, i));
		r = shale_table_writer_add(o->table, &number, 1, err);
	}
	return r;
}

/* Have packed records name extents by their place in EXTENTS. */
static int renumber_packed(struct out *o, struct shale_err *err)
{
	struct shale_tree_build *b = o->b;
	uint64_t n = N_RECORDS(b->extents, struct shale_disk_extent);
	uint64_t n_packed = N_RECORDS(b->packed, struct shale_disk_packed);

	if (!o->extents)
		return 0;
	cleanup_free uint32_t *place = malloc(n * sizeof(*place));
	if (!place)
		return no_memory(err);
	for (uint64_t i = 0; i < n; i++)
		place[o->extents[i]] = (uint32_t)i;
	for (uint64_t i = 0; i < n_packed; i++) {
		struct le32 *extent =
			&RECORD(b->packed, struct shale_disk_packed, i).extent;
		*extent = le32_make(place[le32_get(*extent)]);
	}
	return 0;
}

static int packed_order(const void *a, const void *b)
{
	const struct shale_disk_packed *x = a, *y = b;
	int order = memcmp(x->hash, y->hash, sizeof(x->hash));

	return order ? order
		     : compare(le32_get(x->extent), le32_get(y->extent));
}

static int write_packed(struct out *o, struct shale_err *err)
{
	struct shale_buf *packed = &o->b->packed;
	uint64_t n = N_RECORDS(*packed, struct shale_disk_packed);
	int r = renumber_packed(o, err);

	if (r < 0 || n == 0)
		return r;
	qsort(packed->data, n, sizeof(struct shale_disk_packed), packed_order);
	return shale_table_writer_add(o->table, packed->data, n, err);
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
				nth(o->dirents, i));
		r = shale_table_writer_add(o->table,
					   b->text.data + le64_get(d->name_off),
					   le16_get(d->name_len), err);
	}
	for (uint64_t i = 0; i < n_inodes && r == 0; i++) {
		const struct shale_disk_inode *d = &RECORD(
			b->inodes, struct shale_disk_inode, nth(o->inodes, i));
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
		const struct shale_disk_inode *d = &RECORD(
			b->inodes, struct shale_disk_inode, nth(o->inodes, i));
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
	int r = sort(b, N_RECORDS(b->inodes, struct shale_disk_inode),
		     inode_order, &o->inodes, err);
	if (r == 0)
		r = sort(b, n_dirents, dirent_order, &o->dirents, err);
	if (r == 0)
		r = sort(b, N_RECORDS(b->extents, struct shale_disk_extent),
			 extent_order, &o->extents, err);
	if (r == 0)
		r = number_blobs(o, err);
	for (uint64_t i = 0; i < n_dirents; i++)
		o->names +=
			le16_get(RECORD(b->dirents, struct shale_disk_dirent, i)
					 .name_len);
	for (uint64_t i = 0; i < N_RECORDS(b->lists, struct shale_build_list);
	     i++)
		RECORD(b->lists, struct shale_build_list, i).written = false;
	return r;
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
	free(o.inodes);
	free(o.dirents);
	free(o.extents);
	free(o.blobs);
	free(o.blob_order);
	return r;
}
