/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/live/names.h"

#include "layers/base/cleanup.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

/*
 * A directory's entries come in the order of their offsets: "." and "..", the
 * base's run, then the names that were added.  An offset belongs to a name for
 * as long as the name is there, so reading on from one is exact however the
 * directory has changed.  Nothing is copied: the base's run and the records of
 * names are both sorted by name and are walked side by side.
 */
struct walk {
	struct shale_live *live;
	const struct shale_live_node *dir;
	bool plus;
	shale_live_entry_fn *fn;
	void *arg;

	/* The record of a name at or after where the base's run is. */
	struct shale_buf key, value;
	bool end; /* there is none */
};

static void walk_release(struct walk *w)
{
	shale_buf_release(&w->key);
	shale_buf_release(&w->value);
}

/* Returns 1 to go on, 0 when the caller has no room. */
static int emit(struct walk *w, const char *name, size_t len, uint64_t ino,
		uint8_t type, uint64_t cookie)
{
	struct shale_node out = {.ino = ino, .mode = (uint32_t)type << 12};

	if (w->plus) {
		struct shale_live_node node;
		shale_told_note(&w->live->told, ino, 0);
		int r = shale_node_load(w->live, ino, &node);
		if (r == 0)
			r = shale_node_stat(w->live, &node, &out);
		if (r == -ESTALE)
			return 1; /* removed since its name was read */
		if (r < 0)
			return r;
	}
	return w->fn(w->arg, name, len, &out, cookie);
}

static int emit_dots(struct walk *w, uint64_t off)
{
	struct shale_node self = {.ino = w->dir->ino, .mode = S_IFDIR};
	struct shale_node up = {.ino = w->dir->attr.parent, .mode = S_IFDIR};

	if (off < 1 && !w->fn(w->arg, ".", 1, &self, 1))
		return 0;
	if (off < 2 && !w->fn(w->arg, "..", 2, &up, 2))
		return 0;
	return 1;
}

/* ------------------------------------------------------------ base's run */

static int compare(const struct shale_buf *key, const struct shale_entry *e)
{
	size_t len = key->len - 9;
	size_t n = len < e->name_len ? len : e->name_len;
	int c = memcmp(key->data + 9, e->name, n);

	if (c)
		return c;
	return len < e->name_len ? -1 : len > e->name_len;
}

/* Move on to the first record whose name is not before the entry's. */
static int catch_up(struct walk *w, const struct shale_entry *e)
{
	if (w->end || (w->key.len && compare(&w->key, e) >= 0))
		return 0;
	struct shale_key from =
		shale_key_name(w->dir->ino, e->name, e->name_len);
	int r = shale_db_next(w->live->db, from.b, from.len, 9, &w->key,
			      &w->value, NULL);
	if (r == -ENOENT) {
		w->end = true;
		return 0;
	}
	if (r == 0 && w->key.len <= 9)
		r = -EUCLEAN;
	return r;
}

static int emit_base_entry(struct walk *w, const struct shale_entry *e,
			   uint64_t cookie)
{
	struct shale_rec_name rec;

	if (w->dir->stored) {
		int r = catch_up(w, e);
		if (r < 0)
			return r;
		if (!w->end && compare(&w->key, e) == 0) {
			r = shale_rec_name_decode(&w->value, &rec, NULL);
			if (r < 0)
				return r;
			if (!rec.ino || rec.cookie >= SHALE_COOKIE_ADDED)
				return 1;
			return emit(w, e->name, e->name_len, rec.ino, rec.type,
				    cookie);
		}
	}
	return emit(w, e->name, e->name_len, e->ino, e->type, cookie);
}

static int emit_base(struct walk *w, uint64_t off)
{
	struct shale_index_dir run;
	struct shale_entry entry;

	if (!w->dir->base || off >= SHALE_COOKIE_ADDED)
		return 1;
	int r = shale_index_dir(w->live->index, w->dir->ino, &run, NULL);
	if (r < 0)
		return r;
	for (uint64_t i = off < 3 ? 0 : off - 2; i < run.count; i++) {
		r = shale_index_entry(w->live->index, run.first + i, &entry,
				      NULL);
		if (r == 0)
			r = emit_base_entry(w, &entry, 3 + i);
		if (r <= 0)
			return r;
	}
	return 1;
}

/* ------------------------------------------------------------ added names */

/* The name may have gone since its offset was read: then there is nothing. */
static int emit_added_entry(struct walk *w, uint64_t cookie)
{
	cleanup_buf struct shale_buf value = {0};
	const char *name = (const char *)w->value.data;
	struct shale_key key = shale_key_name(w->dir->ino, name, w->value.len);
	struct shale_rec_name rec;

	int r = shale_live_get(w->live, &key, &value);
	if (r == -ENOENT)
		return 1;
	if (r == 0)
		r = shale_rec_name_decode(&value, &rec, NULL);
	if (r < 0)
		return r;
	if (!rec.ino || rec.cookie != cookie)
		return 1;
	return emit(w, name, w->value.len, rec.ino, rec.type, cookie);
}

static int emit_added(struct walk *w, uint64_t off)
{
	struct shale_key from;
	uint64_t dir, cookie;

	if (!w->dir->stored)
		return 1;
	cookie = off < SHALE_COOKIE_ADDED ? SHALE_COOKIE_ADDED : off + 1;
	for (;; cookie++) {
		from = shale_key_cookie(w->dir->ino, cookie);
		int r = shale_db_next(w->live->db, from.b, from.len, 9, &w->key,
				      &w->value, NULL);
		if (r == -ENOENT)
			return 1;
		if (r == 0)
			r = shale_key_cookie_parts(&w->key, &dir, &cookie);
		if (r == 0 && (!w->value.len || w->value.len > SHALE_NAME_MAX))
			r = -EUCLEAN;
		if (r == 0)
			r = emit_added_entry(w, cookie);
		if (r <= 0)
			return r;
	}
}

static int walk_from(struct walk *w, uint64_t off)
{
	int r = emit_dots(w, off);

	if (r > 0)
		r = emit_base(w, off);
	if (r > 0)
		r = emit_added(w, off);
	return r < 0 ? r : 0;
}

int shale_live_readdir(struct shale_live *live, uint64_t dir, uint64_t off,
		       bool plus, shale_live_entry_fn *fn, void *arg)
{
	struct shale_live_node node;
	struct walk w = {
		.live = live, .dir = &node, .plus = plus, .fn = fn, .arg = arg};

	int r = shale_node_load_dir(live, dir, &node);
	if (r == -ENOENT || off > INT64_MAX)
		return 0; /* a directory that was removed is empty */
	if (r < 0)
		return r;
	r = walk_from(&w, off);
	walk_release(&w);
	return r;
}

static bool seen(void *arg, const char *name, size_t len,
		 const struct shale_node *node, uint64_t next)
{
	(void)name;
	(void)len;
	(void)node;
	(void)next;
	*(bool *)arg = true;
	return false;
}

int shale_names_empty(struct shale_live *live,
		      const struct shale_live_node *dir)
{
	bool found = false;
	struct walk w = {.live = live, .dir = dir, .fn = seen, .arg = &found};

	/* What was added first: it is found without passing tombstones. */
	int r = emit_added(&w, 2);
	w.end = false;
	w.key.len = 0;
	if (r > 0)
		r = emit_base(&w, 2);
	walk_release(&w);
	if (r < 0)
		return r;
	return found ? -ENOTEMPTY : 0;
}
