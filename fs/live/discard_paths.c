/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/live/discard.h"

#include "fs/live/names.h"
#include "layers/base/cleanup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/*
 * What is at and below some paths.  Costs what has changed in the workspace,
 * not what lies below them: each newer record is asked where it is, now and in
 * the image.
 */

enum { BATCH_MAX = 6 << 20 }; /* what one batch may take, with room to spare */

/* One path: a name in a directory that is the same now and in the image. */
struct top {
	uint64_t dir;
	const char *name;
	size_t len;
	uint64_t now, image; /* inodes there; 0: none */
};

/* How many names more an inode has afterwards. */
struct links {
	uint64_t ino;
	int more;
	bool parent; /* of a top … */
	int dirs;    /* … with so many directories more in it … */
	bool others; /* … and with names that stay changed */
};

struct scope {
	struct shale_discard *d;
	struct top *tops;
	size_t n;
	struct shale_buf links; /* struct links */
	uint64_t dir;           /* asked last, and the answer */
	bool dir_in;
	struct shale_err *err;
};

/* ------------------------------------------------------------------ paths */

/* The component at *at, and behind it; 0 at the end. */
static size_t component(const char **at)
{
	*at += strspn(*at, "/");
	return strcspn(*at, "/");
}

static int both(struct scope *s, uint64_t dir, const char *name, size_t len,
		uint64_t *now, uint64_t *image)
{
	struct shale_node node;
	struct shale_entry e;

	*now = *image = 0;
	int r = shale_live_lookup(s->d->live, dir, name, len, &node);
	if (r == 0)
		*now = node.ino;
	if (r == 0 || r == -ENOENT || r == -ENOTDIR)
		r = shale_index_lookup(s->d->last, dir, name, len, &e, NULL,
				       NULL);
	if (r == 0)
		*image = e.ino;
	return r == -ENOENT || r == -ENOTDIR ? 0 : r;
}

static int resolve(struct scope *s, const char *path, struct top *top)
{
	const char *at = path;

	*top = (struct top){.dir = 1};
	for (top->len = component(&at); top->len;) {
		top->name = at;
		if (shale_names_check(at, top->len) < 0)
			return shale_err_say(s->err, EINVAL,
					     "'%s' is not a path from the "
					     "workspace's root",
					     path);
		int r = both(s, top->dir, at, top->len, &top->now, &top->image);
		if (r < 0)
			return shale_err_set(s->err, -r, "look up '%s'", path);
		at += top->len;
		size_t len = component(&at);
		if (!len)
			break;
		if (top->now != top->image)
			return shale_err_say(
				s->err, top->now || top->image ? EXDEV : ENOKEY,
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
		       : shale_err_say(s->err, ENOKEY,
				       "no '%s', neither in the workspace nor "
				       "in its image",
				       path);
}

/* --------------------------------------------------------- what is in scope */

static bool is_top(const struct scope *s, uint64_t dir, const char *name,
		   size_t len)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->tops[i].dir == dir && s->tops[i].len == len &&
		    !memcmp(s->tops[i].name, name, len))
			return true;
	return false;
}

/* Is the directory at or below a top in the image? */
static bool image_has(const struct scope *s, uint64_t dir)
{
	struct shale_index_dir at;
	/* As deep as a tree can be: a damaged index may go round. */
	uint64_t most = shale_index_inodes(s->d->last);

	for (uint64_t depth = 0; depth <= most; depth++) {
		for (size_t i = 0; i < s->n; i++)
			if (s->tops[i].image == dir)
				return true;
		if (dir == 1 || shale_index_dir(s->d->last, dir, &at, NULL) < 0)
			return false;
		dir = at.parent;
	}
	return false;
}

/* Or is it so now, or below one of those? */
static bool holds(struct scope *s, uint64_t dir)
{
	struct shale_live_node node;
	uint64_t at = dir;

	if (s->dir == dir)
		return s->dir_in;
	s->dir = dir;
	for (s->dir_in = false; !s->dir_in; at = node.attr.parent) {
		s->dir_in = image_has(s, at);
		for (size_t i = 0; i < s->n; i++)
			s->dir_in |= s->tops[i].now == at;
		if (at == 1 || shale_node_load(s->d->live, at, &node) < 0 ||
		    !node.attr.parent)
			break;
	}
	return s->dir_in;
}

/* Does the image have the inode there, under any name? */
static bool image_has_inode(const struct scope *s, uint64_t ino)
{
	uint64_t dir, pos;

	if (image_has(s, ino))
		return true;
	for (uint32_t n = 0;
	     shale_index_link(s->d->last, ino, n, &dir, &pos, NULL) == 0; n++)
		if (dir != ino && image_has(s, dir))
			return true;
	return false;
}

/* ------------------------------------------------------------ the records */

static int note(struct scope *s, uint64_t ino, int more)
{
	struct links l = {.ino = ino, .more = more};

	return shale_buf_append(&s->links, &l, sizeof(l));
}

static int note_parent(struct scope *s, uint64_t ino, int dirs)
{
	struct links l = {.ino = ino, .parent = true, .dirs = dirs};

	return shale_buf_append(&s->links, &l, sizeof(l));
}

/* A name that is not meant: does that matter to the parent of a top? */
static int note_other(struct scope *s, uint64_t dir)
{
	struct links l = {.ino = dir, .parent = true, .others = true};
	bool is_parent = false;

	for (size_t i = 0; i < s->n; i++)
		is_parent |= s->tops[i].dir == dir;
	return is_parent ? shale_buf_append(&s->links, &l, sizeof(l)) : 0;
}

static bool is_dir(uint8_t type)
{
	return type == S_IFDIR >> 12;
}

static int on_name(void *arg, const struct shale_buf *key,
		   const struct shale_buf *value, struct shale_err *err)
{
	struct scope *s = arg;
	struct shale_rec_name rec;
	struct shale_entry e = {0};
	const char *name;
	uint64_t dir;
	size_t len;

	(void)err;
	int r = shale_rec_name_decode(value, &rec, NULL);
	if (r == 0)
		r = shale_key_name_parts(key, &dir, &name, &len);
	if (r < 0 || rec.epoch <= s->d->live->state.committed)
		return r;
	bool top = !holds(s, dir);
	if (top && !is_top(s, dir, name, len))
		return note_other(s, dir);
	r = shale_index_lookup(s->d->last, dir, name, len, &e, NULL, NULL);
	if (r == -ENOENT || r == -ENOTDIR)
		r = 0;
	if (r == 0 && rec.ino)
		r = note(s, rec.ino, -1);
	if (r == 0 && e.ino)
		r = note(s, e.ino, 1);
	if (r == 0 && top)
		r = note_parent(s, dir, is_dir(e.type) - is_dir(rec.type));
	if (r == 0)
		r = shale_discard_name(s->d, dir, name, len, &rec);
	return r == 0 && s->d->ch.batch.ops.len > BATCH_MAX ? -E2BIG : r;
}

static int on_inode(void *arg, const struct shale_buf *key,
		    const struct shale_buf *value, struct shale_err *err)
{
	struct scope *s = arg;
	struct shale_rec_attr rec;
	uint64_t ino;

	(void)err;
	int r = shale_key_ino(key, 'I', &ino);
	if (r == 0)
		r = shale_rec_attr_decode(value, &rec, NULL);
	if (r < 0 || rec.epoch <= s->d->live->state.committed ||
	    !image_has_inode(s, ino))
		return r;
	return note(s, ino, 0);
}

/* ------------------------------------------------------------- the inodes */

struct find {
	uint64_t ino;
	struct shale_buf *name;
};

static bool find_name(void *arg, const char *name, size_t len,
		      const struct shale_node *node, uint64_t next)
{
	const struct find *find = arg;

	(void)next;
	if (node->ino != find->ino || name[0] == '.')
		return true;
	(void)shale_buf_append(find->name, "/", 1);
	(void)shale_buf_append(find->name, name, len);
	return false;
}

/* Two places of a directory, for the message. */
static int moved(struct scope *s, uint64_t ino)
{
	cleanup_buf struct shale_buf now = {0}, then = {0};
	struct find find = {ino, &now};
	struct shale_live_node node;

	(void)shale_index_path(s->d->last, ino, 0, &then, NULL);
	if (shale_node_load(s->d->live, ino, &node) == 0)
		(void)shale_live_readdir(s->d->live, node.attr.parent, 0, false,
					 find_name, &find);
	const char *a = shale_buf_str(&then), *b = shale_buf_str(&now);
	return shale_err_say(s->err, EXDEV,
			     "directory '%s' of the image has moved ('%s' is "
			     "its last name): discard both places at once, or "
			     "all",
			     a ? a : "?", b ? b : "?");
}

static int settle_dir(struct scope *s, const struct links *l,
		      const struct shale_rec_attr *rec, bool in)
{
	int names = (rec->mode && rec->nlink) + l->more;
	uint32_t links = 0;

	int r = shale_discard_image_links(s->d, l->ino, &links);
	if (r < 0)
		return r;
	if (names > 1 || (links && names < 1))
		return moved(s, l->ino);
	if (in || !names)
		return shale_discard_inode(s->d, l->ino, rec,
					   names ? links : 0);
	return 0;
}

/* Is all that has changed of the directory its names, and thus its times? */
static bool only_names(const struct scope *s, uint64_t ino,
		       const struct shale_rec_attr *rec)
{
	cleanup_buf struct shale_buf value = {0};
	struct shale_key key = shale_key_xattrs(ino);
	struct shale_rec_xattrs xattrs = {.epoch = 0};
	struct shale_attr last;

	int r = shale_live_get(s->d->live, &key, &value);
	if (r == 0)
		r = shale_rec_xattrs_decode(&value, &xattrs, NULL);
	return (r == 0 || r == -ENOENT) &&
	       xattrs.epoch <= s->d->live->state.committed &&
	       shale_index_attr(s->d->last, ino, &last, NULL) == 0 &&
	       last.mode == rec->mode && last.uid == rec->uid &&
	       last.gid == rec->gid;
}

/*
 * The directory above: if nothing is left that has changed in it, it is as in
 * the image.  Else it has changed, as by any that makes and removes names.
 */
static int settle_parent(struct scope *s, const struct links *l,
			 struct shale_rec_attr *rec)
{
	uint32_t before = rec->epoch, links;

	if (!l->others && only_names(s, l->ino, rec)) {
		int r = shale_discard_image_links(s->d, l->ino, &links);
		return r < 0 ? r
			     : shale_discard_inode(s->d, l->ino, rec, links);
	}
	rec->epoch = s->d->live->state.epoch;
	rec->nlink = (uint32_t)((int64_t)rec->nlink + l->dirs);
	rec->mtime = rec->ctime = s->d->ch.now;
	shale_change_put_attr(&s->d->ch, l->ino, before, rec);
	return shale_buf_append(&s->d->inodes, &l->ino, sizeof(l->ino));
}

static int settle(struct scope *s, const struct links *l)
{
	struct shale_rec_attr rec;
	struct shale_live_node node;
	bool in = image_has_inode(s, l->ino);

	int r = shale_discard_attr(s->d, l->ino, &rec);
	if (r == -ENOENT) {
		r = shale_node_load(s->d->live, l->ino, &node);
		rec = node.attr;
	}
	if (r < 0)
		return r;
	if (l->parent && !in)
		return settle_parent(s, l, &rec);
	struct shale_attr last = {0};
	(void)shale_index_attr(s->d->last, l->ino, &last, NULL);
	if (S_ISDIR(rec.mode ? rec.mode : last.mode))
		return settle_dir(s, l, &rec, in);
	uint32_t links = (uint32_t)((int64_t)rec.nlink + l->more);
	return in ? shale_discard_inode(s->d, l->ino, &rec, links)
		  : shale_discard_links(s->d, l->ino, &rec, links);
}

static int compare(const void *a, const void *b)
{
	const struct links *x = a, *y = b;
	return x->ino < y->ino ? -1 : x->ino > y->ino;
}

static int settle_all(struct scope *s)
{
	struct links *l = (void *)s->links.data;
	size_t n = s->links.len / sizeof(*l);
	int r = 0;

	if (n)
		qsort(l, n, sizeof(*l), compare);
	for (size_t i = 0, next; r == 0 && i < n; i = next) {
		struct links sum = l[i];
		for (next = i + 1; next < n && l[next].ino == sum.ino; next++) {
			sum.more += l[next].more;
			sum.parent |= l[next].parent;
			sum.dirs += l[next].dirs;
			sum.others |= l[next].others;
		}
		r = settle(s, &sum);
		if (r == 0 && s->d->ch.batch.ops.len > BATCH_MAX)
			r = -E2BIG;
	}
	return r;
}

int shale_discard_paths(struct shale_discard *d, const char *const *paths,
			size_t n, struct shale_err *err)
{
	cleanup_free struct top *tops = calloc(n, sizeof(*tops));
	struct scope s = {.d = d, .tops = tops, .n = n, .err = err};
	struct shale_err said = {0};
	int r = tops ? 0 : -ENOMEM;

	s.err = &said;
	for (size_t i = 0; r == 0 && i < n; i++)
		r = resolve(&s, paths[i], &tops[i]);
	if (r == 0)
		r = shale_live_each(d->live, 'N', on_name, &s, NULL);
	if (r == 0)
		r = shale_live_each(d->live, 'I', on_inode, &s, NULL);
	if (r == 0)
		r = settle_all(&s);
	if (r == 0)
		r = shale_discard_flush(d);
	shale_buf_release(&s.links);
	if (r == 0)
		return 0;
	/* Nothing has happened: there is nothing to forget. */
	d->names.len = d->inodes.len = 0;
	if (r == -E2BIG)
		return shale_err_say(err, E2BIG,
				     "too much has changed there for one step: "
				     "discard parts of it, or all");
	return said.msg[0] ? shale_err_say(err, -r, "%s", said.msg)
			   : shale_err_set(err, -r, "discard");
}
