/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/keyset.h"

#include "tests/lib/check.h"

TEST(a_set_has_what_was_added_once_and_nothing_else)
{
	struct shale_keyset set = {0};
	enum { N = 100000 };

	CHECK(!shale_keyset_has(&set, 1));
	for (uint64_t i = 0; i < N; i++)
		CHECK_INT(shale_keyset_add(&set, i * 0x9e3779b97f4a7c15), 1);
	for (uint64_t i = 0; i < N; i++)
		CHECK_INT(shale_keyset_add(&set, i * 0x9e3779b97f4a7c15), 0);
	for (uint64_t i = 0; i < 2 * N; i++)
		CHECK_INT(shale_keyset_has(&set, i * 0x9e3779b97f4a7c15),
			  i < N);
	shale_keyset_release(&set);
	CHECK(!shale_keyset_has(&set, 0));
}

TEST(keys_that_fall_on_one_slot_are_told_apart)
{
	struct shale_keyset set = {0};

	for (uint64_t i = 1; i < 300; i++)
		CHECK_INT(shale_keyset_add(&set, i << 40), 1);
	for (uint64_t i = 1; i < 300; i++)
		CHECK(shale_keyset_has(&set, i << 40));
	CHECK(!shale_keyset_has(&set, 300ull << 40));
	CHECK(!shale_keyset_has(&set, 0));
	CHECK_INT(shale_keyset_add(&set, 0), 1);
	CHECK_INT(shale_keyset_add(&set, 0), 0);
	CHECK(shale_keyset_has(&set, 0));
	shale_keyset_release(&set);
}
