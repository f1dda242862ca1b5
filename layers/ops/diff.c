/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/diff.h"

#include "layers/ops/diff_impl.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

/*
 * Both trees are walked together, from the root down.  Of a directory that
 * both have by number, only the marked names are looked up; of any others, all
 * entries are merged.
 *
 * Paths are to come in the order of strcmp(), in which "a-b" lies between "a"
 * and "a/b".  So a directory's entries do not follow it at once: it *waits*
 * while names come that begin with its own and go on with a byte below '/'.
 * Each directory that waits is longer than the one before it, so that they are
 * a stack.
 */

/* A pair of directories that is being walked. */
struct frame {
	uint64_t old_dir, new_dir; /* 0: none */
	size_t path_len;           /* of the path, with its slash */
	size_t waiting;            /* bytes of the stack below its own */
	uint64_t old_at, old_end;  /* entries, where they are merged */
	uint64_t new_at, new_end;
	const struct shale_diff_name *mark, *mark_end; /* or names to look up */
	bool merge;
	bool has_next;              /* what follows is the next name */
	struct shale_entry was, is; /* ino 0: none */
};

/* A directory (of one side, or both) whose entries are still to come. */
struct waiting {
	uint64_t old_dir, new_dir;
	const char *name;
	uint16_t len;
};

struct walk {
	const struct shale_image *old, *fresh;
	const struct shale_diff_opts *opts;
	shale_diff_fn *fn;
	void *arg;
	struct shale_err *err;
	bool related; /* they share layers: an inode number is one inode */
	struct shale_diff_marks marks;
	struct shale_buf frames;  /* struct frame, the innermost last */
	struct shale_buf waiting; /* struct waiting */
	struct shale_buf path;
	size_t asked;
};

static int no_memory(struct walk *w)
{
	return shale_err_set(w->err, ENOMEM, "compare");
}

/* -------------------------------------------------------------- one path */

static char letter_of(const struct shale_difference *d)
{
	unsigned told = d->what & ~(unsigned)SHALE_DIFF_LINKS;

	if (!d->old_ino)
		return 'A';
	if (!d->new_ino)
		return 'D';
	if (told & SHALE_DIFF_TYPE)
		return 'T';
	if (told & SHALE_DIFF_CONTENT)
		return 'M';
	if (S_ISDIR(d->is.mode))
		told &= ~(unsigned)SHALE_DIFF_TIME;
	return told ? 'm' : 0;
}

static int get_attributes(const struct walk *w, struct shale_difference *d)
{
	int r = 0;
	if (d->old_ino)
		r = shale_index_attr(w->old->index, d->old_ino, &d->was,
				     w->err);
	if (r == 0 && d->new_ino)
		r = shale_index_attr(w->fresh->index, d->new_ino, &d->is,
				     w->err);
	return r;
}

/* Tell of two inodes at the path, either of which may be missing. */
static int compare(struct walk *w, uint64_t old_ino, uint64_t new_ino)
{
	const struct shale_diff_inode *said = NULL;
	bool one = w->related && old_ino == new_ino;

	if (one && !(said = shale_diff_marks_inode(&w->marks, old_ino)))
		return 0;
	struct shale_difference d = {
		.path = shale_buf_str(&w->path),
		.len = w->path.len,
		.old_ino = old_ino,
		.new_ino = new_ino,
	};
	if (!d.path)
		return no_memory(w);
	int r = get_attributes(w, &d);
	if (r < 0)
		return r;
	if (!old_ino || !new_ino)
		d.what = 0;
	else if ((d.was.mode ^ d.is.mode) & S_IFMT)
		d.what = SHALE_DIFF_TYPE;
	else
		r = shale_diff_inodes(w->old, w->fresh, one && !said->content,
				      &d, w->err);
	if (r < 0)
		return r;
	if (!S_ISDIR(d.was.mode) && !S_ISDIR(d.is.mode) &&
	    (d.was.nlink > 1 || d.is.nlink > 1))
		d.what |= SHALE_DIFF_LINKS;
	d.letter = letter_of(&d);
	return d.letter || (w->opts->all && d.what) ? w->fn(w->arg, &d) : 0;
}

/* ----------------------------------------------------------- directories */

static bool is_dir(const struct shale_entry *e)
{
	return e->ino && e->type == S_IFDIR >> 12;
}

/* Is there anything to look at in a pair of directories? */
static bool worth_a_walk(const struct walk *w, uint64_t old_dir,
			 uint64_t new_dir)
{
	const struct shale_diff_name *first;
	if (!old_dir && !new_dir)
		return false;
	return !w->related || old_dir != new_dir ||
	       shale_diff_marks_dir(&w->marks, new_dir, &first) > 0;
}

static int enter_index(const struct walk *w, const struct shale_image *image,
		       uint64_t dir, uint64_t *at, uint64_t *end)
{
	struct shale_index_dir d;
	if (!dir)
		return 0;
	int r = shale_index_dir(image->index, dir, &d, w->err);
	if (r == 0) {
		*at = d.first;
		*end = d.first + d.count;
	}
	return r;
}

/* Walk a pair of directories next; the path is theirs, with a slash. */
static int enter(struct walk *w, uint64_t old_dir, uint64_t new_dir)
{
	struct frame f = {
		.old_dir = old_dir,
		.new_dir = new_dir,
		.path_len = w->path.len,
		.waiting = w->waiting.len,
		.merge = !w->related || old_dir != new_dir,
	};
	int r = 0;

	if (f.merge) {
		r = enter_index(w, w->old, old_dir, &f.old_at, &f.old_end);
		if (r == 0)
			r = enter_index(w, w->fresh, new_dir, &f.new_at,
					&f.new_end);
	} else {
		size_t n = shale_diff_marks_dir(&w->marks, new_dir, &f.mark);
		f.mark_end = f.mark + n;
	}
	if (r == 0 && shale_buf_append(&w->frames, &f, sizeof(f)) < 0)
		r = no_memory(w);
	return r;
}

static int look_up(const struct walk *w, const struct shale_image *image,
		   uint64_t dir, const struct shale_diff_name *mark,
		   struct shale_entry *out)
{
	int r = shale_index_lookup(image->index, dir, mark->name, mark->len,
				   out, NULL, w->err);
	if (r == -ENOENT || r == -ENOTDIR) {
		out->ino = 0;
		return 0;
	}
	return r;
}

/* The next marked name that either has; 0: there is none. */
static int next_marked(struct walk *w, struct frame *f)
{
	while (f->mark < f->mark_end) {
		const struct shale_diff_name *mark = f->mark++;
		int r = look_up(w, w->old, f->old_dir, mark, &f->was);
		if (r == 0)
			r = look_up(w, w->fresh, f->new_dir, mark, &f->is);
		if (r < 0)
			return r;
		if (f->was.ino || f->is.ino)
			return 1;
	}
	return 0;
}

static int next_merged(struct walk *w, struct frame *f)
{
	int r = 0, order;

	f->was.ino = f->is.ino = 0;
	if (f->old_at < f->old_end)
		r = shale_index_entry(w->old->index, f->old_at, &f->was,
				      w->err);
	if (r == 0 && f->new_at < f->new_end)
		r = shale_index_entry(w->fresh->index, f->new_at, &f->is,
				      w->err);
	if (r < 0)
		return r;
	if (!f->was.ino && !f->is.ino)
		return 0;
	if (f->was.ino && f->is.ino) {
		order = shale_name_order(f->was.name, f->was.name_len,
					 f->is.name, f->is.name_len);
		if (order > 0)
			f->was.ino = 0;
		else if (order < 0)
			f->is.ino = 0;
	}
	f->old_at += f->was.ino != 0;
	f->new_at += f->is.ino != 0;
	return 1;
}

/* ------------------------------------------------------------------- walk */

static int append_name(struct walk *w, const char *name, size_t len)
{
	return shale_buf_append(&w->path, name, len) < 0 ? no_memory(w) : 0;
}

/* Compare what has the next name, and let directories wait. */
static int take_name(struct walk *w, const struct frame *f)
{
	const struct shale_entry *e = f->was.ino ? &f->was : &f->is;
	struct waiting below = {
		.old_dir = is_dir(&f->was) ? f->was.ino : 0,
		.new_dir = is_dir(&f->is) ? f->is.ino : 0,
		.name = e->name,
		.len = e->name_len,
	};

	w->path.len = f->path_len;
	int r = append_name(w, e->name, e->name_len);
	if (r == 0)
		r = compare(w, f->was.ino, f->is.ino);
	if (r == 0 && worth_a_walk(w, below.old_dir, below.new_dir) &&
	    shale_buf_append(&w->waiting, &below, sizeof(below)) < 0)
		r = no_memory(w);
	return r;
}

/* Does a directory's own slash come before the next name? */
static bool comes_first(const struct waiting *dir, const struct frame *f)
{
	if (!f->has_next)
		return true;
	const struct shale_entry *e = f->was.ino ? &f->was : &f->is;
	return e->name_len <= dir->len ||
	       memcmp(e->name, dir->name, dir->len) != 0 ||
	       (uint8_t)e->name[dir->len] > '/';
}

/* One step of the innermost pair of directories. */
static int step(struct walk *w)
{
	struct frame *f = (void *)(w->frames.data + w->frames.len - sizeof(*f));
	int r = 0;

	if (!f->has_next) {
		r = f->merge ? next_merged(w, f) : next_marked(w, f);
		f->has_next = r > 0;
		if (r < 0)
			return r;
	}
	if (w->waiting.len > f->waiting) {
		struct waiting dir;
		memcpy(&dir, w->waiting.data + w->waiting.len - sizeof(dir),
		       sizeof(dir));
		if (comes_first(&dir, f)) {
			w->waiting.len -= sizeof(dir);
			w->path.len = f->path_len;
			r = append_name(w, dir.name, dir.len);
			if (r == 0)
				r = append_name(w, "/", 1);
			return r < 0 ? r : enter(w, dir.old_dir, dir.new_dir);
		}
	}
	if (!f->has_next) {
		w->frames.len -= sizeof(*f);
		return 0;
	}
	f->has_next = false;
	return take_name(w, f);
}

static int walk_all(struct walk *w)
{
	int r = 0;
	while (r == 0 && w->frames.len) {
		if ((++w->asked & 1023) == 0 && w->opts->cancelled &&
		    w->opts->cancelled(w->opts->arg))
			return shale_err_say(w->err, EINTR, "interrupted");
		r = step(w);
	}
	return r;
}

/* ------------------------------------------------------------------ start */

/* The inode at the path where the comparison begins, and its type; 0: none. */
static int find_start(const struct walk *w, const struct shale_image *image,
		      uint64_t *ino, uint64_t *dir)
{
	const char *path = w->opts->path ? w->opts->path : "/";
	struct shale_attr attr;

	*ino = *dir = 0;
	int r = image ? shale_index_find(image->index, path, ino, w->err)
		      : -ENOENT;
	if (r == -ENOENT) {
		*ino = 0;
		return 0;
	}
	if (r == 0)
		r = shale_index_attr(image->index, *ino, &attr, w->err);
	if (r == 0)
		*dir = S_ISDIR(attr.mode) ? *ino : 0;
	return r;
}

static int start(struct walk *w)
{
	const char *path = w->opts->path ? w->opts->path : "/";
	uint64_t was, old_dir, is, new_dir;

	int r = find_start(w, w->old, &was, &old_dir);
	if (r == 0)
		r = find_start(w, w->fresh, &is, &new_dir);
	if (r < 0)
		return r;
	if (!was && !is)
		return shale_err_say(w->err, ENOENT, "neither has '%s'", path);
	r = append_name(w, path, strlen(path));
	if (r == 0)
		r = compare(w, was, is);
	if (r != 0 || !worth_a_walk(w, old_dir, new_dir))
		return r;
	if (path[1])
		r = append_name(w, "/", 1);
	return r < 0 ? r : enter(w, old_dir, new_dir);
}

int shale_diff(const struct shale_image *old, const struct shale_image *fresh,
	       const struct shale_diff_opts *opts, shale_diff_fn *fn, void *arg,
	       struct shale_err *err)
{
	struct walk w = {
		.old = old,
		.fresh = fresh,
		.opts = opts,
		.fn = fn,
		.arg = arg,
		.err = err,
		.related = opts->old_shared && opts->new_shared,
	};
	int r = 0;

	if (w.related)
		r = shale_diff_marks_find(&w.marks, old, fresh, opts, err);
	if (r == 0)
		r = start(&w);
	if (r == 0)
		r = walk_all(&w);
	shale_diff_marks_release(&w.marks);
	shale_buf_release(&w.frames);
	shale_buf_release(&w.waiting);
	shale_buf_release(&w.path);
	return r;
}
