/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/commit/places.h"

#include "layers/base/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Deeper is a cycle. */
enum { DEPTH_MAX = 8192 };

void shale_places_release(struct shale_places *places)
{
	free(places->path);
	places->path = NULL;
}

/* Where directory `ino` stands. */
static int place_of(const struct shale_places *p, uint64_t ino, uint64_t *dir,
		    const char **name, size_t *len)
{
	const struct shale_records_name *const *recs;
	struct shale_entry entry;
	uint64_t pos;

	if (shale_records_of(p->records, ino, &recs)) {
		*dir = recs[0]->dir;
		*name = recs[0]->name;
		*len = recs[0]->len;
		return 0;
	}
	int r = shale_index_link(p->base, ino, 0, dir, &pos, NULL);
	if (r == 0)
		r = shale_index_entry(p->base, pos, &entry, NULL);
	if (r < 0)
		return -ENOENT;
	/* Another name stands there now, or none: it is gone. */
	if (shale_records_find(p->records, *dir, entry.name, entry.name_len))
		return -ENOENT;
	*name = entry.name;
	*len = entry.name_len;
	return 0;
}

static int walk_up(const struct shale_places *p, uint64_t ino, char **out)
{
	cleanup_free char *path = strdup("");
	const char *name = NULL;
	size_t len = 0;

	for (int depth = 0; path && ino != 1; depth++) {
		char *longer;
		int r = place_of(p, ino, &ino, &name, &len);
		if (r < 0 || depth > DEPTH_MAX)
			return r < 0 ? r : -ELOOP;
		if (asprintf(&longer, "/%.*s%s", (int)len, name, path) < 0)
			return -ENOMEM;
		free(path);
		path = longer;
	}
	*out = steal_ptr(&path);
	return *out ? 0 : -ENOMEM;
}

int shale_places_dir(struct shale_places *places, uint64_t ino,
		     const char **path)
{
	if (!places->path || places->dir != ino) {
		char *fresh;
		int r = walk_up(places, ino, &fresh);
		if (r < 0)
			return r;
		free(places->path);
		places->path = fresh;
		places->dir = ino;
	}
	*path = places->path;
	return 0;
}

/* One name, unless its directory is gone with all that was in it. */
static int call(struct shale_places *p, uint64_t dir, const char *name,
		size_t len, shale_place_fn *fn, void *arg)
{
	const char *path;
	int r = shale_places_dir(p, dir, &path);
	if (r == -ENOENT)
		return 0;
	return r < 0 ? r : fn(arg, path, name, len);
}

int shale_places_each(struct shale_places *places, uint64_t ino,
		      shale_place_fn *fn, void *arg)
{
	const struct shale_records_name *const *recs;
	struct shale_entry e;
	uint64_t dir, pos;
	int r = 0;

	if (ino == 1)
		return fn(arg, "", "", 0);
	size_t n = shale_records_of(places->records, ino, &recs);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = call(places, recs[i]->dir, recs[i]->name, recs[i]->len, fn,
			 arg);
	for (uint32_t i = 0; r == 0 && shale_index_link(places->base, ino, i,
							&dir, &pos, NULL) == 0;
	     i++)
		if (shale_index_entry(places->base, pos, &e, NULL) == 0 &&
		    !shale_records_find(places->records, dir, e.name,
					e.name_len))
			r = call(places, dir, e.name, e.name_len, fn, arg);
	return r;
}
