/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/blob/tree.h"

#include "layers/blob/tree_impl.h"

#include <errno.h>
#include <string.h>

enum { CLOSE = 16 }; /* records around a guess */

/*
 * All searches here are one: the first record in [lo, hi) that does not lie
 * before a key.  Records that a hostile blob does not keep sorted make it end
 * somewhere else, never later.
 */
typedef int before_fn(const struct shale_tree *tree, uint64_t i,
		      const void *key, struct shale_err *err); /* 1, 0, error */

static int lower_bound(const struct shale_tree *tree, uint64_t lo, uint64_t hi,
		       before_fn *fn, const void *key, uint64_t *out,
		       struct shale_err *err)
{
	while (lo < hi) {
		uint64_t mid = lo + (hi - lo) / 2;
		int before = fn(tree, mid, key, err);
		if (before < 0)
			return before;
		if (before)
			lo = mid + 1;
		else
			hi = mid;
	}
	*out = lo;
	return 0;
}

/* Not found, unless that was only because pages could not be read. */
static int not_found(const struct shale_tree *tree, struct shale_err *err)
{
	int r = shale_table_intact(tree->table, err);
	return r < 0 ? r : -ENOENT;
}

/* --------------------------------------------------------------- inodes */

static int inode_before(const struct shale_tree *tree, uint64_t i,
			const void *key, struct shale_err *err)
{
	const void *raw;
	int r = shale_tree_raw(tree, SHALE_TREE_INODES, i, &raw, err);
	if (r < 0)
		return r;

	const struct shale_disk_inode *disk = raw;
	return le64_get(disk->ino) < *(const uint64_t *)key;
}

int shale_tree_find_inode(const struct shale_tree *tree, uint64_t ino,
			  uint64_t *i, struct shale_err *err)
{
	uint64_t n = tree->count[SHALE_TREE_INODES], at;
	int r = lower_bound(tree, 0, n, inode_before, &ino, &at, err);
	if (r < 0)
		return r;
	if (at == n)
		return not_found(tree, err);

	const void *raw;
	r = shale_tree_raw(tree, SHALE_TREE_INODES, at, &raw, err);
	if (r < 0)
		return r;
	if (le64_get(((const struct shale_disk_inode *)raw)->ino) != ino)
		return not_found(tree, err);
	*i = at;
	return 0;
}

/* -------------------------------------------------------------- dirents */

int shale_name_order(const char *a, size_t a_len, const char *b, size_t b_len)
{
	int order = memcmp(a, b, a_len < b_len ? a_len : b_len);
	if (order == 0)
		order = (a_len > b_len) - (a_len < b_len);
	return order;
}

int shale_tree_dirent_order(const struct shale_tree *tree, uint64_t i,
			    uint64_t dir, const char *name, size_t name_len,
			    int *order, struct shale_err *err)
{
	const void *raw, *text;
	int r = shale_tree_raw(tree, SHALE_TREE_DIRENTS, i, &raw, err);
	if (r < 0)
		return r;

	const struct shale_disk_dirent *disk = raw;
	uint64_t other = le64_get(disk->dir);
	if (other != dir) {
		*order = other < dir ? -1 : 1;
		return 0;
	}
	uint16_t len = le16_get(disk->name_len);
	r = shale_table_get(tree->table, SHALE_TREE_STRINGS,
			    le64_get(disk->name_off), len, &text, err);
	if (r == 0)
		*order = shale_name_order(text, len, name, name_len);
	return r;
}

struct dirent_key {
	uint64_t dir;
	const char *name;
	size_t len;
};

static int dirent_before(const struct shale_tree *tree, uint64_t i,
			 const void *key, struct shale_err *err)
{
	const struct dirent_key *k = key;
	int order = 0;
	int r = shale_tree_dirent_order(tree, i, k->dir, k->name, k->len,
					&order, err);
	return r < 0 ? r : order < 0;
}

int shale_tree_find_dirent(const struct shale_tree *tree, uint64_t dir,
			   const char *name, size_t name_len, uint64_t *i,
			   struct shale_err *err)
{
	uint64_t n = tree->count[SHALE_TREE_DIRENTS], at;
	struct dirent_key key = {dir, name, name_len};
	int order = 0;
	int r = lower_bound(tree, 0, n, dirent_before, &key, &at, err);
	if (r < 0)
		return r;
	if (at == n)
		return not_found(tree, err);
	r = shale_tree_dirent_order(tree, at, dir, name, name_len, &order, err);
	if (r < 0)
		return r;
	if (order != 0)
		return not_found(tree, err);
	*i = at;
	return 0;
}

/* -------------------------------------------------------------- extents */

static int extent_before(const struct shale_tree *tree, uint64_t i,
			 const void *key, struct shale_err *err)
{
	const void *raw;
	int r = shale_tree_raw(tree, SHALE_TREE_EXTENTS, i, &raw, err);
	if (r < 0)
		return r;

	const struct shale_disk_extent *disk = raw;
	return le64_get(disk->ino) < *(const uint64_t *)key;
}

int shale_tree_extents_of(const struct shale_tree *tree, uint64_t ino,
			  uint64_t *first, uint64_t *n, struct shale_err *err)
{
	uint64_t all = tree->count[SHALE_TREE_EXTENTS], start, end;
	int r = lower_bound(tree, 0, all, extent_before, &ino, &start, err);
	if (r < 0)
		return r;

	/* Most files have one extent: look close by before looking far. */
	uint64_t next = ino + 1, step = 1, lo = start;
	while (step < all - lo) {
		int before = extent_before(tree, lo + step, &next, err);
		if (before < 0)
			return before;
		if (!before)
			break;
		lo += step;
		step *= 2;
	}
	uint64_t hi = step < all - lo ? lo + step : all;
	r = lower_bound(tree, lo, hi, extent_before, &next, &end, err);
	if (r == 0)
		r = shale_table_intact(tree->table, err);
	if (r < 0)
		return r;
	*first = start;
	*n = end - start;
	return 0;
}

static int extent_at_or_below(const struct shale_tree *tree, uint64_t i,
			      const void *key, struct shale_err *err)
{
	const void *raw;
	int r = shale_tree_raw(tree, SHALE_TREE_EXTENTS, i, &raw, err);
	if (r < 0)
		return r;

	const struct shale_disk_extent *disk = raw;
	return le64_get(disk->off) <= *(const uint64_t *)key;
}

int shale_tree_extent_at(const struct shale_tree *tree, uint64_t first,
			 uint64_t n, uint64_t off, uint64_t *i,
			 struct shale_err *err)
{
	uint64_t at;
	int r = lower_bound(tree, first, first + n, extent_at_or_below, &off,
			    &at, err);
	if (r == 0)
		r = shale_table_intact(tree->table, err);
	if (r == 0)
		*i = at > first ? at - 1 : first;
	return r;
}

/* --------------------------------------------------------------- chunks */

static int chunk_ends_by(const struct shale_tree *tree, uint64_t i,
			 const void *key, struct shale_err *err)
{
	const void *raw;
	int r = shale_tree_raw(tree, SHALE_TREE_CHUNKS, i, &raw, err);
	if (r < 0)
		return r;

	const struct shale_disk_chunk *disk = raw;
	return le64_get(disk->end) <= *(const uint64_t *)key;
}

/* Where `target` would stand in [lo, hi) if chunks were all of one length. */
static uint64_t chunk_guess(const struct shale_tree *tree, uint64_t lo,
			    uint64_t hi, uint64_t from, uint64_t target)
{
	const void *raw;
	if (shale_tree_raw(tree, SHALE_TREE_CHUNKS, hi - 1, &raw, NULL) < 0)
		return lo;
	uint64_t to = le64_get(((const struct shale_disk_chunk *)raw)->end);

	if (target <= from || target >= to)
		return target <= from ? lo : hi - 1;
	return lo + (uint64_t)((double)(target - from) / (double)(to - from) *
			       (double)(hi - 1 - lo));
}

/*
 * Narrow [*lo, *hi) down around a guess.  Chunks are of much the same length,
 * so what is sought is close by: in the same block of the file, as a rule,
 * where halving all of a large table reads, and checks, a block each time.
 */
static int chunk_close_in(const struct shale_tree *tree, uint64_t guess,
			  const uint64_t *target, uint64_t *lo, uint64_t *hi,
			  struct shale_err *err)
{
	int before = 0;

	for (uint64_t step = CLOSE; guess - *lo > step && !before; step *= 4) {
		uint64_t at = guess - step;
		before = chunk_ends_by(tree, at, target, err);
		if (before < 0)
			return before;
		*(before ? lo : hi) = before ? at + 1 : at;
	}
	before = 1;
	for (uint64_t step = CLOSE; guess + step < *hi && before; step *= 4) {
		uint64_t at = guess + step;
		before = chunk_ends_by(tree, at, target, err);
		if (before < 0)
			return before;
		*(before ? lo : hi) = before ? at + 1 : at;
	}
	return 0;
}

int shale_tree_chunk_seek(const struct shale_tree *tree, uint32_t chunk,
			  uint64_t skip, uint32_t *at, uint32_t *at_off,
			  struct shale_err *err)
{
	uint64_t n = tree->count[SHALE_TREE_CHUNKS], found = chunk;
	struct shale_chunk c;
	int r = shale_tree_chunk(tree, chunk, &c, err);
	if (r < 0)
		return r;
	if (skip < c.len) { /* most do not leave their chunk */
		*at = chunk;
		*at_off = (uint32_t)skip;
		return 0;
	}

	uint64_t target;
	if (__builtin_add_overflow(c.start, skip, &target))
		target = UINT64_MAX;
	uint64_t lo = chunk, hi = n;
	uint64_t guess = chunk_guess(tree, lo, hi, c.start, target);
	r = chunk_close_in(tree, guess, &target, &lo, &hi, err);
	if (r == 0)
		r = lower_bound(tree, lo, hi, chunk_ends_by, &target, &found,
				err);
	if (r < 0)
		return r;
	if (found == n)
		return shale_tree_bad(tree, SHALE_TREE_CHUNKS, chunk,
				      "its followers end too early", err);
	r = shale_tree_chunk(tree, found, &c, err);
	if (r < 0)
		return r;
	if (target < c.start || target - c.start >= c.len)
		return shale_tree_bad(tree, SHALE_TREE_CHUNKS, found,
				      "chunks are not in order", err);
	*at = (uint32_t)found;
	*at_off = (uint32_t)(target - c.start);
	return 0;
}

/* ------------------------------------------------------ sorted by hash */

int shale_tree_chunk_hash(const struct shale_tree *tree, uint64_t i,
			  const uint8_t **hash, struct shale_err *err)
{
	const void *raw;
	int r = shale_tree_raw(tree, SHALE_TREE_CHUNKS, i, &raw, err);
	if (r == 0)
		*hash = ((const struct shale_disk_chunk *)raw)->hash;
	return r;
}

int shale_tree_chunksort(const struct shale_tree *tree, uint64_t i,
			 uint32_t *chunk, const uint8_t **hash,
			 struct shale_err *err)
{
	const void *raw;
	int r = shale_tree_raw(tree, SHALE_TREE_CHUNKSORT, i, &raw, err);
	if (r < 0)
		return r;
	*chunk = le32_get(*(const struct le32 *)raw);
	return shale_tree_chunk_hash(tree, *chunk, hash, err);
}

static int chunksort_before(const struct shale_tree *tree, uint64_t i,
			    const void *key, struct shale_err *err)
{
	const uint8_t *hash = NULL;
	uint32_t chunk;
	int r = shale_tree_chunksort(tree, i, &chunk, &hash, err);
	return r < 0 ? r : memcmp(hash, key, 16) < 0;
}

int shale_tree_find_chunk(const struct shale_tree *tree,
			  const struct shale_hash128 *hash, uint64_t *cursor,
			  uint32_t *chunk, struct shale_err *err)
{
	uint64_t n = tree->count[SHALE_TREE_CHUNKSORT], at = *cursor;
	const uint8_t *other = NULL;
	uint32_t number = 0;
	int r = 0;

	if (at == 0)
		r = lower_bound(tree, 0, n, chunksort_before, hash->b, &at,
				err);
	if (r == 0 && at >= n)
		return not_found(tree, err);
	if (r == 0)
		r = shale_tree_chunksort(tree, at, &number, &other, err);
	if (r < 0)
		return r;
	if (memcmp(other, hash->b, sizeof(hash->b)) != 0)
		return not_found(tree, err);
	*cursor = at + 1;
	*chunk = number;
	return shale_table_intact(tree->table, err);
}

static int packed_before(const struct shale_tree *tree, uint64_t i,
			 const void *key, struct shale_err *err)
{
	const void *raw;
	int r = shale_tree_raw(tree, SHALE_TREE_PACKED, i, &raw, err);
	return r < 0 ? r
		     : memcmp(((const struct shale_disk_packed *)raw)->hash,
			      key, 16) < 0;
}

int shale_tree_find_packed(const struct shale_tree *tree,
			   const struct shale_hash128 *hash, uint64_t *cursor,
			   uint64_t *extent, struct shale_err *err)
{
	uint64_t n = tree->count[SHALE_TREE_PACKED], at = *cursor, number;
	struct shale_hash128 other;
	int r = 0;

	if (at == 0)
		r = lower_bound(tree, 0, n, packed_before, hash->b, &at, err);
	if (r == 0 && at >= n)
		return not_found(tree, err);
	if (r == 0)
		r = shale_tree_packed(tree, at, &number, &other, err);
	if (r < 0)
		return r;
	if (memcmp(other.b, hash->b, sizeof(hash->b)) != 0)
		return not_found(tree, err);
	*cursor = at + 1;
	*extent = number;
	return 0;
}
