/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/blob/scratch.h"

#include "tests/lib/check.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { SIZE = 512 << 10, HUGE_PAGE = 2 << 20, PARTS = HUGE_PAGE / SIZE };

/* Takes `n` buffers at once, all of them written to, and gives them back. */
static void take_many(struct shale_scratch *s, uint8_t **all, unsigned n,
		      size_t len)
{
	for (unsigned i = 0; i < n; i++) {
		all[i] = shale_scratch_take(s, len);
		CHECK(all[i] && (uintptr_t)all[i] % 4096 == 0);
		memset(all[i], (int)i + 1, len);
	}
	for (unsigned i = 0; i < n; i++) {
		for (size_t at = 0; at < len; at += 4096)
			CHECK_INT(all[i][at], i + 1);
		CHECK_INT(all[i][len - 1], i + 1);
		shale_scratch_give(s, all[i], len);
	}
}

TEST(what_was_given_back_is_taken_again)
{
	for (int huge = 0; huge < 2; huge++) {
		struct shale_scratch *s = shale_scratch_new(SIZE, huge);
		uint8_t *all[PARTS];

		take_many(s, all, PARTS, SIZE);
		for (unsigned i = 0; i < PARTS; i++) {
			uint8_t *again = shale_scratch_take(s, 100);
			bool known = false;
			for (unsigned k = 0; k < PARTS; k++)
				known |= again == all[k];
			CHECK(known);
			shale_scratch_give(s, again, 100);
		}
		shale_scratch_free(s);
	}
}

TEST(the_first_are_parts_of_one_huge_page)
{
	struct shale_scratch *s = shale_scratch_new(SIZE, true);
	uint8_t *all[PARTS];

	for (int turn = 0; turn < 3; turn++) {
		take_many(s, all, PARTS, SIZE);
		for (unsigned i = 0; i < PARTS; i++)
			CHECK_INT((uintptr_t)all[i] / HUGE_PAGE,
				  (uintptr_t)all[0] / HUGE_PAGE);
	}
	shale_scratch_free(s);
}

TEST(more_at_once_than_are_kept_are_made_and_longer_ones_too)
{
	for (int huge = 0; huge < 2; huge++) {
		struct shale_scratch *s = shale_scratch_new(SIZE, huge);
		uint8_t *all[40];

		for (int turn = 0; turn < 3; turn++) {
			take_many(s, all, 40, SIZE);
			take_many(s, all, 3, SIZE + 1);
		}
		shale_scratch_free(s);
	}
}

TEST(sizes_that_do_not_fit_a_huge_page_are_as_good)
{
	const size_t sizes[] = {1,         5000,      4096,
				520 << 10, HUGE_PAGE, HUGE_PAGE + 4096};

	for (size_t n = 0; n < sizeof(sizes) / sizeof(sizes[0]); n++) {
		struct shale_scratch *s = shale_scratch_new(sizes[n], true);
		uint8_t *all[20];

		for (int turn = 0; turn < 2; turn++)
			take_many(s, all, 20, sizes[n]);
		shale_scratch_free(s);
	}
	shale_scratch_free(NULL);
}

static void *use(void *arg)
{
	struct shale_scratch *s = arg;

	for (unsigned i = 0; i < 2000; i++) {
		uint8_t *data = shale_scratch_take(s, SIZE), mark = (uint8_t)i;
		data[0] = data[SIZE - 1] = mark;
		CHECK_INT(data[0] + data[SIZE - 1], 2 * mark);
		shale_scratch_give(s, data, SIZE);
	}
	return NULL;
}

TEST(no_two_threads_have_one)
{
	struct shale_scratch *s = shale_scratch_new(SIZE, true);
	pthread_t thread[2 * PARTS];

	for (unsigned i = 0; i < 2 * PARTS; i++)
		CHECK_INT(pthread_create(&thread[i], NULL, use, s), 0);
	for (unsigned i = 0; i < 2 * PARTS; i++)
		pthread_join(thread[i], NULL);
	shale_scratch_free(s);
}
