/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/store/compact.h"

#include <stdlib.h>

/*
 * Copied data costs its size on disk until old versions are forgotten, so large
 * blobs that are mostly alive stay where they are for good.  What is small is
 * small against all that the chain holds: at most SMALL_PART blobs are not.
 * Among the small ones the larger is to be at least FACTOR times all smaller
 * ones together; where it is not, these go into one.  So a byte is copied when
 * what it lies in grows by half, and never again once that is a SMALL_PART-th
 * of the whole.
 */
enum { SMALL_PART = 32, FACTOR = 2 };

/* A blob costs its reader a fixed sum, however little is in it. */
enum { SMALLEST = 64 << 10 };

static uint64_t weight(const struct shale_build_use *u)
{
	return u->live > SMALLEST ? u->live : SMALLEST;
}

/* Less than half of it is named. */
static bool mostly_dead(const struct shale_build_use *u)
{
	return u->live < u->size / 2;
}

static int by_live(const void *pa, const void *pb)
{
	const struct shale_build_use *const *a = pa, *const *b = pb;
	if ((*a)->live != (*b)->live)
		return (*a)->live < (*b)->live ? -1 : 1;
	return (*a > *b) - (*a < *b);
}

/* How many of the smallest go together: up to the largest that is too small for
 * what lies before it. */
static size_t together(struct shale_build_use *const *small, size_t n)
{
	uint64_t sum = 0;
	size_t count = 0;

	for (size_t i = 0; i < n; i++) {
		if (weight(small[i]) / FACTOR < sum)
			count = i + 1;
		sum += weight(small[i]);
	}
	return count;
}

void shale_compact_choose_data(struct shale_build_use *uses, size_t n,
			       uint64_t total)
{
	uint64_t limit = total / SMALL_PART;
	size_t count = 0;
	struct shale_build_use **small =
		calloc(n ? n : 1, sizeof(struct shale_build_use *));

	if (limit < SMALLEST)
		limit = SMALLEST;
	for (size_t i = 0; i < n; i++) {
		if (uses[i].live == 0)
			uses[i].move = false;
		else if (small && uses[i].move && uses[i].live <= limit)
			small[count++] = &uses[i];
		uses[i].move = uses[i].move && mostly_dead(&uses[i]);
	}
	if (!small)
		return; /* without memory only the dead are left behind */
	qsort(small, count, sizeof(struct shale_build_use *), by_live);
	for (size_t i = together(small, count); i-- > 0;)
		small[i]->move = true;
	free(small);
}
