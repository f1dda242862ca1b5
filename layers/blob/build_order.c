/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/base/cleanup.h"
#include "layers/blob/build_impl.h"
#include "layers/blob/tree_impl.h"

#include <string.h>

static int no_memory(struct shale_err *err)
{
	return shale_err_set(err, ENOMEM, "sort a tree blob");
}

/* ----------------------------------------------------------- comparing */

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

int shale_build_dirent_order(const void *a, const void *b, void *build)
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

static int hash_order(const void *a, const void *b, void *build)
{
	const struct shale_disk_chunk *all =
		RECORDS(((struct shale_tree_build *)build)->chunks,
			struct shale_disk_chunk);
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	int order = memcmp(all[x].hash, all[y].hash, sizeof(all[x].hash));

	return order ? order : compare(x, y);
}

static int packed_order(const void *a, const void *b)
{
	const struct shale_disk_packed *x = a, *y = b;
	int order = memcmp(x->hash, y->hash, sizeof(x->hash));

	return order ? order
		     : compare(le32_get(x->extent), le32_get(y->extent));
}

/* `*out` stays NULL if the records are in order. */
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

/* ---------------------------------------------------- packed, forgotten */

/* Give packed records the new places of their extents (UINT32_MAX: gone). */
static void move_packed(struct shale_tree_build *b, const uint32_t *place)
{
	uint64_t n = N_RECORDS(b->packed, struct shale_disk_packed), kept = 0;
	struct shale_disk_packed *all =
		RECORDS(b->packed, struct shale_disk_packed);

	for (uint64_t i = 0; i < n; i++) {
		uint32_t to = place[le32_get(all[i].extent)];
		if (to == UINT32_MAX)
			continue;
		all[kept] = all[i];
		all[kept++].extent = le32_make(to);
	}
	b->packed.len = kept * sizeof(*all);
}

static int number_order(const void *a, const void *b)
{
	return compare(*(const uint64_t *)a, *(const uint64_t *)b);
}

/* Drop the extents of inodes whose content was given up. */
static int drop_forgotten(struct shale_tree_build *b, struct shale_err *err)
{
	struct shale_disk_extent *all =
		RECORDS(b->extents, struct shale_disk_extent);
	uint64_t n = N_RECORDS(b->extents, struct shale_disk_extent), kept = 0;
	uint64_t n_inos = N_RECORDS(b->forgotten, uint64_t);

	if (!n_inos || !n)
		return 0;
	cleanup_free uint32_t *place = malloc(n * sizeof(*place));
	if (!place)
		return no_memory(err);
	qsort(b->forgotten.data, n_inos, sizeof(uint64_t), number_order);
	for (uint64_t i = 0; i < n; i++) {
		uint64_t ino = le64_get(all[i].ino);
		if (bsearch(&ino, b->forgotten.data, n_inos, sizeof(ino),
			    number_order)) {
			place[i] = UINT32_MAX;
			continue;
		}
		place[i] = (uint32_t)kept;
		all[kept++] = all[i];
	}
	b->extents.len = kept * sizeof(*all);
	move_packed(b, place);
	return 0;
}

static int order_packed(struct shale_tree_build *b,
			const struct shale_build_order *o,
			struct shale_err *err)
{
	uint64_t n = N_RECORDS(b->extents, struct shale_disk_extent);

	if (!b->packed.len)
		return 0;
	if (o->extents) {
		cleanup_free uint32_t *place = malloc(n * sizeof(*place));
		if (!place)
			return no_memory(err);
		for (uint64_t i = 0; i < n; i++)
			place[o->extents[i]] = (uint32_t)i;
		move_packed(b, place);
	}
	qsort(b->packed.data, N_RECORDS(b->packed, struct shale_disk_packed),
	      sizeof(struct shale_disk_packed), packed_order);
	return 0;
}

/* ---------------------------------------------------------------- blobs */

/* Number the blobs that chunks name in the order in which they do. */
static int number_blobs(struct shale_tree_build *b, struct shale_build_order *o,
			struct shale_err *err)
{
	const struct shale_build_blob *blobs =
		RECORDS(b->blobs, struct shale_build_blob);
	uint64_t n_chunks = N_RECORDS(b->chunks, struct shale_disk_chunk);
	uint64_t n = N_RECORDS(b->blobs, struct shale_build_blob);

	o->blob_place = malloc((n + 1) * sizeof(*o->blob_place));
	o->blobs = malloc((n + 1) * sizeof(*o->blobs));
	if (!o->blob_place || !o->blobs)
		return no_memory(err);
	for (uint64_t i = 0; i < n; i++)
		o->blob_place[i] = SHALE_NO_BLOB;

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
		if (o->blob_place[blob] != SHALE_NO_BLOB)
			continue;
		uint32_t same = 0; /* the new blob may be one that was there */
		while (same < o->n_blobs &&
		       !shale_digest_equal(&blobs[o->blobs[same]].digest,
					   &blobs[blob].digest))
			same++;
		if (same == o->n_blobs)
			o->blobs[o->n_blobs++] = blob;
		o->blob_place[blob] = same;
	}
	return 0;
}

/* ------------------------------------------------------------------ all */

int shale_build_order_make(struct shale_tree_build *b,
			   struct shale_build_order *out, struct shale_err *err)
{
	int r = drop_forgotten(b, err);
	if (r == 0)
		r = sort(b, N_RECORDS(b->inodes, struct shale_disk_inode),
			 inode_order, &out->inodes, err);
	if (r == 0)
		r = sort(b, N_RECORDS(b->dirents, struct shale_disk_dirent),
			 shale_build_dirent_order, &out->dirents, err);
	if (r == 0)
		r = sort(b, N_RECORDS(b->extents, struct shale_disk_extent),
			 extent_order, &out->extents, err);
	if (r == 0)
		r = sort(b, N_RECORDS(b->chunks, struct shale_disk_chunk),
			 hash_order, &out->chunks, err);
	if (r == 0)
		r = order_packed(b, out, err);
	if (r == 0)
		r = number_blobs(b, out, err);
	return r;
}

void shale_build_order_release(struct shale_build_order *order)
{
	free(order->inodes);
	free(order->dirents);
	free(order->extents);
	free(order->chunks);
	free(order->blobs);
	free(order->blob_place);
	*order = (struct shale_build_order){0};
}
