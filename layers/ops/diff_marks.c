/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/diff_impl.h"

#include "layers/ops/inodemap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct marking {
	struct shale_diff_marks *marks;
	const struct shale_diff_opts *opts;
	struct shale_err *err;
	size_t asked;
};

void shale_diff_marks_release(struct shale_diff_marks *marks)
{
	shale_buf_release(&marks->inodes);
	shale_buf_release(&marks->names);
}

static int no_memory(struct marking *m)
{
	return shale_err_set(m->err, ENOMEM, "compare");
}

static int stopped(struct marking *m)
{
	if ((++m->asked & 4095) == 0 && m->opts->cancelled &&
	    m->opts->cancelled(m->opts->arg))
		return shale_err_say(m->err, EINTR, "interrupted");
	return 0;
}

/* ------------------------------------------------------------------ order */

static int by_ino(const void *a, const void *b)
{
	const struct shale_diff_inode *x = a, *y = b;
	return (x->ino > y->ino) - (x->ino < y->ino);
}

static int by_name(const void *a, const void *b)
{
	const struct shale_diff_name *x = a, *y = b;
	if (x->dir != y->dir)
		return x->dir < y->dir ? -1 : 1;
	return shale_name_order(x->name, x->len, y->name, y->len);
}

static void sort_inodes(struct shale_buf *buf)
{
	struct shale_diff_inode *v = (void *)buf->data;
	size_t n = buf->len / sizeof(*v), kept = 0;

	if (n)
		qsort(v, n, sizeof(*v), by_ino);
	for (size_t i = 0; i < n; i++) {
		if (kept && v[kept - 1].ino == v[i].ino)
			v[kept - 1].content |= v[i].content;
		else
			v[kept++] = v[i];
	}
	buf->len = kept * sizeof(*v);
}

static void sort_names(struct shale_buf *buf)
{
	struct shale_diff_name *v = (void *)buf->data;
	size_t n = buf->len / sizeof(*v), kept = 0;

	if (n)
		qsort(v, n, sizeof(*v), by_name);
	for (size_t i = 0; i < n; i++)
		if (!kept || by_name(&v[kept - 1], &v[i]) != 0)
			v[kept++] = v[i];
	buf->len = kept * sizeof(*v);
}

/* ----------------------------------------------------------- what is said */

static int read_inodes(struct marking *m, const struct shale_tree *tree)
{
	uint64_t n = shale_tree_count(tree, SHALE_TREE_INODES);
	int r = 0;

	for (uint64_t i = 0; r == 0 && i < n; i++) {
		struct shale_inode in;
		r = shale_tree_inode(tree, i, &in, m->err);
		if (r < 0)
			return r;
		struct shale_diff_inode said = {
			.ino = in.attr.ino,
			/* a tombstone: what it held is another file's now */
			.content = in.content != SHALE_CONTENT_SAME ||
				   in.attr.mode == 0,
		};
		if (shale_buf_append(&m->marks->inodes, &said, sizeof(said)) <
		    0)
			return no_memory(m);
		r = stopped(m);
	}
	return r;
}

static int read_names(struct marking *m, const struct shale_tree *tree)
{
	uint64_t n = shale_tree_count(tree, SHALE_TREE_DIRENTS);
	int r = 0;

	for (uint64_t i = 0; r == 0 && i < n; i++) {
		struct shale_dirent d;
		r = shale_tree_dirent(tree, i, &d, m->err);
		if (r < 0)
			return r;
		struct shale_diff_name said = {
			.dir = d.dir, .name = d.name, .len = d.name_len};
		if (shale_buf_append(&m->marks->names, &said, sizeof(said)) < 0)
			return no_memory(m);
		r = stopped(m);
	}
	return r;
}

static int read_layers(struct marking *m, const struct shale_image *image,
		       size_t shared)
{
	int r = 0;
	for (size_t i = shared; r == 0 && i < image->n_trees; i++) {
		r = read_inodes(m, image->trees[i]);
		if (r == 0)
			r = read_names(m, image->trees[i]);
	}
	return r;
}

/* ------------------------------------------------------ and where that is */

/* The directories above what was said, that a walk has to pass. */
struct above {
	const struct shale_index *ix;
	struct shale_buf names; /* struct shale_diff_name, to be added */
	struct shale_buf todo;  /* uint64_t: directories */
	struct shale_inodemap seen;
};

/* A directory to go up from, once. */
static int push(struct above *up, uint64_t dir, struct shale_err *err)
{
	struct shale_inodemap_slot *slot;
	int r = shale_inodemap_find(&up->seen, 0, dir, &slot, err);
	if (r < 0 || slot->inode)
		return r;
	slot->inode = 1;
	return shale_buf_append(&up->todo, &dir, sizeof(dir)) < 0
		       ? shale_err_set(err, ENOMEM, "compare")
		       : 0;
}

static int add_link(struct above *up, uint64_t dir, uint64_t pos,
		    struct shale_err *err)
{
	struct shale_entry e;
	int r = shale_index_entry(up->ix, pos, &e, err);
	if (r < 0)
		return r;
	struct shale_diff_name name = {
		.dir = dir, .name = e.name, .len = e.name_len};
	if (shale_buf_append(&up->names, &name, sizeof(name)) < 0)
		return shale_err_set(err, ENOMEM, "compare");
	return push(up, dir, err);
}

/* All names of an inode, if this image has it. */
static int add_links(struct marking *m, struct above *up, uint64_t ino)
{
	int r = 0;
	for (uint32_t n = 0; r == 0; n++) {
		uint64_t dir, pos;
		if (ino == SHALE_ROOT_INO)
			return 0;
		r = shale_index_link(up->ix, ino, n, &dir, &pos, m->err);
		if (r == 0)
			r = add_link(up, dir, pos, m->err);
		if (r == 0)
			r = stopped(m);
	}
	return r == -ENOENT ? 0 : r;
}

static int start_climb(struct marking *m, struct above *up)
{
	const struct shale_diff_inode *in = (void *)m->marks->inodes.data;
	const struct shale_diff_name *name = (void *)m->marks->names.data;
	size_t inodes = m->marks->inodes.len / sizeof(*in);
	size_t names = m->marks->names.len / sizeof(*name);
	int r = 0;

	for (size_t i = 0; r == 0 && i < inodes; i++)
		r = add_links(m, up, in[i].ino);
	for (size_t i = 0; r == 0 && i < names; i++) {
		if (!i || name[i].dir != name[i - 1].dir)
			r = push(up, name[i].dir, m->err);
	}
	return r;
}

/* Names through which one image reaches what was said, into `out`. */
static int climb(struct marking *m, const struct shale_image *image,
		 struct shale_buf *out)
{
	struct above up = {.ix = image->index};

	int r = start_climb(m, &up);
	while (r == 0 && up.todo.len) {
		uint64_t dir;
		up.todo.len -= sizeof(dir);
		memcpy(&dir, up.todo.data + up.todo.len, sizeof(dir));
		r = add_links(m, &up, dir);
	}
	if (r == 0 && up.names.len &&
	    shale_buf_append(out, up.names.data, up.names.len) < 0)
		r = no_memory(m);
	shale_buf_release(&up.names);
	shale_buf_release(&up.todo);
	shale_inodemap_release(&up.seen);
	return r;
}

int shale_diff_marks_find(struct shale_diff_marks *marks,
			  const struct shale_image *old,
			  const struct shale_image *fresh,
			  const struct shale_diff_opts *opts,
			  struct shale_err *err)
{
	struct marking m = {.marks = marks, .opts = opts, .err = err};
	cleanup_buf struct shale_buf more = {0};

	int r = read_layers(&m, old, opts->old_shared);
	if (r == 0)
		r = read_layers(&m, fresh, opts->new_shared);
	if (r < 0)
		return r;
	sort_inodes(&marks->inodes);
	sort_names(&marks->names);
	/* One of the two is enough: what leads there in the other one alone is
	 * itself a name that a layer says, and its directory a place to climb
	 * from. */
	r = climb(&m, old, &more);
	if (r == 0 && more.len &&
	    shale_buf_append(&marks->names, more.data, more.len) < 0)
		r = no_memory(&m);
	if (r == 0)
		sort_names(&marks->names);
	return r;
}

/* --------------------------------------------------------------- look-up */

const struct shale_diff_inode *
shale_diff_marks_inode(const struct shale_diff_marks *marks, uint64_t ino)
{
	struct shale_diff_inode key = {.ino = ino};
	size_t n = marks->inodes.len / sizeof(key);
	return n ? bsearch(&key, marks->inodes.data, n, sizeof(key), by_ino)
		 : NULL;
}

size_t shale_diff_marks_dir(const struct shale_diff_marks *marks, uint64_t dir,
			    const struct shale_diff_name **first)
{
	const struct shale_diff_name *v = (const void *)marks->names.data;
	size_t all = marks->names.len / sizeof(*v), lo = 0, hi = all;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (v[mid].dir < dir)
			lo = mid + 1;
		else
			hi = mid;
	}
	size_t n = 0;
	while (lo + n < all && v[lo + n].dir == dir)
		n++;
	*first = v + lo;
	return n;
}
