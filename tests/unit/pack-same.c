/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/base/cleanup.h"
#include "layers/chunk/cut.h"
#include "tests/lib/check.h"
#include "tests/lib/workshop.h"

#include <string.h>

/*
 * Content of which the caller knows that a lower tree's chunks are in it: it
 * comes out as if all of it had been written.
 */

enum { LEN = 4 * MIB, ROUNDS = 24 };

static uint64_t dice(uint64_t *state, uint64_t sides)
{
	*state = *state * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (*state >> 33) % sides;
}

/* The whole chunks of the parent's file. */
static struct place {
	uint64_t off;
	struct shale_chunk chunk;
} places[LEN / SHALE_CHUNK_MIN];

static size_t list_places(const struct image *parent)
{
	uint64_t extents = count_extents(parent->tree, 1);
	size_t n = 0;
	for (uint64_t i = 0; i < extents; i++) {
		struct shale_extent e = nth_extent(parent->tree, 1, i);
		uint64_t off = e.off, end = e.off + e.len;
		for (uint32_t at = e.chunk; !e.chunk_off && off < end; at++) {
			struct shale_chunk *c = &places[n].chunk;
			CHECK_OK(shale_tree_chunk(parent->tree, at, c, &err));
			places[n].off = off;
			off += c->len;
			n += off <= end;
		}
	}
	return n;
}

/* Feed it as one that has compared it with the parent would. */
static uint64_t feed_known(const struct image *parent, const uint8_t *old,
			   const uint8_t *data, size_t len)
{
	size_t n = list_places(parent), at = 0;
	uint64_t taken = 0;
	CHECK_OK(shale_pack_begin(pack, 1, &err));
	for (size_t i = 0; i < n; i++) {
		const struct shale_chunk *c = &places[i].chunk;
		size_t off = places[i].off;
		int r = 0;
		if (off + c->len > len ||
		    memcmp(old + off, data + off, c->len) != 0)
			continue;
		CHECK_OK(shale_pack_write(pack, data + at, off - at, &err));
		if (shale_pack_ends(data + off, c->len, off))
			r = shale_pack_same(pack, c, &err);
		CHECK(r == 0 || r == 1);
		taken += r ? c->len : 0;
		if (!r)
			CHECK_OK(shale_pack_write(pack, data + off, c->len,
						  &err));
		at = off + c->len;
	}
	CHECK_OK(shale_pack_write(pack, data + at, len - at, &err));
	CHECK_OK(shale_pack_end(pack, &err));
	return taken;
}

static void edit(uint8_t *data, uint64_t *state)
{
	for (uint64_t n = dice(state, 8); n--;) {
		size_t at = dice(state, LEN), len = 1 + dice(state, 9000);
		if (len > LEN - at)
			len = LEN - at;
		memset(data + at, dice(state, 2) ? 'x' : 0, len);
	}
}

static void check_round(const struct image *parent, const uint8_t *old,
			uint64_t *state)
{
	struct image plain, known;
	uint8_t *data = copy_of(old, LEN);
	size_t len = dice(state, 3) ? LEN : LEN - dice(state, MIB);
	edit(data, state);

	begin_image(&parent->tree, 1, 2);
	add_file(1, copy_of(data, len), len, MIB);
	end_image(&plain);
	begin_image(&parent->tree, 1, 2);
	uint64_t taken = feed_known(parent, old, data, len);
	add_inode(1, len, false);
	end_image(&known);

	CHECK(taken <= len);
	CHECK_INT(known.stats.content, len);
	CHECK_INT(known.stats.shared, plain.stats.shared);
	CHECK_INT(known.stats.new_chunks, plain.stats.new_chunks);
	CHECK(shale_digest_equal(&known.tree_digest, &plain.tree_digest));
	CHECK(shale_digest_equal(&known.data_digest, &plain.data_digest));
	compare_files(&known);
	shale_tree_close(plain.tree);
	shale_tree_close(known.tree);
	free(data);
}

static void check_parent(uint8_t *old, uint64_t seed)
{
	struct image parent;
	open_store();
	begin_image(NULL, 0, 2);
	add_file(1, copy_of(old, LEN), LEN, MIB);
	end_image(&parent);
	for (int i = 0; i < ROUNDS; i++)
		check_round(&parent, old, &seed);
	shale_tree_close(parent.tree);
	close_store();
	free(old);
}

TEST(what_is_known_to_be_there_comes_out_as_if_it_had_been_written)
{
	check_parent(noise(LEN, 5), 1);
}

TEST(what_is_known_to_be_there_leaves_holes_as_they_are)
{
	check_parent(holey(LEN, 6), 2);
}

TEST(what_is_known_to_be_there_is_not_even_looked_at)
{
	struct image parent, known;
	uint8_t *old = noise(LEN, 5);
	open_store();
	begin_image(NULL, 0, 2);
	add_file(1, copy_of(old, LEN), LEN, MIB);
	end_image(&parent);

	/* One byte changed: its chunk is written, those behind it are not. */
	uint8_t *data = copy_of(old, LEN);
	data[LEN / 2] ^= 1;
	begin_image(&parent.tree, 1, 2);
	uint64_t taken = feed_known(&parent, old, data, LEN);
	add_inode(1, LEN, false);
	end_image(&known);
	CHECK_INT(known.stats.new_chunks, 1);
	CHECK(taken + 3 * SHALE_CHUNK_MAX >= LEN);
	free(data);
	free(old);
	shale_tree_close(parent.tree);
	shale_tree_close(known.tree);
	close_store();
}
