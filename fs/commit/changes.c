/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/commit/changes.h"

#include "fs/commit/dirs.h"
#include "fs/commit/places.h"
#include "layers/base/cleanup.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* What was found at a path; several may be at one. */
enum seen { SEEN_OLD, SEEN_NEW, SEEN_CHANGED };

struct event {
	char *path;
	enum seen seen;
	uint64_t ino;
	uint8_t type; /* S_IFMT >> 12 */
	char letter;  /* SEEN_CHANGED: 'M' or 'm' */
};

/*
 * The comparison: the tree of the last commit (`old`) with that of the
 * workspace, which is the pinned base under the delta.
 */
struct comparison {
	struct shale_records delta;
	struct shale_places places;
	struct shale_image *base;      /* what the delta lies on */
	const struct shale_index *old; /* of the last commit; may be base's */
	struct shale_image *old_image; /* if it is not base's */
	const struct shale_index *base_ix;
	struct shale_buf events; /* struct event */
};

static void release_comparison(struct comparison *c)
{
	struct event *events = (void *)c->events.data;
	for (size_t i = 0; i < c->events.len / sizeof(*events); i++)
		free(events[i].path);
	shale_buf_release(&c->events);
	shale_places_release(&c->places);
	shale_image_close(c->old_image);
	shale_image_close(c->base);
	shale_records_close(&c->delta);
}

static int add_event(struct comparison *c, const char *dir, const char *name,
		     size_t len, enum seen seen, uint64_t ino, uint8_t type,
		     char letter, struct shale_err *err)
{
	struct event e = {
		.seen = seen, .ino = ino, .type = type, .letter = letter};

	if (asprintf(&e.path, "%s/%.*s", dir, (int)len, name) < 0)
		return shale_err_set(err, ENOMEM, "list changes");
	if (shale_buf_append(&c->events, &e, sizeof(e)) < 0) {
		free(e.path);
		return shale_err_set(err, ENOMEM, "list changes");
	}
	return 0;
}

/* ----------------------------------------------------------------- paths */

static int old_path(const struct comparison *c, uint64_t ino, char **out)
{
	cleanup_buf struct shale_buf path = {0};

	int r = shale_index_path(c->old, ino, 0, &path, NULL);
	if (r < 0)
		return r;
	const char *s = shale_buf_str(&path);
	*out = s ? strdup(strcmp(s, "/") ? s : "") : NULL;
	return *out ? 0 : -ENOMEM;
}

/* -------------------------------------------------------------- subtrees */

/* A directory whose entries are still to be listed. */
struct pending {
	uint64_t ino;
	char *path;
};

static int push(struct shale_buf *stack, uint64_t ino, const char *dir,
		const char *name, size_t len)
{
	struct pending p = {.ino = ino};

	if (stack->len / sizeof(p) > UINT32_MAX ||
	    asprintf(&p.path, "%s%s%.*s", dir, len ? "/" : "", (int)len, name) <
		    0)
		return -ENOMEM;
	if (shale_buf_append(stack, &p, sizeof(p)) < 0) {
		free(p.path);
		return -ENOMEM;
	}
	return 0;
}

static int list_old(struct comparison *c, const struct pending *at,
		    struct shale_buf *stack, struct shale_err *err)
{
	struct shale_index_dir dir;
	struct shale_entry e;

	int r = shale_index_dir(c->old, at->ino, &dir, err);
	for (uint64_t i = 0; r == 0 && i < dir.count; i++) {
		r = shale_index_entry(c->old, dir.first + i, &e, err);
		if (r == 0)
			r = add_event(c, at->path, e.name, e.name_len, SEEN_OLD,
				      e.ino, e.type, 0, err);
		if (r == 0 && e.type == S_IFDIR >> 12)
			r = push(stack, e.ino, at->path, e.name, e.name_len);
	}
	return r;
}

static int list_new(struct comparison *c, const struct pending *at,
		    struct shale_buf *stack, struct shale_err *err)
{
	struct shale_index_dir dir = {0};
	struct shale_entry e;
	size_t first;
	int r = 0;

	if (shale_index_dir(c->base_ix, at->ino, &dir, NULL) < 0)
		dir.count = 0; /* a new directory */
	for (uint64_t i = 0; r == 0 && i < dir.count; i++) {
		r = shale_index_entry(c->base_ix, dir.first + i, &e, err);
		if (r < 0 ||
		    shale_records_find(&c->delta, at->ino, e.name, e.name_len))
			continue;
		r = add_event(c, at->path, e.name, e.name_len, SEEN_NEW, e.ino,
			      e.type, 0, err);
		if (r == 0 && e.type == S_IFDIR >> 12)
			r = push(stack, e.ino, at->path, e.name, e.name_len);
	}
	size_t n = shale_records_dir(&c->delta, at->ino, &first);
	for (size_t i = 0; r == 0 && i < n; i++) {
		const struct shale_records_name *d = &c->delta.names[first + i];
		if (!d->ino)
			continue;
		r = add_event(c, at->path, d->name, d->len, SEEN_NEW, d->ino,
			      d->type, 0, err);
		if (r == 0 && d->type == S_IFDIR >> 12)
			r = push(stack, d->ino, at->path, d->name, d->len);
	}
	return r;
}

/* Everything below a directory that came or went as a whole. */
static int list_below(struct comparison *c, enum seen seen, uint64_t ino,
		      const char *path, struct shale_err *err)
{
	cleanup_buf struct shale_buf stack = {0};

	int r = push(&stack, ino, path, "", 0);
	while (stack.len) {
		struct pending at;
		stack.len -= sizeof(at);
		memcpy(&at, stack.data + stack.len, sizeof(at));
		if (r == 0)
			r = seen == SEEN_OLD ? list_old(c, &at, &stack, err)
					     : list_new(c, &at, &stack, err);
		free(at.path);
	}
	return r;
}

/* ------------------------------------------------------------- one record */

static int compare_old_name(struct comparison *c,
			    const struct shale_records_name *n,
			    struct shale_err *err)
{
	cleanup_free char *dir = NULL, *path = NULL;
	struct shale_entry e;

	if (shale_index_lookup(c->old, n->dir, n->name, n->len, &e, NULL,
			       NULL) < 0)
		return 0;
	int r = old_path(c, n->dir, &dir);
	if (r < 0)
		return r;
	r = add_event(c, dir, n->name, n->len, SEEN_OLD, e.ino, e.type, 0, err);
	if (r < 0 || e.type != S_IFDIR >> 12 || e.ino == n->ino)
		return r;
	if (asprintf(&path, "%s/%s", dir, n->name) < 0)
		return -ENOMEM;
	return list_below(c, SEEN_OLD, e.ino, path, err);
}

static int compare_new_name(struct comparison *c,
			    const struct shale_records_name *n,
			    struct shale_err *err)
{
	cleanup_free char *path = NULL;
	struct shale_entry e;
	const char *dir;

	if (!n->ino)
		return 0;
	int r = shale_places_dir(&c->places, n->dir, &dir);
	if (r == -ENOENT)
		return 0; /* the directory went, with all that was in it */
	if (r < 0)
		return r;
	r = add_event(c, dir, n->name, n->len, SEEN_NEW, n->ino, n->type, 0,
		      err);
	if (r < 0 || n->type != S_IFDIR >> 12)
		return r;
	/* A directory that was made lists its own names; one that moved
	 * brings along what has no records. */
	if (shale_index_lookup(c->old, n->dir, n->name, n->len, &e, NULL,
			       NULL) == 0 &&
	    e.ino == n->ino)
		return 0;
	if (asprintf(&path, "%s/%s", dir, n->name) < 0)
		return -ENOMEM;
	return list_below(c, SEEN_NEW, n->ino, path, err);
}

struct changed {
	struct comparison *c;
	uint64_t ino;
	uint8_t type;
	char letter;
	struct shale_err *err;
};

static int changed_here(void *arg, const char *dir, const char *name,
			size_t len)
{
	const struct changed *ch = arg;
	return add_event(ch->c, dir, name, len, SEEN_CHANGED, ch->ino, ch->type,
			 ch->letter, ch->err);
}

/* Every name that `ino` has now. */
static int changed_everywhere(struct comparison *c, uint64_t ino, uint8_t type,
			      char letter, struct shale_err *err)
{
	struct changed ch = {c, ino, type, letter, err};
	return shale_places_each(&c->places, ino, changed_here, &ch);
}

/* A directory's times change with its names, which are listed themselves. */
static bool same_attr(const struct shale_rec_attr *rec,
		      const struct shale_attr *old)
{
	return rec->mode == old->mode && rec->uid == old->uid &&
	       rec->gid == old->gid && rec->rdev_major == old->rdev_major &&
	       rec->rdev_minor == old->rdev_minor &&
	       (S_ISDIR(rec->mode) ||
		(rec->mtime.tv_sec == old->mtime.tv_sec &&
		 rec->mtime.tv_nsec == old->mtime.tv_nsec));
}

static int on_attr(void *arg, const struct shale_buf *key,
		   const struct shale_buf *value, struct shale_err *err)
{
	struct comparison *c = arg;
	struct shale_rec_attr rec;
	struct shale_attr old;
	uint64_t ino;

	int r = shale_key_ino(key, 'I', &ino);
	if (r == 0)
		r = shale_rec_attr_decode(value, &rec, err);
	if (r < 0 || rec.epoch <= c->delta.state.committed || rec.mode == 0 ||
	    shale_index_attr(c->old, ino, &old, NULL) < 0 ||
	    same_attr(&rec, &old))
		return r;
	return changed_everywhere(c, ino, (uint8_t)(rec.mode >> 12), 'm', err);
}

static int on_content(void *arg, const struct shale_buf *key,
		      const struct shale_buf *value, struct shale_err *err)
{
	struct comparison *c = arg;
	struct shale_rec_content rec = {0};
	struct shale_attr old;
	uint64_t ino;

	int r = shale_key_ino(key, 'C', &ino);
	if (r == 0)
		r = shale_rec_content_decode(value, &rec, err);
	uint32_t epoch = rec.epoch;
	if (r == 0)
		shale_rec_content_release(&rec);
	if (r < 0 || epoch <= c->delta.state.committed ||
	    shale_index_attr(c->old, ino, &old, NULL) < 0)
		return r;
	return changed_everywhere(c, ino, S_IFREG >> 12, 'M', err);
}

static int on_xattrs(void *arg, const struct shale_buf *key,
		     const struct shale_buf *value, struct shale_err *err)
{
	struct comparison *c = arg;
	struct shale_rec_xattrs rec;
	struct shale_attr old;
	uint64_t ino;

	int r = shale_key_ino(key, 'X', &ino);
	if (r == 0)
		r = shale_rec_xattrs_decode(value, &rec, err);
	if (r < 0 || rec.epoch <= c->delta.state.committed ||
	    shale_index_attr(c->old, ino, &old, NULL) < 0)
		return r;
	return changed_everywhere(c, ino, (uint8_t)(old.mode >> 12), 'm', err);
}

static int find_changes(struct comparison *c, struct shale_err *err)
{
	int r = shale_records_load_names(&c->delta, err);

	for (size_t i = 0; r == 0 && i < c->delta.n; i++) {
		const struct shale_records_name *n = &c->delta.names[i];
		if (n->epoch <= c->delta.state.committed)
			continue;
		r = compare_old_name(c, n, err);
		if (r == 0)
			r = compare_new_name(c, n, err);
	}
	if (r == 0)
		r = shale_records_each(&c->delta, 'I', on_attr, c, err);
	if (r == 0)
		r = shale_records_each(&c->delta, 'C', on_content, c, err);
	if (r == 0)
		r = shale_records_each(&c->delta, 'X', on_xattrs, c, err);
	return r;
}

/* ---------------------------------------------------------------- letters */

static int compare_events(const void *a, const void *b)
{
	const struct event *x = a, *y = b;
	int c = strcmp(x->path, y->path);
	return c ? c : (int)x->seen - (int)y->seen;
}

/* A directory made again in the place of another may be as that was. */
static int judge_dirs(const struct comparison *c, const struct event *old,
		      const struct event *fresh, char *letter,
		      struct shale_err *err)
{
	bool same;
	int r = shale_dirs_same(&c->delta, c->base_ix, fresh->ino, c->old,
				old->ino, &same, err);
	if (r == 0)
		*letter = same ? 0 : 'm';
	return r;
}

/* The letter for all that was seen at one path; 0: nothing changed. */
static int judge(const struct comparison *c, const struct event *e, size_t n,
		 char *letter, struct shale_err *err)
{
	const struct event *old = NULL, *fresh = NULL;
	char changed = 0;

	for (size_t i = 0; i < n; i++) {
		if (e[i].seen == SEEN_OLD)
			old = &e[i];
		else if (e[i].seen == SEEN_NEW)
			fresh = &e[i];
		else if (changed != 'M')
			changed = e[i].letter;
	}
	if (old && fresh && old->ino != fresh->ino &&
	    old->type == S_IFDIR >> 12 && old->type == fresh->type)
		return judge_dirs(c, old, fresh, letter, err);
	if (old && !fresh)
		*letter = 'D';
	else if (fresh && !old)
		*letter = 'A';
	else if (!old || old->ino == fresh->ino)
		*letter = changed;
	else
		*letter = old->type != fresh->type ? 'T' : 'M';
	return 0;
}

static int report(struct comparison *c, shale_change_fn *fn, void *arg,
		  struct shale_err *err)
{
	struct event *events = (void *)c->events.data;
	size_t n = c->events.len / sizeof(*events);

	if (n)
		qsort(events, n, sizeof(*events), compare_events);
	for (size_t i = 0, run; i < n; i += run) {
		for (run = 1; i + run < n &&
			      !strcmp(events[i].path, events[i + run].path);
		     run++)
			;
		struct shale_change change = {
			.path = events[i].path,
			.len = strlen(events[i].path),
		};
		int r = judge(c, &events[i], run, &change.letter, err);
		if (r == 0 && change.letter)
			r = fn(arg, &change);
		if (r != 0)
			return r;
	}
	return 0;
}

/* ---------------------------------------------------------------- images */

/* The image of that number (0: what the workspace was made from). */
static int open_numbered(struct comparison *c, struct shale_store *store,
			 uint32_t number, struct shale_image **out,
			 struct shale_err *err)
{
	struct shale_rec_image image;

	int r = shale_records_image(&c->delta, number, &image, err);
	return r < 0 ? r
		     : shale_store_open_manifests(store, image.manifest,
						  image.n, true, out, err);
}

int shale_changes_list(struct shale_store *store, const char *workspace,
		       bool mounted, shale_change_fn *fn, void *arg,
		       struct shale_err *err)
{
	SHALE_CLEANUP(release_comparison) struct comparison c = {0};

	int r = shale_records_open(&c.delta, shale_store_dirfd(store),
				   workspace, mounted, err);
	if (r < 0 || c.delta.untouched)
		return r;
	const struct shale_rec_state *state = &c.delta.state;
	r = open_numbered(&c, store, state->pinned, &c.base, err);
	if (r == 0 && state->last && state->last != state->pinned)
		r = open_numbered(&c, store, state->last, &c.old_image, err);
	if (r < 0)
		return r;
	c.base_ix = c.base->index;
	c.places =
		(struct shale_places){.records = &c.delta, .base = c.base_ix};
	c.old = c.old_image ? c.old_image->index : c.base->index;
	r = find_changes(&c, err);
	return r < 0 ? r : report(&c, fn, arg, err);
}
