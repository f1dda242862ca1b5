/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/index/patch_names.h"

#include <errno.h>
#include <stdlib.h>

static int add(struct shale_buf *out, uint64_t dir, uint64_t pos,
	       const char *name, uint16_t len, struct shale_err *err)
{
	struct shale_patch_link link = {dir, pos, name, len};

	return shale_patch_append(out, &link, sizeof(link), err);
}

/* Names that the base has, and nothing says otherwise. */
static int names_that_stay(const struct shale_patch_delta *d, uint64_t ino,
			   struct shale_buf *out, struct shale_err *err)
{
	const struct shale_index_inode *in;
	struct shale_entry e;
	uint64_t dir, pos;
	int r;

	if (ino == SHALE_ROOT_INO)
		return 0;
	for (uint32_t n = 0;; n++) {
		r = shale_index_link(d->base, ino, n, &dir, &pos, NULL);
		if (r == -ENOENT)
			return 0;
		if (r == 0)
			r = shale_index_entry(d->base, pos, &e, err);
		if (r < 0)
			return r;
		in = shale_patch_delta_inode(d, dir);
		if ((in && in->attr.mode == 0) ||
		    shale_patch_delta_name(d, dir, e.name, e.name_len))
			continue;
		r = add(out, dir, pos, e.name, e.name_len, err);
		if (r < 0)
			return r;
	}
}

/* The first of `by_ino` that names `ino` or a later one. */
static size_t first_name(const struct shale_patch_delta *d, uint64_t ino)
{
	const struct shale_patch_delta_name *names =
		(const void *)d->names.data;
	const uint64_t *at = (const void *)d->by_ino.data;
	size_t lo = 0, hi = d->by_ino.len / sizeof(*at);

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (names[at[mid]].to.ino < ino)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static int by_dir_and_name(const void *pa, const void *pb)
{
	const struct shale_patch_link *a = pa, *b = pb;

	if (a->dir != b->dir)
		return a->dir < b->dir ? -1 : 1;
	return shale_name_order(a->name, a->len, b->name, b->len);
}

int shale_patch_links(const struct shale_patch_delta *d, uint64_t ino,
		      struct shale_buf *out, struct shale_err *err)
{
	const struct shale_patch_delta_name *names =
		(const void *)d->names.data;
	const uint64_t *at = (const void *)d->by_ino.data;
	size_t n = d->by_ino.len / sizeof(*at);

	out->len = 0;
	int r = names_that_stay(d, ino, out, err);
	for (size_t i = first_name(d, ino);
	     r == 0 && i < n && names[at[i]].to.ino == ino; i++) {
		const struct shale_patch_delta_name *c = &names[at[i]];
		r = add(out, c->to.dir, c->pos, c->to.name, c->to.name_len,
			err);
	}
	size_t count = out->len / sizeof(struct shale_patch_link);
	if (r == 0 && count > 1)
		qsort(out->data, count, sizeof(struct shale_patch_link),
		      by_dir_and_name);
	return r;
}
