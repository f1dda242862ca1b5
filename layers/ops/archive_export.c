/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/export.h"

#include "layers/base/buf.h"
#include "layers/base/cleanup.h"
#include "layers/ops/archive_ahead.h"
#include "layers/ops/inodemap.h"

#include <string.h>
#include <sys/stat.h>

/*
 * Walks the tree as an import of a directory does: a directory before what is
 * in it, names by their bytes, a file's content with its first name.  So an
 * archive that is imported again gives the same blobs.
 */

/* So many runs of data of one file are told apart; the rest is one. */
enum { RUNS_MAX = 65536 };

/* A directory on the way down. */
struct frame {
	uint64_t next, end; /* its entries to come */
	size_t path_len;    /* of its path, slash included */
};

struct walk {
	const struct shale_image *image;
	const struct shale_export_opts *opts;
	const struct shale_archive_form *form;
	struct shale_archive_ahead *ahead;
	struct shale_export_result *sum;
	struct shale_buf stack, path, target, runs;
	struct shale_inodemap links; /* inode to offset in `firsts`, plus 1 */
	struct shale_buf firsts;     /* char *: paths of first names */
	uint64_t done, total;
};

static void release(struct walk *w)
{
	char **first = (void *)w->firsts.data;
	for (size_t i = 0; i < w->firsts.len / sizeof(*first); i++)
		free(first[i]);
	shale_buf_release(&w->firsts);
	shale_buf_release(&w->stack);
	shale_buf_release(&w->path);
	shale_buf_release(&w->target);
	shale_buf_release(&w->runs);
	shale_inodemap_release(&w->links);
}

/* ------------------------------------------------------------------ telling */

static void say(struct walk *w, const char *path, const char *what)
{
	cleanup_buf struct shale_buf text = {0};
	if (w->opts->problem && shale_buf_printf(&text, "/%s", path) == 0)
		w->opts->problem(w->opts->arg, shale_buf_str(&text), what);
}

static void on_written(void *arg, const char *path, uint64_t size,
		       const char *lacks)
{
	struct walk *w = arg;
	w->sum->made++;
	w->sum->bytes += size;
	if (lacks) {
		w->sum->xattrs++;
		say(w, path, lacks);
	}
	if (w->opts->progress && w->sum->made % 128 == 1)
		w->opts->progress(w->opts->arg, w->done, w->total, w->sum->made,
				  path);
}

static void on_progress(void *arg, uint64_t len)
{
	struct walk *w = arg;
	w->done += len;
	if (w->opts->progress)
		w->opts->progress(w->opts->arg, w->done, w->total, w->sum->made,
				  NULL);
}

/* ----------------------------------------------------------------- contents */

/* Runs of data; `*whole`: one, of everything. */
static int find_runs(struct walk *w, const struct shale_content *c, bool *whole,
		     struct shale_err *err)
{
	uint64_t off = 0;
	size_t n = 0;
	w->runs.len = 0;
	while (off < c->size) {
		struct shale_archive_run run;
		uint64_t hole = c->size;
		int r = shale_content_seek(c, off, true, &run.off, err);
		if (r == -ENXIO)
			break;
		if (r == 0 && n + 1 < RUNS_MAX)
			r = shale_content_seek(c, run.off, false, &hole, err);
		if (r < 0)
			return r;
		run.len = hole - run.off;
		if (shale_buf_append(&w->runs, &run, sizeof(run)) < 0)
			return shale_err_set(err, ENOMEM, "holes of a file");
		n++;
		off = hole;
	}
	const struct shale_archive_run *first = (void *)w->runs.data;
	*whole = !c->size || (n == 1 && first->len == c->size);
	return 0;
}

static int queue_content(struct walk *w, uint64_t ino, uint64_t size,
			 struct shale_err *err)
{
	const struct shale_archive_run *run = (void *)w->runs.data;
	size_t n = w->runs.len / sizeof(*run);
	uint64_t at = 0;
	int r = 0;
	for (size_t i = 0; i < n && r == 0; i++) {
		r = shale_archive_ahead_hole(w->ahead, run[i].off - at, err);
		if (r == 0)
			r = shale_archive_ahead_data(w->ahead, ino, run[i].off,
						     run[i].len, err);
		at = run[i].off + run[i].len;
	}
	return r < 0 ? r : shale_archive_ahead_hole(w->ahead, size - at, err);
}

static int take_file(struct walk *w, struct shale_archive_member *m,
		     struct shale_err *err)
{
	struct shale_content content;
	bool whole = true;
	int r = shale_image_content(w->image, m->attr.ino, &content, err);
	if (r == 0)
		r = find_runs(w, &content, &whole, err);
	if (r < 0)
		return r;
	if (!whole) {
		static const struct shale_archive_run none;
		m->n_runs = w->runs.len / sizeof(none);
		m->runs = m->n_runs ? (const void *)w->runs.data : &none;
	}
	m->attr.size = content.size;
	r = shale_archive_ahead_member(w->ahead, m, err);
	return r < 0 ? r : queue_content(w, m->attr.ino, content.size, err);
}

/* ------------------------------------------------------------------ entries */

/* The first name of an inode with several goes as it is; m->link for others. */
static int take_link(struct walk *w, struct shale_archive_member *m,
		     struct shale_err *err)
{
	struct shale_inodemap_slot *slot;
	int r = shale_inodemap_find(&w->links, 0, m->attr.ino, &slot, err);
	if (r < 0)
		return r;
	char **first = (void *)w->firsts.data;
	if (slot->inode) {
		m->link = first[slot->inode - 1];
		return 0;
	}
	char *copy = strdup(m->path);
	if (!copy || shale_buf_append(&w->firsts, &copy, sizeof(copy)) < 0) {
		free(copy);
		return shale_err_set(err, ENOMEM, "names of a file");
	}
	slot->inode = (uint32_t)(w->firsts.len / sizeof(copy));
	return 0;
}

static int fill_member(struct walk *w, struct shale_archive_member *m,
		       struct shale_err *err)
{
	const struct shale_index *ix = w->image->index;
	int r = 0;
	if (!w->opts->no_xattrs)
		r = shale_index_xattrs(ix, m->attr.ino, &m->xattrs,
				       &m->xattr_len, err);
	if (r == 0 && S_ISLNK(m->attr.mode)) {
		const char *target;
		uint32_t len;
		r = shale_index_target(ix, m->attr.ino, &target, &len, err);
		if (r < 0)
			return r;
		w->target.len = 0;
		if (shale_buf_append(&w->target, target, len) < 0 ||
		    !(m->target = shale_buf_str(&w->target)))
			return shale_err_set(err, ENOMEM, "a target");
	}
	if (r == 0 && m->attr.nlink > 1 && !S_ISDIR(m->attr.mode) &&
	    w->form->format == SHALE_FORM_TAR)
		r = take_link(w, m, err);
	return r;
}

/* The inode `ino` under w->path. */
static int take(struct walk *w, uint64_t ino, struct shale_err *err)
{
	struct shale_archive_member m = {.path = shale_buf_str(&w->path)};
	if (!m.path)
		return shale_err_set(err, ENOMEM, "a path");
	int r = shale_index_attr(w->image->index, ino, &m.attr, err);
	if (r < 0)
		return r;
	const char *cannot = shale_archive_cannot_hold(w->form, m.attr.mode);
	if (cannot) {
		w->sum->left_out++;
		say(w, m.path, cannot);
		return 0;
	}
	r = fill_member(w, &m, err);
	if (r < 0)
		return r;
	if (S_ISREG(m.attr.mode) && !m.link)
		return take_file(w, &m, err);
	m.attr.size = 0;
	return shale_archive_ahead_member(w->ahead, &m, err);
}

static int enter(struct walk *w, uint64_t ino, struct shale_err *err)
{
	struct shale_index_dir dir;
	int r = shale_index_dir(w->image->index, ino, &dir, err);
	if (r < 0)
		return r;
	if (w->path.len && shale_buf_append(&w->path, "/", 1) < 0)
		return shale_err_set(err, ENOMEM, "a path");
	struct frame frame = {
		.next = dir.first,
		.end = dir.first + dir.count,
		.path_len = w->path.len,
	};
	if (shale_buf_append(&w->stack, &frame, sizeof(frame)) < 0)
		return shale_err_set(err, ENOMEM, "directories");
	return 0;
}

/* The next entry of the directory on top. */
static int step(struct walk *w, struct shale_err *err)
{
	struct frame *top = (void *)(w->stack.data + w->stack.len);
	struct shale_entry entry;
	top--;
	if (top->next == top->end) {
		w->stack.len -= sizeof(*top);
		return 0;
	}
	w->path.len = top->path_len;
	int r = shale_index_entry(w->image->index, top->next++, &entry, err);
	if (r == 0 &&
	    shale_buf_append(&w->path, entry.name, entry.name_len) < 0)
		r = shale_err_set(err, ENOMEM, "a path");
	if (r == 0)
		r = take(w, entry.ino, err);
	if (r == 0 && entry.type == S_IFDIR >> 12)
		r = enter(w, entry.ino, err);
	if (r == 0 && w->opts->cancelled && w->opts->cancelled(w->opts->arg))
		r = shale_err_say(err, EINTR, "interrupted");
	return r;
}

static int walk(struct walk *w, uint64_t ino, const char *name,
		struct shale_err *err)
{
	struct shale_attr attr;
	int r = shale_index_attr(w->image->index, ino, &attr, err);
	bool dir = r == 0 && S_ISDIR(attr.mode);
	if (r == 0 && !dir &&
	    shale_buf_append(&w->path, name, strlen(name)) < 0)
		r = shale_err_set(err, ENOMEM, "a path");
	if (r == 0)
		r = take(w, ino, err);
	if (dir && r == 0)
		r = enter(w, ino, err);
	while (r == 0 && w->stack.len)
		r = step(w, err);
	return r == 0 ? shale_archive_ahead_finish(w->ahead, err) : r;
}

int shale_export_archive(const struct shale_image *image, uint64_t ino,
			 const char *name, int fd,
			 const struct shale_archive_form *form,
			 const struct shale_export_opts *opts,
			 struct shale_export_result *result,
			 struct shale_err *err)
{
	struct shale_export_result sum = {0};
	struct walk w = {
		.image = image,
		.opts = opts,
		.form = form,
		.sum = &sum,
		.total = shale_index_bytes(image->index),
	};
	const struct shale_archive_ahead_opts ahead = {
		.threads = opts->threads,
		.written = on_written,
		.progress = on_progress,
		.arg = &w,
	};
	struct shale_archive_out *out = NULL;
	int r = shale_archive_out_new(&out, fd, form, opts->cancelled,
				      opts->arg, err);
	if (r == 0)
		r = shale_archive_ahead_new(&w.ahead, image, out, &ahead, err);
	if (r == 0)
		r = walk(&w, ino, name, err);
	if (r == 0)
		r = shale_archive_out_end(out, err);
	shale_archive_ahead_free(w.ahead);
	shale_archive_out_free(out);
	release(&w);
	*result = sum;
	return r;
}
