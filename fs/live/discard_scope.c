/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/live/discard_scope.h"

#include "fs/live/names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------ paths */

/* The component at *at, and behind it; 0 at the end. */
static size_t component(const char **at)
{
	*at += strspn(*at, "/");
	return strcspn(*at, "/");
}

static int both(const struct shale_scope *s, uint64_t dir, const char *name,
		size_t len, uint64_t *now, uint64_t *image)
{
	struct shale_node node;
	struct shale_entry e;

	*now = *image = 0;
	int r = shale_live_lookup(s->live, dir, name, len, &node);
	if (r == 0)
		*now = node.ino;
	if (r == 0 || r == -ENOENT || r == -ENOTDIR)
		r = shale_index_lookup(s->last, dir, name, len, &e, NULL, NULL);
	if (r == 0)
		*image = e.ino;
	return r == -ENOENT || r == -ENOTDIR ? 0 : r;
}

static int resolve(const struct shale_scope *s, const char *path,
		   struct shale_top *top, struct shale_err *err)
{
	const char *at = path;

	*top = (struct shale_top){.dir = 1};
	for (top->len = component(&at); top->len;) {
		top->name = at;
		if (shale_names_check(at, top->len) < 0)
			return shale_err_say(err, EINVAL,
					     "'%s' is not a path from the "
					     "workspace's root",
					     path);
		int r = both(s, top->dir, at, top->len, &top->now, &top->image);
		if (r < 0)
			return shale_err_set(err, -r, "look up '%s'", path);
		at += top->len;
		size_t len = component(&at);
		if (!len)
			break;
		if (top->now != top->image)
			return shale_err_say(
				err, top->now || top->image ? EXDEV : ENOKEY,
				"'%.*s' %s; discard that, or all",
				(int)(top->name + top->len - path), path,
				!top->now     ? "is not there any more"
				: !top->image ? "is not in the image"
					      : "is not what the image has "
						"there");
		if (!top->now)
			break;
		top->dir = top->now;
		top->len = len;
	}
	return top->now || top->image
		       ? 0
		       : shale_err_say(err, ENOKEY,
				       "no '%s', neither in the workspace nor "
				       "in its image",
				       path);
}

int shale_scope_open(struct shale_scope *s, const char *const *paths, size_t n,
		     struct shale_err *err)
{
	s->tops = calloc(n, sizeof(*s->tops));
	if (!s->tops)
		return -ENOMEM;
	for (s->n = 0; s->n < n; s->n++) {
		int r = resolve(s, paths[s->n], &s->tops[s->n], err);
		if (r < 0)
			return r;
	}
	return 0;
}

void shale_scope_release(struct shale_scope *s)
{
	free(s->tops);
}

/* --------------------------------------------------------- what is in scope */

bool shale_scope_is_parent(const struct shale_scope *s, uint64_t dir)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->tops[i].dir == dir)
			return true;
	return false;
}

bool shale_scope_is_top(const struct shale_scope *s, uint64_t dir,
			const char *name, size_t len)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->tops[i].dir == dir && s->tops[i].len == len &&
		    !memcmp(s->tops[i].name, name, len))
			return true;
	return false;
}

/* Is the directory at or below one of them in the image? */
static bool image_has_dir(const struct shale_scope *s, uint64_t dir)
{
	struct shale_index_dir at;
	/* As deep as a tree can be: a damaged index may go round. */
	uint64_t most = shale_index_inodes(s->last);

	for (uint64_t depth = 0; depth <= most; depth++) {
		for (size_t i = 0; i < s->n; i++)
			if (s->tops[i].image == dir)
				return true;
		if (dir == 1 || shale_index_dir(s->last, dir, &at, NULL) < 0)
			return false;
		dir = at.parent;
	}
	return false;
}

bool shale_scope_holds(struct shale_scope *s, uint64_t dir)
{
	struct shale_live_node node;
	uint64_t at = dir;

	if (s->dir == dir)
		return s->dir_in;
	s->dir = dir;
	for (s->dir_in = false; !s->dir_in; at = node.attr.parent) {
		s->dir_in = image_has_dir(s, at);
		for (size_t i = 0; i < s->n; i++)
			s->dir_in |= s->tops[i].now == at;
		if (at == 1 || shale_node_load(s->live, at, &node) < 0 ||
		    !node.attr.parent)
			break;
	}
	return s->dir_in;
}

bool shale_scope_image_has(const struct shale_scope *s, uint64_t ino)
{
	uint64_t dir, pos;

	if (image_has_dir(s, ino))
		return true;
	for (uint32_t n = 0;
	     shale_index_link(s->last, ino, n, &dir, &pos, NULL) == 0; n++)
		if (dir != ino && image_has_dir(s, dir))
			return true;
	return false;
}
