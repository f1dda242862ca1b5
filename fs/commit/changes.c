/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/commit/changes_impl.h"

#include "fs/commit/dirs.h"
#include "layers/base/cleanup.h"

#include <string.h>
#include <sys/stat.h>

static void release_comparison(struct shale_comparison *c)
{
	struct shale_sighting *s = (void *)c->sightings.data;
	for (size_t i = 0; i < c->sightings.len / sizeof(*s); i++)
		free(s[i].path);
	shale_buf_release(&c->sightings);
	shale_places_release(&c->places);
	shale_image_close(c->old_image);
	shale_image_close(c->base);
	shale_records_close(&c->delta);
}

/* ---------------------------------------------------------------- letters */

static int by_path(const void *a, const void *b)
{
	const struct shale_sighting *x = a, *y = b;
	int c = strcmp(x->path, y->path);
	return c ? c : (int)x->seen - (int)y->seen;
}

/* A directory made again in the place of another may be as that was. */
static int judge_dirs(const struct shale_comparison *c,
		      const struct shale_sighting *old,
		      const struct shale_sighting *fresh, char *letter,
		      struct shale_err *err)
{
	bool same;
	int r = shale_dirs_same(&c->delta, c->base_ix, fresh->ino, c->old,
				old->ino, &same, err);
	if (r == 0)
		*letter = same ? 0 : 'm';
	return r;
}

/* The letter for all that was seen at one path; 0: nothing changed. */
static int judge(const struct shale_comparison *c,
		 const struct shale_sighting *s, size_t n, char *letter,
		 struct shale_err *err)
{
	const struct shale_sighting *old = NULL, *fresh = NULL;
	char changed = 0;

	for (size_t i = 0; i < n; i++) {
		if (s[i].seen == SHALE_SEEN_OLD)
			old = &s[i];
		else if (s[i].seen == SHALE_SEEN_NEW)
			fresh = &s[i];
		else if (changed != 'M')
			changed = s[i].letter;
	}
	if (old && fresh && old->ino != fresh->ino &&
	    old->type == S_IFDIR >> 12 && old->type == fresh->type)
		return judge_dirs(c, old, fresh, letter, err);
	if (old && !fresh)
		*letter = 'D';
	else if (fresh && !old)
		*letter = 'A';
	else if (!old || old->ino == fresh->ino)
		*letter = changed;
	else
		*letter = old->type != fresh->type ? 'T' : 'M';
	return 0;
}

static int report(struct shale_comparison *c, shale_change_fn *fn, void *arg,
		  struct shale_err *err)
{
	struct shale_sighting *s = (void *)c->sightings.data;
	size_t n = c->sightings.len / sizeof(*s);

	if (n)
		qsort(s, n, sizeof(*s), by_path);
	for (size_t i = 0, run; i < n; i += run) {
		for (run = 1;
		     i + run < n && !strcmp(s[i].path, s[i + run].path); run++)
			;
		struct shale_change change = {
			.path = s[i].path,
			.len = strlen(s[i].path),
		};
		int r = judge(c, &s[i], run, &change.letter, err);
		if (r == 0 && change.letter)
			r = fn(arg, &change);
		if (r != 0)
			return r;
	}
	return 0;
}

/* ---------------------------------------------------------------- images */

/* The image of that number (0: what the workspace was made from). */
static int open_numbered(struct shale_comparison *c, struct shale_store *store,
			 uint32_t number, struct shale_image **out,
			 struct shale_err *err)
{
	struct shale_rec_image image;

	int r = shale_records_image(&c->delta, number, &image, err);
	return r < 0 ? r
		     : shale_store_open_manifests(store, image.manifest,
						  image.n, true, out, err);
}

int shale_changes_list(struct shale_store *store, const char *workspace,
		       bool mounted, shale_change_fn *fn, void *arg,
		       struct shale_err *err)
{
	SHALE_CLEANUP(release_comparison) struct shale_comparison c = {0};

	int r = shale_records_open(&c.delta, shale_store_dirfd(store),
				   workspace, mounted, err);
	if (r < 0 || c.delta.untouched)
		return r;
	const struct shale_rec_state *state = &c.delta.state;
	r = open_numbered(&c, store, state->pinned, &c.base, err);
	if (r == 0 && state->last && state->last != state->pinned)
		r = open_numbered(&c, store, state->last, &c.old_image, err);
	if (r < 0)
		return r;
	c.base_ix = c.base->index;
	c.places =
		(struct shale_places){.records = &c.delta, .base = c.base_ix};
	c.old = c.old_image ? c.old_image->index : c.base->index;
	r = shale_changes_find(&c, err);
	return r < 0 ? r : report(&c, fn, arg, err);
}
