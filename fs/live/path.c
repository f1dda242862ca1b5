/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/live/names.h"
#include "fs/live/node.h"
#include "layers/base/cleanup.h"

#include <errno.h>
#include <sys/stat.h>

enum {
	NAMES_MAX = 1 << 15, /* records looked at for one name */
	BASE_NAMES_MAX = 64, /* of one inode */
	DEPTH_MAX = 2048,    /* PATH_MAX has no more */
};

/* One name of an inode. */
struct place {
	uint64_t dir;
	struct shale_buf name;
};

static void place_release(struct place *p)
{
	shale_buf_release(&p->name);
}

static int set_place(struct place *p, uint64_t dir, const char *name,
		     size_t len)
{
	p->dir = dir;
	p->name.len = 0;
	return shale_buf_append(&p->name, name, len);
}

/* A name that the base has for it, and that still stands for it. */
static int base_place(struct shale_live *live, uint64_t ino, struct place *out)
{
	struct shale_node node;
	struct shale_entry e;
	uint64_t dir, pos;

	if (!shale_live_maybe_base(live, ino))
		return -ENOENT;
	for (uint32_t n = 0; n < BASE_NAMES_MAX; n++) {
		int r = shale_index_link(live->index, ino, n, &dir, &pos, NULL);
		if (r == 0)
			r = shale_index_entry(live->index, pos, &e, NULL);
		if (r < 0)
			return r;
		if (shale_live_lookup(live, dir, e.name, e.name_len, &node) ==
			    0 &&
		    node.ino == ino)
			return set_place(out, dir, e.name, e.name_len);
	}
	return -ENOENT;
}

/* Among records of names: those of one directory, or (0) of all. */
static int recorded_place(struct shale_live *live, uint64_t dir, uint64_t ino,
			  struct place *out)
{
	cleanup_buf struct shale_buf key = {0}, value = {0};
	struct shale_key from = shale_key_name(dir, "", 0);
	size_t prefix = dir ? from.len : 1;
	struct shale_rec_name rec;
	const char *name;
	size_t len;

	int r = shale_buf_append(&key, from.b, from.len);
	for (unsigned i = 0; r == 0 && i < NAMES_MAX; i++) {
		r = shale_db_next(live->db, key.data, key.len, prefix, &key,
				  &value, NULL);
		if (r == 0)
			r = shale_rec_name_decode(&value, &rec, NULL);
		if (r == 0)
			r = shale_key_name_parts(&key, &dir, &name, &len);
		if (r == 0 && rec.ino == ino)
			return set_place(out, dir, name, len);
		if (r == 0)
			r = shale_buf_append(&key, "", 1);
	}
	return r < 0 ? r : -ENOENT;
}

static int find_place(struct shale_live *live, uint64_t ino, bool search,
		      struct place *out)
{
	struct shale_live_node node;

	int r = base_place(live, ino, out);
	if (r != -ENOENT)
		return r;
	r = shale_node_load(live, ino, &node);
	if (r < 0)
		return r;
	if (!node.attr.nlink)
		return -ENOENT;
	if (S_ISDIR(node.attr.mode))
		return recorded_place(live, node.attr.parent, ino, out);
	return search ? recorded_place(live, 0, ino, out) : -ENOENT;
}

/* Put "/name" before what is there. */
static int put_before(struct shale_buf *path, const struct shale_buf *name)
{
	cleanup_buf struct shale_buf whole = {0};

	int r = shale_buf_append(&whole, "/", 1);
	if (r == 0)
		r = shale_buf_append(&whole, name->data, name->len);
	if (r == 0)
		r = shale_buf_append(&whole, path->data, path->len);
	if (r == 0) {
		struct shale_buf was = *path;
		*path = whole;
		whole = was;
	}
	return r;
}

int shale_live_path(struct shale_live *live, uint64_t ino, bool search,
		    struct shale_buf *out)
{
	SHALE_CLEANUP(place_release) struct place place = {0};
	cleanup_buf struct shale_buf path = {0};
	int r = 0;

	if (ino == SHALE_ROOT_INO)
		return shale_buf_append(out, "/", 1);
	/* It may move meanwhile: then it is one of the paths that it had, or
	 * has no end. */
	for (unsigned depth = 0; r == 0 && ino != SHALE_ROOT_INO; depth++) {
		r = depth < DEPTH_MAX ? find_place(live, ino, search, &place)
				      : -ELOOP;
		if (r == 0)
			r = put_before(&path, &place.name);
		ino = place.dir;
	}
	return r < 0 ? r : shale_buf_append(out, path.data, path.len);
}
