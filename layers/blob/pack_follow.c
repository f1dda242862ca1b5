/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/blob/pack_impl.h"

#include <string.h>

/* What may come behind a chunk of a lower tree: the one behind it there. */
static void lead_on(struct shale_pack *pack, const struct shale_pack_ref *from)
{
	pack->lead = *from;
	pack->lead.chunk++;
	pack->lead.given =
		from->chunk < UINT32_MAX &&
		shale_tree_chunk(pack->lower[from->lower], pack->lead.chunk,
				 &pack->led, NULL) == 0 &&
		pack->led.len <= SHALE_CHUNK_MAX;
}

bool shale_pack_follow(struct shale_pack *pack, size_t have, bool end,
		       struct shale_pack_cut *cut)
{
	const struct shale_chunk *led = &pack->led;
	const struct shale_pack_ref ref = pack->lead;

	if (!pack->lead.given || (led->len > have && !end))
		return false;
	bool behind = led->len <= have && shale_cut_behind(cut->data, led->len);
	if (!behind && led->len == have && !end)
		return false;
	pack->lead.given = false;
	/* At the end of a segment its last chunk ends wherever that is. */
	if (!behind && led->len != have)
		return false;
	cut->hash = shale_xxh128(cut->data, led->len);
	if (memcmp(cut->hash.b, led->hash.b, sizeof(cut->hash.b)) != 0)
		return false;
	cut->len = led->len;
	cut->lower = ref;
	pack->followed += cut->len;
	lead_on(pack, &ref);
	return true;
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
