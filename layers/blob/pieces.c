/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/blob/pieces.h"

#include "layers/blob/tree_disk.h"

#include <errno.h>
#include <stdbool.h>

static uint64_t end_of(const struct shale_compose_piece *p)
{
	return p->off + p->len;
}

static void cut_front(struct shale_compose_piece *p, uint64_t to)
{
	if (p->chunk != SHALE_HOLE)
		p->skip += to - p->off;
	p->len -= to - p->off;
	p->off = to;
	p->packed = 0;
}

static void cut_back(struct shale_compose_piece *p, uint64_t to)
{
	p->len = to - p->off;
	p->packed = 0;
}

/* The part of a row that is not dealt with yet. */
struct rest {
	const struct shale_compose_piece *next;
	size_t left;
	struct shale_compose_piece now; /* the first of it, perhaps cut */
	bool any;
};

static void step(struct rest *r)
{
	r->any = r->left > 0;
	if (r->any) {
		r->now = *r->next++;
		r->left--;
	}
}

/* Move what lies before `to` from `r` to `out` (NULL: nowhere). */
static int take(struct rest *r, uint64_t to, struct shale_buf *out)
{
	while (r->any && r->now.off < to) {
		struct shale_compose_piece p = r->now;
		if (end_of(&p) > to) {
			cut_back(&p, to);
			cut_front(&r->now, to);
		} else {
			step(r);
		}
		if (out && shale_buf_append(out, &p, sizeof(p)) < 0)
			return -ENOMEM;
	}
	return 0;
}

int shale_pieces_overlay(struct shale_buf *lower, const struct shale_buf *upper)
{
	cleanup_buf struct shale_buf out = {0};
	const struct shale_compose_piece *u =
		(const struct shale_compose_piece *)upper->data;
	size_t n = upper->len / sizeof(*u);
	struct rest rest = {
		.next = (const struct shale_compose_piece *)lower->data,
		.left = lower->len / sizeof(*u),
	};

	step(&rest);
	for (size_t i = 0; i < n; i++)
		if (take(&rest, u[i].off, &out) < 0 ||
		    take(&rest, end_of(&u[i]), NULL) < 0 ||
		    shale_buf_append(&out, &u[i], sizeof(u[i])) < 0)
			return -ENOMEM;
	if (take(&rest, UINT64_MAX, &out) < 0)
		return -ENOMEM;

	struct shale_buf old = *lower;
	*lower = out;
	out = old; /* released on return */
	return 0;
}

void shale_pieces_cut(struct shale_buf *list, uint64_t end)
{
	struct shale_compose_piece *all =
		(struct shale_compose_piece *)list->data;
	size_t n = list->len / sizeof(*all);

	while (n && all[n - 1].off >= end)
		n--;
	if (n && end_of(&all[n - 1]) > end)
		cut_back(&all[n - 1], end);
	list->len = n * sizeof(*all);
}

void shale_pieces_drop_holes(struct shale_buf *list)
{
	struct shale_compose_piece *all =
		(struct shale_compose_piece *)list->data;
	size_t n = list->len / sizeof(*all), kept = 0;

	for (size_t i = 0; i < n; i++)
		if (all[i].chunk != SHALE_HOLE)
			all[kept++] = all[i];
	list->len = kept * sizeof(*all);
}
