/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/walk.h"

#include "layers/base/buf.h"
#include "layers/base/cleanup.h"

#include <sys/stat.h>

struct level {
	uint64_t next, end; /* entries */
	size_t path_len;    /* of the directory */
};

struct shale_walk {
	const struct shale_index *ix;
	struct shale_buf levels, path;
	uint64_t enter; /* directory to go into next; 0: none */
	uint64_t start;
};

int shale_walk_new(struct shale_walk **out, const struct shale_index *ix,
		   uint64_t ino, struct shale_err *err)
{
	struct shale_walk *w = calloc(1, sizeof(*w));
	if (!w)
		return shale_err_set(err, ENOMEM, "walk");
	w->ix = ix;
	w->start = ino;
	*out = w;
	return 0;
}

void shale_walk_free(struct shale_walk *w)
{
	if (!w)
		return;
	shale_buf_release(&w->levels);
	shale_buf_release(&w->path);
	free(w);
}

void shale_walk_prune(struct shale_walk *w)
{
	w->enter = 0;
}

static int give(struct shale_walk *w, uint64_t ino, size_t name_len,
		struct shale_walk_item *item, struct shale_err *err)
{
	int r = shale_index_attr(w->ix, ino, &item->attr, err);
	if (r < 0)
		return r;
	char *path = shale_buf_str(&w->path);
	if (!path)
		return shale_err_set(err, ENOMEM, "walk");
	item->path = path;
	item->path_len = w->path.len;
	item->name = path + w->path.len - name_len;
	w->enter = S_ISDIR(item->attr.mode) ? ino : 0;
	return 1;
}

static int enter(struct shale_walk *w, struct shale_err *err)
{
	struct shale_index_dir dir;
	int r = shale_index_dir(w->ix, w->enter, &dir, err);
	struct level level = {
		.next = dir.first,
		.end = dir.first + dir.count,
		.path_len = w->path.len,
	};
	w->enter = 0;
	if (r == 0 && shale_buf_append(&w->levels, &level, sizeof(level)) < 0)
		r = shale_err_set(err, ENOMEM, "walk");
	return r;
}

int shale_walk_next(struct shale_walk *w, struct shale_walk_item *item,
		    struct shale_err *err)
{
	if (w->start) {
		uint64_t ino = w->start;
		w->start = 0;
		return give(w, ino, 0, item, err);
	}
	int r = w->enter ? enter(w, err) : 0;
	while (r == 0 && w->levels.len) {
		struct shale_entry entry;
		struct level *level = (void *)(w->levels.data + w->levels.len -
					       sizeof(*level));
		if (level->next == level->end) {
			w->levels.len -= sizeof(*level);
			continue;
		}
		r = shale_index_entry(w->ix, level->next++, &entry, err);
		if (r < 0)
			return r;
		w->path.len = level->path_len;
		if ((w->path.len && shale_buf_append(&w->path, "/", 1) < 0) ||
		    shale_buf_append(&w->path, entry.name, entry.name_len) < 0)
			return shale_err_set(err, ENOMEM, "walk");
		return give(w, entry.ino, entry.name_len, item, err);
	}
	return r;
}
