/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/index/index.h"

#include "layers/base/buf.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_LINKS = 40 };

/* ------------------------------------------------------- inode to path */

static void reverse(uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len / 2; i++) {
		uint8_t byte = data[i];
		data[i] = data[len - 1 - i];
		data[len - 1 - i] = byte;
	}
}

/* Append a name backwards, and the slash before it. */
static int append_reversed(struct shale_buf *path, const struct shale_entry *e,
			   struct shale_err *err)
{
	uint8_t *to = shale_buf_add(path, (size_t)e->name_len + 1);
	if (!to)
		return shale_err_set(err, ENOMEM, "build path");
	memcpy(to, e->name, e->name_len);
	reverse(to, e->name_len);
	to[e->name_len] = '/';
	return 0;
}

/*
 * Climb to the root, writing the path backwards.  A damaged index may have a
 * cycle: `mark` is an inode on the way, moved up at each power of two (Brent),
 * so that coming back to it means one.
 */
static int climb(const struct shale_index *ix, uint64_t ino, uint32_t n,
		 struct shale_buf *path, struct shale_err *err)
{
	uint64_t mark = ino, steps = 0, next_mark = 1;

	while (ino != SHALE_ROOT_INO) {
		struct shale_entry entry;
		uint64_t dir, pos;

		int r = shale_index_link(ix, ino, n, &dir, &pos, err);
		if (r == 0)
			r = shale_index_entry(ix, pos, &entry, err);
		if (r == 0)
			r = append_reversed(path, &entry, err);
		if (r < 0)
			return r;
		n = 0;
		ino = dir;
		if (ino == mark)
			return shale_err_say(
				err, EUCLEAN,
				"inode %" PRIu64 " lies inside itself", ino);
		if (++steps == next_mark) {
			mark = ino;
			next_mark *= 2;
		}
	}
	return 0;
}

int shale_index_path(const struct shale_index *ix, uint64_t ino, uint32_t n,
		     struct shale_buf *path, struct shale_err *err)
{
	size_t start = path->len;

	if (ino == SHALE_ROOT_INO) {
		if (n > 0)
			return shale_err_set(err, ENOENT, "names of the root");
		return shale_buf_append(path, "/", 1);
	}
	int r = climb(ix, ino, n, path, err);
	if (r < 0)
		path->len = start;
	else
		reverse(path->data + start, path->len - start);
	return r;
}

/* ------------------------------------------------------- path to inode */

/* A walk: where it stands, and the path that is left of it. */
struct walk {
	const struct shale_index *ix;
	uint64_t ino;
	const char *rest, *end;
	struct shale_buf buf; /* holds `rest` once a link was followed */
	unsigned links;
	bool follow_links, follow_last;
};

/* Next name of the path; false at its end. */
static bool next_name(struct walk *w, const char **name, size_t *len)
{
	while (w->rest < w->end && *w->rest == '/')
		w->rest++;
	if (w->rest == w->end)
		return false;
	const char *slash = memchr(w->rest, '/', (size_t)(w->end - w->rest));
	*name = w->rest;
	*len = (size_t)((slash ? slash : w->end) - w->rest);
	w->rest += *len;
	return true;
}

/* Put the target of symlink `ino` before the rest of the path. */
static int follow(struct walk *w, uint64_t ino, struct shale_err *err)
{
	const char *target;
	uint32_t len;

	if (++w->links > MAX_LINKS)
		return shale_err_set(err, ELOOP, "follow symlinks");
	int r = shale_index_target(w->ix, ino, &target, &len, err);
	if (r < 0)
		return r;

	struct shale_buf joined = {0};
	r = shale_buf_append(&joined, target, len);
	if (r == 0)
		r = shale_buf_append(&joined, w->rest,
				     (size_t)(w->end - w->rest));
	if (r < 0) {
		shale_buf_release(&joined);
		return shale_err_set(err, ENOMEM, "follow symlinks");
	}
	shale_buf_release(&w->buf);
	w->buf = joined;
	w->rest = (const char *)joined.data;
	w->end = w->rest + joined.len;
	if (*w->rest == '/')
		w->ino = SHALE_ROOT_INO;
	return 0;
}

static int step(struct walk *w, const char *name, size_t len,
		struct shale_err *err)
{
	struct shale_index_dir dir;
	struct shale_entry entry;

	int r = shale_index_dir(w->ix, w->ino, &dir, err);
	if (r < 0)
		return r;
	if (len == 1 && name[0] == '.')
		return 0;
	if (len == 2 && name[0] == '.' && name[1] == '.') {
		w->ino = dir.parent;
		return 0;
	}
	r = shale_index_lookup(w->ix, w->ino, name, len, &entry, NULL, err);
	if (r < 0)
		return r;
	bool last = w->rest == w->end;
	if (entry.type == S_IFLNK >> 12 && w->follow_links &&
	    (!last || w->follow_last))
		return follow(w, entry.ino, err);
	w->ino = entry.ino;
	return 0;
}

static int walk_path(struct walk *w, uint64_t *ino, struct shale_err *err)
{
	const char *name;
	size_t len;
	int r = 0;

	while (r == 0 && next_name(w, &name, &len))
		r = step(w, name, len, err);

	/* "file/" asks for a directory. */
	struct shale_index_dir dir;
	if (r == 0 && w->rest[-1] == '/')
		r = shale_index_dir(w->ix, w->ino, &dir, err);
	if (r == 0)
		*ino = w->ino;
	return r;
}

int shale_index_find(const struct shale_index *ix, const char *path,
		     uint64_t *ino, struct shale_err *err)
{
	struct walk w = {.ix = ix,
			 .ino = SHALE_ROOT_INO,
			 .rest = path,
			 .end = path + strlen(path)};
	if (!*path) {
		*ino = SHALE_ROOT_INO;
		return 0;
	}
	int r = walk_path(&w, ino, err);
	if (r == -ENOTDIR)
		return shale_err_set(err, ENOENT, "'%s'", path);
	return r;
}

int shale_index_resolve(const struct shale_index *ix, const char *path,
			bool follow_last, uint64_t *ino, struct shale_err *err)
{
	struct walk w = {.ix = ix,
			 .ino = SHALE_ROOT_INO,
			 .rest = path,
			 .end = path + strlen(path),
			 .follow_links = true,
			 .follow_last = follow_last};
	if (!*path) {
		*ino = SHALE_ROOT_INO;
		return 0;
	}
	int r = walk_path(&w, ino, err);
	shale_buf_release(&w.buf);
	return r;
}
