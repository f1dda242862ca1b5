/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/workspace/handles.h"
#include "fs/workspace/map64.h"
#include "tests/lib/check.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct shale_err err;

static struct shale_handles *open_handles(bool fresh)
{
	struct shale_handles *handles;
	int dir = open(shale_test_dir(), O_RDONLY | O_DIRECTORY);
	CHECK_OK(shale_handles_open(&handles, dir, fresh, &err));
	close(dir);
	return handles;
}

TEST(an_inode_is_held_until_its_last_handle_is_cleared)
{
	struct shale_handles *h = open_handles(true);
	uint64_t a, b, c;

	CHECK_INT(shale_handles_take(h, 7, 100, &a), 0);
	CHECK_INT(shale_handles_take(h, 7, 102, &b), 0);
	CHECK_INT(shale_handles_take(h, 8, 104, &c), 0);
	CHECK(a != b && b != c);
	CHECK_INT(shale_handles_ino(h, a), 7);
	CHECK_INT(shale_handles_ino(h, c), 8);
	shale_handles_clear(h, a);
	shale_handles_clear(h, a);
	CHECK(shale_handles_held(h, 7));
	shale_handles_clear(h, b);
	CHECK(!shale_handles_held(h, 7));
	CHECK(shale_handles_held(h, 8));
	CHECK_INT(shale_handles_ino(h, b), 0);
	CHECK_INT(shale_handles_ino(h, 1u << 30), 0);
	shale_handles_close(h);
}

TEST(the_same_request_gets_the_same_handle_also_from_the_next_process)
{
	struct shale_handles *h = open_handles(true);
	uint64_t a, b;

	CHECK_INT(shale_handles_take(h, 7, 100, &a), 0);
	CHECK_INT(shale_handles_take(h, 7, 100, &b), 0);
	CHECK_INT(a, b);
	shale_handles_close(h);

	h = open_handles(false);
	CHECK_INT(shale_handles_take(h, 7, 100, &b), 0);
	CHECK_INT(a, b);
	CHECK(shale_handles_held(h, 7));
	shale_handles_clear(h, a);
	CHECK(!shale_handles_held(h, 7));
	shale_handles_close(h);
	h = open_handles(false);
	CHECK(!shale_handles_held(h, 7));
	shale_handles_close(h);
}

TEST(clearing_again_leaves_the_next_owner_of_the_place_alone)
{
	struct shale_handles *h = open_handles(true);
	uint64_t a, b;

	CHECK_INT(shale_handles_take(h, 7, 100, &a), 0);
	shale_handles_clear(h, a);
	CHECK_INT(shale_handles_take(h, 9, 102, &b), 0);
	CHECK_INT((uint32_t)a, (uint32_t)b);
	shale_handles_clear(h, a);
	CHECK(shale_handles_held(h, 9));
	CHECK_INT(shale_handles_ino(h, a), 0);
	CHECK_INT(shale_handles_ino(h, b), 9);
	shale_handles_close(h);
}

TEST(what_is_noted_of_a_handle_outlives_the_daemon)
{
	struct shale_handles *h = open_handles(true);
	uint64_t a, b;

	CHECK_INT(shale_handles_take(h, 7, 100, &a), 0);
	CHECK_INT(shale_handles_take(h, 7, 102, &b), 0);
	shale_handles_note(h, a, SHALE_HANDLE_WRITES);
	CHECK_INT(shale_handles_noted(h, SHALE_HANDLE_WRITES), 1);
	shale_handles_close(h);
	h = open_handles(false);
	CHECK_INT(shale_handles_noted(h, SHALE_HANDLE_WRITES), 1);
	shale_handles_clear(h, a);
	CHECK_INT(shale_handles_noted(h, SHALE_HANDLE_WRITES), 0);
	shale_handles_note(h, a, SHALE_HANDLE_WRITES);
	CHECK_INT(shale_handles_take(h, 9, 104, &a), 0);
	CHECK_INT(shale_handles_noted(h, SHALE_HANDLE_WRITES), 0);
	shale_handles_close(h);
}

TEST(a_new_connection_starts_with_no_handle)
{
	struct shale_handles *h = open_handles(true);
	uint64_t a;
	CHECK_INT(shale_handles_take(h, 7, 100, &a), 0);
	shale_handles_close(h);
	h = open_handles(true);
	CHECK(!shale_handles_held(h, 7));
	CHECK_INT(shale_handles_ino(h, a), 0);
	shale_handles_close(h);
}

TEST(ten_thousand_handles_come_and_go)
{
	enum { N = 10000 };
	struct shale_handles *h = open_handles(true);
	uint64_t *slot = calloc(N, sizeof(*slot));

	for (int i = 0; i < N; i++)
		CHECK_INT(shale_handles_take(h, 1 + (uint64_t)i / 2,
					     2 * (uint64_t)i + 2, &slot[i]),
			  0);
	for (int i = 0; i < N; i += 2)
		shale_handles_clear(h, slot[i]);
	shale_handles_close(h);
	h = open_handles(false);
	for (int i = 0; i < N; i++) {
		CHECK_INT(shale_handles_ino(h, slot[i]), i % 2 ? 1 + i / 2 : 0);
		CHECK(shale_handles_held(h, 1 + (uint64_t)i / 2));
	}
	for (int i = 1; i < N; i += 2) {
		shale_handles_clear(h, slot[i]);
		CHECK(!shale_handles_held(h, 1 + (uint64_t)i / 2));
	}
	shale_handles_close(h);
	free(slot);
}

TEST(a_number_map_agrees_with_an_array_under_random_changes)
{
	struct shale_map64 map = {0};
	uint64_t model[512] = {0};

	for (int i = 0; i < 100000; i++) {
		uint64_t key = shale_test_random() % 511 + 1;
		uint64_t value = shale_test_random() % 3 ? i + 1 : 0;
		CHECK_INT(shale_map64_reserve(&map), 0);
		shale_map64_set(&map, key << 33, value);
		model[key] = value;
		key = shale_test_random() % 511 + 1;
		CHECK_INT(shale_map64_get(&map, key << 33), model[key]);
	}
	size_t n = 0;
	for (int i = 1; i < 512; i++)
		n += model[i] != 0;
	CHECK_INT(map.n, n);
	shale_map64_release(&map);
}
