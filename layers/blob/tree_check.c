/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/blob/tree_check.h"

#include "layers/base/cleanup.h"
#include "layers/blob/tree_impl.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

/*
 * Decoding a record checks its fields; what is left is how records stand to
 * each other.
 */

/* --------------------------------------------------------------- inodes */

static int check_xattrs(const struct shale_tree *tree, uint64_t i,
			const struct shale_inode *in, struct shale_err *err)
{
	struct shale_xattr x, last = {0};
	uint32_t at = 0;
	int r;

	while ((r = shale_xattr_next(in->xattrs, in->xattr_len, &at, &x, err)) >
	       0) {
		if (last.name && shale_name_order(last.name, last.name_len,
						  x.name, x.name_len) >= 0)
			return shale_tree_bad(tree, SHALE_TREE_INODES, i,
					      "xattrs unsorted or double", err);
		last = x;
	}
	return r < 0 ? shale_tree_bad(tree, SHALE_TREE_INODES, i,
				      "malformed xattrs", err)
		     : 0;
}

static int check_inodes(const struct shale_tree *tree, struct shale_err *err)
{
	uint64_t n = tree->count[SHALE_TREE_INODES], last = 0;
	struct shale_inode in;

	for (uint64_t i = 0; i < n; i++) {
		int r = shale_tree_inode(tree, i, &in, err);
		if (r < 0)
			return r;
		if (in.attr.ino <= last)
			return shale_tree_bad(tree, SHALE_TREE_INODES, i,
					      "unsorted or double", err);
		last = in.attr.ino;
		r = check_xattrs(tree, i, &in, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* -------------------------------------------------------------- dirents */

/*
 * What inode records of this tree say of a name's two ends: that they are
 * there, the directory is one and the other is what the name says.  *fault
 * stays NULL if nothing contradicts.
 */
static int check_ends(const struct shale_tree *tree,
		      const struct shale_dirent *d, const char **fault,
		      struct shale_err *err)
{
	struct shale_inode in;
	uint64_t at;

	if (d->ino == 0)
		return 0; /* a name may go with its directory */
	int r = shale_tree_find_inode(tree, d->dir, &at, err);
	if (r == 0) {
		r = shale_tree_inode(tree, at, &in, err);
		if (r == 0 && !S_ISDIR(in.attr.mode))
			*fault = "a name in what is no directory";
	}
	if (r < 0 && r != -ENOENT)
		return r;

	r = shale_tree_find_inode(tree, d->ino, &at, err);
	if (r == 0) {
		r = shale_tree_inode(tree, at, &in, err);
		if (r == 0 && (in.attr.mode & S_IFMT) >> 12 != d->type)
			*fault = "a name of another type than its inode";
	}
	return r == -ENOENT ? 0 : r;
}

static int check_dirents(const struct shale_tree *tree, struct shale_err *err)
{
	uint64_t n = tree->count[SHALE_TREE_DIRENTS];
	struct shale_dirent d, last = {0};

	for (uint64_t i = 0; i < n; i++) {
		const char *fault = NULL;
		int r = shale_tree_dirent(tree, i, &d, err);
		if (r < 0)
			return r;
		if (i && (d.dir < last.dir ||
			  (d.dir == last.dir &&
			   shale_name_order(last.name, last.name_len, d.name,
					    d.name_len) >= 0)))
			fault = "unsorted or double";
		else
			r = check_ends(tree, &d, &fault, err);
		if (r < 0)
			return r;
		if (fault)
			return shale_tree_bad(tree, SHALE_TREE_DIRENTS, i,
					      fault, err);
		last = d;
	}
	return 0;
}

/* -------------------------------------------------------------- extents */

/* The record of inode `ino`, from `*at` on; mode 0 if there is none. */
static int next_owner(const struct shale_tree *tree, uint64_t ino, uint64_t *at,
		      struct shale_inode *owner, struct shale_err *err)
{
	for (; *at < tree->count[SHALE_TREE_INODES]; ++*at) {
		int r = shale_tree_inode(tree, *at, owner, err);
		if (r < 0)
			return r;
		if (owner->attr.ino == ino)
			return 0;
		if (owner->attr.ino > ino)
			break;
	}
	*owner = (struct shale_inode){0};
	return 0;
}

/* Clones stand in CLONES as their extents do in EXTENTS, one each. */
static int check_clone(const struct shale_tree *tree, uint64_t i,
		       uint64_t *clones, struct shale_err *err)
{
	const void *raw;
	int r = shale_tree_raw(tree, SHALE_TREE_EXTENTS, i, &raw, err);
	if (r < 0)
		return r;

	const struct shale_disk_extent *disk = raw;
	if (le32_get(disk->chunk) != SHALE_CLONE)
		return 0;
	if (le32_get(disk->chunk_off) != (*clones)++)
		return shale_tree_bad(tree, SHALE_TREE_EXTENTS, i,
				      "clones are not in order", err);
	return 0;
}

static int check_extents(const struct shale_tree *tree, struct shale_err *err)
{
	uint64_t n = tree->count[SHALE_TREE_EXTENTS], at = 0, clones = 0;
	struct shale_extent e, last = {0};
	struct shale_inode owner = {0};

	for (uint64_t i = 0; i < n; i++) {
		const char *fault = NULL;
		int r = shale_tree_extent(tree, i, &e, err);
		if (r == 0)
			r = check_clone(tree, i, &clones, err);
		if (r == 0 && e.ino != last.ino)
			r = next_owner(tree, e.ino, &at, &owner, err);
		if (r < 0)
			return r;
		if (e.ino < last.ino ||
		    (e.ino == last.ino && e.off < last.off + last.len))
			fault = "unsorted, or overlaps the one before";
		else if (owner.attr.mode == 0)
			fault = "its inode has no record";
		else if (owner.content == SHALE_CONTENT_SAME)
			fault = "its inode's content is the same";
		else if (e.off + e.len > owner.attr.size)
			fault = "beyond the size of its inode";
		if (fault)
			return shale_tree_bad(tree, SHALE_TREE_EXTENTS, i,
					      fault, err);
		last = e;
	}
	if (clones != tree->count[SHALE_TREE_CLONES])
		return shale_tree_bad(tree, SHALE_TREE_CLONES, clones,
				      "no extent names it", err);
	return 0;
}

/* ------------------------------------------- blobs, chunks, hash tables */

static int check_blobs(const struct shale_tree *tree, struct shale_err *err)
{
	struct shale_digest digest;
	uint64_t size;
	int r = 0;

	for (uint64_t i = 0; i < tree->count[SHALE_TREE_BLOBS] && r == 0; i++)
		r = shale_tree_blob(tree, i, &digest, &size, err);
	return r;
}

static int check_chunks(const struct shale_tree *tree, struct shale_err *err)
{
	struct shale_chunk c;
	int r = 0;

	for (uint64_t i = 0; i < tree->count[SHALE_TREE_CHUNKS] && r == 0; i++)
		r = shale_tree_chunk(tree, i, &c, err);
	return r;
}

/*
 * As many numbers as chunks, each below that, in strict order of (hash,
 * number): a permutation.
 */
static int check_chunksort(const struct shale_tree *tree, struct shale_err *err)
{
	const uint8_t *hash, *last_hash = NULL;
	uint32_t chunk, last = 0;

	for (uint64_t i = 0; i < tree->count[SHALE_TREE_CHUNKSORT]; i++) {
		int r = shale_tree_chunksort(tree, i, &chunk, &hash, err);
		if (r < 0)
			return r;
		int order = last_hash ? memcmp(last_hash, hash, 16) : -1;
		if (order > 0 || (order == 0 && last >= chunk))
			return shale_tree_bad(tree, SHALE_TREE_CHUNKSORT, i,
					      "unsorted or double", err);
		last_hash = hash;
		last = chunk;
	}
	return 0;
}

static int check_packed(const struct shale_tree *tree, struct shale_err *err)
{
	struct shale_hash128 hash, last_hash = {{0}};
	uint64_t extent, last = 0;
	struct shale_extent e;
	cleanup_free uint8_t *seen =
		calloc(tree->count[SHALE_TREE_EXTENTS] / 8 + 1, 1);
	if (!seen)
		return shale_err_set(err, ENOMEM, "check a tree blob");

	for (uint64_t i = 0; i < tree->count[SHALE_TREE_PACKED]; i++) {
		const char *fault = NULL;
		int r = shale_tree_packed(tree, i, &extent, &hash, err);
		if (r == 0)
			r = shale_tree_extent(tree, extent, &e, err);
		if (r < 0)
			return r;
		int order =
			i ? memcmp(last_hash.b, hash.b, sizeof(hash.b)) : -1;
		if (order > 0 || (order == 0 && last >= extent))
			fault = "unsorted";
		else if (seen[extent / 8] >> extent % 8 & 1)
			fault = "an extent with two hashes";
		else if (e.chunk == SHALE_HOLE || e.chunk == SHALE_CLONE)
			fault = "a hole or a clone";
		if (fault)
			return shale_tree_bad(tree, SHALE_TREE_PACKED, i, fault,
					      err);
		seen[extent / 8] |= (uint8_t)(1u << extent % 8);
		last_hash = hash;
		last = extent;
	}
	return 0;
}

int shale_tree_check(const struct shale_tree *tree, struct shale_err *err)
{
	static int (*const check[])(const struct shale_tree *,
				    struct shale_err *) = {
		check_inodes,  check_dirents,   check_blobs,  check_chunks,
		check_extents, check_chunksort, check_packed,
	};
	int r = shale_table_verify(tree->table, err);

	for (size_t i = 0; i < sizeof(check) / sizeof(check[0]) && r == 0; i++)
		r = check[i](tree, err);
	return r < 0 ? r : shale_table_intact(tree->table, err);
}
