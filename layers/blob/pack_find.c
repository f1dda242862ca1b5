/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/blob/pack_impl.h"

#include "layers/base/cleanup.h"
#include "layers/base/io.h"

#include <string.h>

enum {
	TRIES = 4
}; /* candidates of one hash in one tree; equal ones are rare,
    * many a sign of a hostile tree */

static int recall_own(struct shale_pack *pack,
		      const struct shale_pack_unit *unit, uint8_t *out,
		      struct shale_err *err)
{
	cleanup_free uint8_t *stored = malloc(unit->stored);
	if (!stored)
		return shale_err_set(err, ENOMEM, "read back a chunk");
	int r = shale_pread_full(pack->data.tmp.fd, stored, unit->stored,
				 unit->off, "the new data blob", err);
	if (r == 0)
		r = shale_decompress(unit->codec, stored, unit->stored, out,
				     unit->len, err);
	return r;
}

int shale_pack_recall(struct shale_pack *pack,
		      const struct shale_pack_unit *unit, uint32_t off,
		      uint32_t len, uint8_t *out, struct shale_err *err)
{
	if (unit->state == SHALE_UNIT_PENDING)
		return shale_err_set(err, ECANCELED, "read back a chunk");
	if (unit->state == SHALE_UNIT_LOWER) {
		struct shale_chunk chunk;
		int r = shale_tree_chunk(pack->lower[unit->lower],
					 unit->lower_chunk, &chunk, err);
		return r < 0 ? r
			     : shale_chunks_read(pack->chunks, &chunk,
						 unit->base + off, len, out,
						 err);
	}
	if (len == unit->len)
		return recall_own(pack, unit, out, err);

	cleanup_free uint8_t *whole = malloc(unit->len);
	if (!whole)
		return shale_err_set(err, ENOMEM, "read back a chunk");
	int r = recall_own(pack, unit, whole, err);
	if (r == 0)
		memcpy(out, whole + unit->base + off, len);
	return r;
}

/* Does the tree have this very chunk, stored byte for byte alike? */
static bool tree_has(const struct shale_tree *tree,
		     const struct shale_chunk *chunk, struct shale_chunk *out)
{
	uint64_t cursor = 0;
	uint32_t at;

	for (int i = 0; i < TRIES; i++) {
		if (shale_tree_find_chunk(tree, &chunk->hash, &cursor, &at,
					  NULL) < 0 ||
		    shale_tree_chunk(tree, at, out, NULL) < 0)
			return false;
		if (out->len == chunk->len && out->stored == chunk->stored &&
		    out->codec == chunk->codec &&
		    shale_digest_equal(&out->sha256, &chunk->sha256))
			return true;
	}
	return false;
}

const struct shale_chunk *shale_pack_known(const struct shale_pack *pack,
					   const struct shale_chunk *chunk,
					   struct shale_chunk *out)
{
	for (size_t i = pack->n_lower; i-- > 0;)
		if (tree_has(pack->lower[i], chunk, out))
			return out;
	return chunk;
}

/* What is looked for, and where it was found. */
struct search {
	struct shale_pack *pack;
	const struct shale_hash128 *hash;
	const uint8_t *data;
	uint32_t len;
	uint8_t *scratch;
	struct shale_pack_unit *found;
	struct shale_chunk *chunk;
};

/* Is it all of `chunk`? */
static bool is_whole(const struct search *s, const struct shale_chunk *chunk)
{
	return chunk->len == s->len &&
	       memcmp(chunk->hash.b, s->hash->b, sizeof(s->hash->b)) == 0 &&
	       shale_chunks_equal(s->pack->chunks, chunk, s->data);
}

static bool holds_part(const struct search *s, const struct shale_chunk *chunk,
		       uint32_t base)
{
	return base <= chunk->len && s->len <= chunk->len - base &&
	       shale_chunks_read(s->pack->chunks, chunk, base, s->len,
				 s->scratch, NULL) == 0 &&
	       memcmp(s->scratch, s->data, s->len) == 0;
}

/* Is it at `base` of chunk `number` of tree `lower`?  Whatever keeps that from
 * being read means no. */
static bool is_there(struct search *s, uint32_t lower, uint32_t number,
		     uint32_t base, bool packed)
{
	struct shale_chunk chunk;
	if (shale_tree_chunk(s->pack->lower[lower], number, &chunk, NULL) < 0)
		return false;
	if (!(packed ? holds_part(s, &chunk, base) : is_whole(s, &chunk)))
		return false;

	*s->found = (struct shale_pack_unit){.state = SHALE_UNIT_LOWER,
					     .packed = packed,
					     .base = base,
					     .len = chunk.len,
					     .lower = lower,
					     .lower_chunk = number};
	*s->chunk = chunk;
	return true;
}

static bool among_chunks(struct search *s, uint32_t lower)
{
	uint64_t cursor = 0;
	uint32_t number;
	for (int i = 0; i < TRIES; i++) {
		if (shale_tree_find_chunk(s->pack->lower[lower], s->hash,
					  &cursor, &number, NULL) < 0)
			return false;
		if (is_there(s, lower, number, 0, false))
			return true;
	}
	return false;
}

static bool among_packed(struct search *s, uint32_t lower)
{
	const struct shale_tree *tree = s->pack->lower[lower];
	uint64_t cursor = 0, number;
	for (int i = 0; i < TRIES; i++) {
		struct shale_extent extent;
		if (shale_tree_find_packed(tree, s->hash, &cursor, &number,
					   NULL) < 0)
			return false;
		if (shale_tree_extent(tree, number, &extent, NULL) < 0 ||
		    extent.len != s->len || extent.chunk == SHALE_HOLE)
			continue;
		if (is_there(s, lower, extent.chunk, extent.chunk_off, true))
			return true;
	}
	return false;
}

bool shale_pack_find_lower(struct shale_pack *pack,
			   const struct shale_hash128 *hash,
			   const struct shale_pack_ref *hint,
			   const uint8_t *data, uint32_t len, uint8_t *scratch,
			   struct shale_pack_unit *found,
			   struct shale_chunk *chunk)
{
	struct search s = {pack, hash, data, len, scratch, found, chunk};

	if (hint && hint->given &&
	    is_there(&s, hint->lower, hint->chunk, 0, false))
		return true;
	for (uint32_t i = 0; i < pack->n_lower; i++)
		if (among_chunks(&s, i) ||
		    (len < SHALE_PACK_SMALL && among_packed(&s, i)))
			return true;
	return false;
}
