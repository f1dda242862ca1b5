/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/commit/changes_impl.h"

#include "layers/base/cleanup.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static int note(struct shale_comparison *c, const char *dir, const char *name,
		size_t len, enum shale_seen seen, uint64_t ino, uint8_t type,
		char letter, struct shale_err *err)
{
	struct shale_sighting e = {
		.seen = seen, .ino = ino, .type = type, .letter = letter};

	if (asprintf(&e.path, "%s/%.*s", dir, (int)len, name) < 0)
		return shale_err_set(err, ENOMEM, "list changes");
	if (shale_buf_append(&c->sightings, &e, sizeof(e)) < 0) {
		free(e.path);
		return shale_err_set(err, ENOMEM, "list changes");
	}
	return 0;
}

/* ----------------------------------------------------------------- paths */

static int old_path(const struct shale_comparison *c, uint64_t ino, char **out)
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

static int list_old(struct shale_comparison *c, const struct pending *at,
		    struct shale_buf *stack, struct shale_err *err)
{
	struct shale_index_dir dir;
	struct shale_entry e;

	int r = shale_index_dir(c->old, at->ino, &dir, err);
	for (uint64_t i = 0; r == 0 && i < dir.count; i++) {
		r = shale_index_entry(c->old, dir.first + i, &e, err);
		if (r == 0)
			r = note(c, at->path, e.name, e.name_len,
				 SHALE_SEEN_OLD, e.ino, e.type, 0, err);
		if (r == 0 && e.type == S_IFDIR >> 12)
			r = push(stack, e.ino, at->path, e.name, e.name_len);
	}
	return r;
}

static int list_new(struct shale_comparison *c, const struct pending *at,
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
		r = note(c, at->path, e.name, e.name_len, SHALE_SEEN_NEW, e.ino,
			 e.type, 0, err);
		if (r == 0 && e.type == S_IFDIR >> 12)
			r = push(stack, e.ino, at->path, e.name, e.name_len);
	}
	size_t n = shale_records_dir(&c->delta, at->ino, &first);
	for (size_t i = 0; r == 0 && i < n; i++) {
		const struct shale_records_name *d = &c->delta.names[first + i];
		if (!d->ino)
			continue;
		r = note(c, at->path, d->name, d->len, SHALE_SEEN_NEW, d->ino,
			 d->type, 0, err);
		if (r == 0 && d->type == S_IFDIR >> 12)
			r = push(stack, d->ino, at->path, d->name, d->len);
	}
	return r;
}

/* Everything below a directory that came or went as a whole. */
static int list_below(struct shale_comparison *c, enum shale_seen seen,
		      uint64_t ino, const char *path, struct shale_err *err)
{
	cleanup_buf struct shale_buf stack = {0};

	int r = push(&stack, ino, path, "", 0);
	while (stack.len) {
		struct pending at;
		stack.len -= sizeof(at);
		memcpy(&at, stack.data + stack.len, sizeof(at));
		if (r == 0)
			r = seen == SHALE_SEEN_OLD
				    ? list_old(c, &at, &stack, err)
				    : list_new(c, &at, &stack, err);
		free(at.path);
	}
	return r;
}

/* ------------------------------------------------------------- one record */

static int compare_old_name(struct shale_comparison *c,
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
	r = note(c, dir, n->name, n->len, SHALE_SEEN_OLD, e.ino, e.type, 0,
		 err);
	if (r < 0 || e.type != S_IFDIR >> 12 || e.ino == n->ino)
		return r;
	if (asprintf(&path, "%s/%s", dir, n->name) < 0)
		return -ENOMEM;
	return list_below(c, SHALE_SEEN_OLD, e.ino, path, err);
}

static int compare_new_name(struct shale_comparison *c,
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
	r = note(c, dir, n->name, n->len, SHALE_SEEN_NEW, n->ino, n->type, 0,
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
	return list_below(c, SHALE_SEEN_NEW, n->ino, path, err);
}

struct changed {
	struct shale_comparison *c;
	uint64_t ino;
	uint8_t type;
	char letter;
	struct shale_err *err;
};

static int changed_here(void *arg, const char *dir, const char *name,
			size_t len)
{
	const struct changed *ch = arg;
	return note(ch->c, dir, name, len, SHALE_SEEN_CHANGED, ch->ino,
		    ch->type, ch->letter, ch->err);
}

/* Every name that `ino` has now. */
static int changed_everywhere(struct shale_comparison *c, uint64_t ino,
			      uint8_t type, char letter, struct shale_err *err)
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
	struct shale_comparison *c = arg;
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
	struct shale_comparison *c = arg;
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
	struct shale_comparison *c = arg;
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

int shale_changes_find(struct shale_comparison *c, struct shale_err *err)
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
