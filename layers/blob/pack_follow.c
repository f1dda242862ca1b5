/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/blob/pack_impl.h"

#include <string.h>

/* A chunk of a lower tree may come next. */
static void lead_to(struct shale_pack *pack, uint32_t lower, uint32_t chunk)
{
	pack->lead = (struct shale_pack_ref){
		.given = shale_tree_chunk(pack->lower[lower], chunk, &pack->led,
					  NULL) == 0 &&
			 pack->led.len <= SHALE_CHUNK_LONGEST,
		.lower = lower,
		.chunk = chunk};
}

/* What may come behind a chunk of a lower tree: the one behind it there. */
static void lead_on(struct shale_pack *pack, const struct shale_pack_ref *from)
{
	pack->lead.given = false;
	if (from->chunk < UINT32_MAX)
		lead_to(pack, from->lower, from->chunk + 1);
}

/* What lower trees say of the file; asked for once, when a cut is sought. */
static void find_rows(struct shale_pack *pack)
{
	if (pack->rows_of == pack->ino)
		return;
	pack->rows_of = pack->ino;
	for (size_t i = 0; i < pack->n_lower; i++) {
		struct shale_pack_row *row = &pack->rows[i];
		if (shale_tree_extents_of(pack->lower[i], pack->ino,
					  &row->first, &row->n, NULL) < 0)
			row->n = 0;
	}
}

/* The chunk that begins at `off` of the file in a lower tree. */
static bool find_place(const struct shale_pack *pack, uint32_t lower,
		       uint64_t off, uint32_t *chunk)
{
	const struct shale_tree *tree = pack->lower[lower];
	const struct shale_pack_row *row = &pack->rows[lower];
	struct shale_extent e;
	uint32_t at_off;
	uint64_t i;

	return row->n &&
	       shale_tree_extent_at(tree, row->first, row->n, off, &i, NULL) ==
		       0 &&
	       shale_tree_extent(tree, i, &e, NULL) == 0 &&
	       e.chunk != SHALE_HOLE && e.chunk != SHALE_CLONE &&
	       off >= e.off && off - e.off < e.len &&
	       shale_tree_chunk_seek(tree, e.chunk, e.chunk_off + (off - e.off),
				     chunk, &at_off, NULL) == 0 &&
	       at_off == 0;
}

/* No row leads on: maybe one of the same file has a chunk that begins here. */
static bool lead_by_place(struct shale_pack *pack, uint64_t off)
{
	uint32_t chunk;

	pack->lead.given = false;
	if (pack->sought == off)
		return false;
	pack->sought = off;
	find_rows(pack);
	for (size_t i = pack->n_lower; i-- > 0 && !pack->lead.given;)
		if (find_place(pack, (uint32_t)i, off, &chunk))
			lead_to(pack, (uint32_t)i, chunk);
	return pack->lead.given;
}

/*
 * Is the chunk that may come next the one that does?  1, and `cut` says which
 * it is; 0: it is another one; -EAGAIN: not known yet.
 */
static int try_lead(const struct shale_pack *pack, size_t have, bool end,
		    struct shale_pack_cut *cut)
{
	const struct shale_chunk *led = &pack->led;

	if (led->len > have)
		return end ? 0 : -EAGAIN;
	/* At the end of a segment its last chunk ends wherever that is. */
	if (!shale_cut_once(cut->data, led->len) && (led->len != have || !end))
		return led->len == have ? -EAGAIN : 0;
	cut->hash = shale_xxh128(cut->data, led->len);
	if (memcmp(cut->hash.b, led->hash.b, sizeof(cut->hash.b)) != 0)
		return 0;
	cut->len = led->len;
	cut->lower = pack->lead;
	return 1;
}

bool shale_pack_follow(struct shale_pack *pack, size_t have, bool end,
		       struct shale_pack_cut *cut)
{
	int r = 0;
	if (pack->lead.given)
		r = try_lead(pack, have, end, cut);
	if (r == 0 && lead_by_place(pack, cut->off))
		r = try_lead(pack, have, end, cut);
	if (r == 1) {
		pack->followed += cut->len;
		lead_on(pack, &cut->lower);
	} else if (r == 0) {
		pack->lead.given = false;
	}
	return r == 1;
}

/* Of several chunks of one hash (damage apart, they are equal) the first. */
static bool find_in(const struct shale_pack *pack, uint32_t lower,
		    struct shale_pack_cut *cut)
{
	const struct shale_tree *tree = pack->lower[lower];
	struct shale_chunk chunk;
	uint64_t cursor = 0;
	uint32_t number;

	if (shale_tree_find_chunk(tree, &cut->hash, &cursor, &number, NULL) <
		    0 ||
	    shale_tree_chunk(tree, number, &chunk, NULL) < 0 ||
	    chunk.len != cut->len)
		return false;
	cut->lower = (struct shale_pack_ref){true, lower, number};
	return true;
}

void shale_pack_lead(struct shale_pack *pack, struct shale_pack_cut *cut)
{
	cut->hash = shale_xxh128(cut->data, cut->len);
	pack->lead.given = false;
	/* The newest layer's row is nearest to what comes now. */
	for (size_t i = pack->n_lower; i-- > 0;) {
		if (find_in(pack, (uint32_t)i, cut)) {
			lead_on(pack, &cut->lower);
			return;
		}
	}
}
