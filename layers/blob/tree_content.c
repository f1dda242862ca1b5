/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/blob/tree.h"

#include "layers/blob/record.h"
#include "layers/blob/tree_impl.h"

#include <string.h>

/* What a tree blob says of contents: data blobs, chunks, extents. */

int shale_tree_blob(const struct shale_tree *tree, uint64_t i,
		    struct shale_digest *digest, uint64_t *size,
		    struct shale_err *err)
{
	const void *raw;
	int r = shale_tree_raw(tree, SHALE_TREE_BLOBS, i, &raw, err);
	if (r < 0)
		return r;

	const struct shale_disk_blob *disk = raw;
	uint64_t n = le64_get(disk->size);
	if (n > INT64_MAX)
		return shale_tree_bad(tree, SHALE_TREE_BLOBS, i,
				      "size over 2^63 - 1", err);
	memcpy(digest->b, disk->digest, sizeof(digest->b));
	*size = n;
	return shale_table_intact(tree->table, err);
}

static const char *chunk_fault(const struct shale_chunk *c, uint64_t end)
{
	if (end <= c->start || end - c->start >= SHALE_CHUNK_LIMIT)
		return "content length out of range";
	if (end > INT64_MAX)
		return "content beyond 2^63 - 1";
	if (c->stored == 0)
		return "nothing stored";
	if (c->off > c->blob_size || c->stored > c->blob_size - c->off)
		return "outside its data blob";
	if (c->codec == SHALE_CODEC_NONE && c->stored != end - c->start)
		return "stored raw with another length";
	return NULL;
}

int shale_tree_chunk(const struct shale_tree *tree, uint64_t i,
		     struct shale_chunk *out, struct shale_err *err)
{
	const void *raw, *before;
	struct shale_chunk c = {0};
	int r = shale_tree_raw(tree, SHALE_TREE_CHUNKS, i, &raw, err);
	if (r == 0 && i > 0) {
		r = shale_tree_raw(tree, SHALE_TREE_CHUNKS, i - 1, &before,
				   err);
		if (r == 0)
			c.start = le64_get(
				((const struct shale_disk_chunk *)before)->end);
	}
	if (r < 0)
		return r;

	const struct shale_disk_chunk *disk = raw;
	uint32_t stored_codec = le32_get(disk->stored_codec);
	uint64_t end = le64_get(disk->end);
	c.len = (uint32_t)(end - c.start);
	c.stored = stored_codec & (SHALE_CHUNK_LIMIT - 1);
	c.codec = stored_codec >> 24;
	c.off = le64_get(disk->off);
	memcpy(c.hash.b, disk->hash, sizeof(c.hash.b));
	memcpy(c.sha256.b, disk->sha256, sizeof(c.sha256.b));
	r = shale_tree_blob(tree, le32_get(disk->blob), &c.blob, &c.blob_size,
			    err);
	if (r < 0)
		return shale_err_wrap(err, r, "chunk record %llu",
				      (unsigned long long)i);

	const char *fault = chunk_fault(&c, end);
	if (fault)
		return shale_tree_bad(tree, SHALE_TREE_CHUNKS, i, fault, err);
	*out = c;
	return shale_table_intact(tree->table, err);
}

/* Content bytes of chunks [0, n) of CHUNKS. */
static int chunks_end(const struct shale_tree *tree, uint64_t n, uint64_t *end,
		      struct shale_err *err)
{
	const void *raw;

	*end = 0;
	if (n == 0)
		return 0;
	int r = shale_tree_raw(tree, SHALE_TREE_CHUNKS, n - 1, &raw, err);
	if (r == 0)
		*end = le64_get(((const struct shale_disk_chunk *)raw)->end);
	return r;
}

/* Does the run of chunks that begins with the extent's hold all of it? */
static int check_run(const struct shale_tree *tree, uint64_t i,
		     const struct shale_extent *e, struct shale_err *err)
{
	uint64_t start, end = 0, all = 0;

	if (e->chunk >= tree->count[SHALE_TREE_CHUNKS])
		return shale_tree_bad(tree, SHALE_TREE_EXTENTS, i,
				      "no such chunk", err);
	int r = chunks_end(tree, e->chunk, &start, err);
	if (r == 0)
		r = chunks_end(tree, (uint64_t)e->chunk + 1, &end, err);
	if (r == 0)
		r = chunks_end(tree, tree->count[SHALE_TREE_CHUNKS], &all, err);
	if (r < 0)
		return r;
	if (end <= start || e->chunk_off >= end - start)
		return shale_tree_bad(tree, SHALE_TREE_EXTENTS, i,
				      "begins outside its chunk", err);
	if (all < end || e->len > all - start - e->chunk_off)
		return shale_tree_bad(tree, SHALE_TREE_EXTENTS, i,
				      "longer than its chunks", err);
	return 0;
}

/* The source of a clone, whose number stands in `chunk_off`. */
static int decode_clone(const struct shale_tree *tree, struct shale_extent *e,
			struct shale_err *err)
{
	const void *raw;
	int r = shale_tree_raw(tree, SHALE_TREE_CLONES, e->chunk_off, &raw,
			       err);
	if (r < 0)
		return r;

	const struct shale_disk_clone *disk = raw;
	e->clone_ino = le64_get(disk->ino);
	e->clone_off = le64_get(disk->off);
	e->chunk_off = 0;
	return 0;
}

int shale_tree_extent(const struct shale_tree *tree, uint64_t i,
		      struct shale_extent *out, struct shale_err *err)
{
	const void *raw;
	int r = shale_tree_raw(tree, SHALE_TREE_EXTENTS, i, &raw, err);
	if (r < 0)
		return r;

	const struct shale_disk_extent *disk = raw;
	struct shale_extent e = {
		.ino = le64_get(disk->ino),
		.off = le64_get(disk->off),
		.len = le64_get(disk->len),
		.chunk = le32_get(disk->chunk),
		.chunk_off = le32_get(disk->chunk_off),
	};
	if (e.chunk == SHALE_CLONE)
		r = decode_clone(tree, &e, err);
	if (r < 0)
		return shale_err_wrap(err, r, "extent record %llu",
				      (unsigned long long)i);
	const char *fault = shale_extent_fault(&e);
	if (!fault && e.clone_ino >= tree->next_ino)
		fault = "a clone of a number not below the next free one";
	if (fault)
		return shale_tree_bad(tree, SHALE_TREE_EXTENTS, i, fault, err);
	if (e.chunk != SHALE_HOLE && e.chunk != SHALE_CLONE)
		r = check_run(tree, i, &e, err);
	if (r < 0)
		return r;
	*out = e;
	return shale_table_intact(tree->table, err);
}

int shale_tree_packed(const struct shale_tree *tree, uint64_t i,
		      uint64_t *extent, struct shale_hash128 *hash,
		      struct shale_err *err)
{
	const void *raw;
	int r = shale_tree_raw(tree, SHALE_TREE_PACKED, i, &raw, err);
	if (r < 0)
		return r;

	const struct shale_disk_packed *disk = raw;
	uint32_t number = le32_get(disk->extent);
	if (number >= tree->count[SHALE_TREE_EXTENTS])
		return shale_tree_bad(tree, SHALE_TREE_PACKED, i,
				      "no such extent", err);
	if (le32_get(disk->reserved))
		return shale_tree_bad(tree, SHALE_TREE_PACKED, i,
				      "reserved bytes are not zero", err);
	*extent = number;
	memcpy(hash->b, disk->hash, sizeof(hash->b));
	return shale_table_intact(tree->table, err);
}
