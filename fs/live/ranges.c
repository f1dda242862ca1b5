/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/live/ranges.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint64_t end_of(const struct shale_rec_range *r)
{
	return r->off + r->len;
}

/* Number of the first range that ends behind `off`. */
static uint32_t first_behind(const struct shale_rec_content *c, uint64_t off)
{
	uint32_t lo = 0, hi = c->n_ranges;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (end_of(&c->ranges[mid]) <= off)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

const struct shale_rec_range *shale_ranges_at(const struct shale_rec_content *c,
					      uint64_t off, uint64_t *next)
{
	uint32_t i = first_behind(c, off);

	if (i < c->n_ranges && c->ranges[i].off <= off)
		return &c->ranges[i];
	*next = i < c->n_ranges ? c->ranges[i].off : UINT64_MAX;
	return NULL;
}

/* Replace `del` ranges from number `at` on by the `n` of `with`. */
static int splice(struct shale_rec_content *c, uint32_t at, uint32_t del,
		  const struct shale_rec_range *with, uint32_t n)
{
	uint32_t rest = c->n_ranges - at - del;

	if (n > del) {
		if (c->n_ranges > UINT32_MAX / sizeof(*with) - n)
			return -ENOMEM;
		struct shale_rec_range *more = realloc(
			c->ranges, (c->n_ranges + n - del) * sizeof(*more));
		if (!more)
			return -ENOMEM;
		c->ranges = more;
	}
	if (rest)
		memmove(c->ranges + at + n, c->ranges + at + del,
			rest * sizeof(*with));
	if (n)
		memcpy(c->ranges + at, with, n * sizeof(*with));
	c->n_ranges = at + n + rest;
	return 0;
}

int shale_ranges_cut(struct shale_rec_content *c, uint64_t off, uint64_t end)
{
	struct shale_rec_range parts[2];
	uint32_t first = first_behind(c, off), last = first, n = 0;

	while (last < c->n_ranges && c->ranges[last].off < end)
		last++;
	if (first == last || off >= end)
		return 0;
	const struct shale_rec_range *head = &c->ranges[first];
	const struct shale_rec_range *tail = &c->ranges[last - 1];
	if (head->off < off) {
		parts[n] = *head;
		parts[n++].len = off - head->off;
	}
	if (end_of(tail) > end) {
		parts[n] = *tail;
		parts[n].off = end;
		parts[n].src += end - tail->off;
		parts[n++].len = end_of(tail) - end;
	}
	return splice(c, first, last - first, parts, n);
}

/* Does `b` carry on where `a` ends? */
static bool joins(const struct shale_rec_range *a,
		  const struct shale_rec_range *b)
{
	return end_of(a) == b->off && a->image == b->image &&
	       a->epoch == b->epoch && a->ino == b->ino &&
	       a->src + a->len == b->src;
}

int shale_ranges_put(struct shale_rec_content *c,
		     const struct shale_rec_range *range)
{
	struct shale_rec_range whole = *range;
	uint32_t at = first_behind(c, range->off), del = 0;

	if (at < c->n_ranges && joins(&whole, &c->ranges[at])) {
		whole.len += c->ranges[at].len;
		del++;
	}
	if (at > 0 && joins(&c->ranges[at - 1], &whole)) {
		at--;
		del++;
		whole.len += c->ranges[at].len;
		whole.off = c->ranges[at].off;
		whole.src = c->ranges[at].src;
	}
	return splice(c, at, del, &whole, 1);
}
