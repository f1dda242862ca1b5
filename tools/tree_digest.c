/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/tree_digest.h"

#include "layers/base/buf.h"
#include "layers/base/bytes.h"
#include "layers/base/cleanup.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

enum { READ_STEP = 1 << 20 };

/* A directory that is being walked; paths end where its own does. */
struct level {
	uint64_t next, end; /* entries still to come */
	size_t path_len;
};

/* First path of an inode with several names. */
struct seen {
	uint64_t ino; /* 0: free slot */
	size_t off, len;
};

struct walk {
	struct shale_ctx *ctx;
	const struct shale_image *image;
	struct shale_sha256 *sha, *content;
	struct shale_buf path;   /* of the entry at hand */
	struct shale_buf levels; /* of struct level: no recursion by depth */
	struct shale_buf names;  /* bytes of first paths */
	struct seen *seen;       /* open addressing, a power of two */
	size_t n_seen, cap_seen;
	uint8_t *data;
	struct shale_progress *progress;
	uint64_t bytes, items;
};

/* ------------------------------------------------------ inodes seen before */

static struct seen *slot_of(const struct walk *w, uint64_t ino)
{
	size_t i = (size_t)(ino * UINT64_C(0x9e3779b97f4a7c15));
	for (;; i++) {
		struct seen *s = &w->seen[i & (w->cap_seen - 1)];
		if (s->ino == ino || s->ino == 0)
			return s;
	}
}

static int grow_seen(struct walk *w)
{
	struct seen *old = w->seen;
	size_t n = w->cap_seen;

	if (w->n_seen * 2 < n)
		return 0;
	w->cap_seen = n ? n * 2 : 1024;
	w->seen = calloc(w->cap_seen, sizeof(*w->seen));
	if (!w->seen) {
		w->seen = old;
		w->cap_seen = n;
		return -ENOMEM;
	}
	for (size_t i = 0; i < n; i++)
		if (old[i].ino)
			*slot_of(w, old[i].ino) = old[i];
	free(old);
	return 0;
}

/* ----------------------------------------------------------------- records */

static void add32(struct walk *w, uint32_t v)
{
	struct le32 le = le32_make(v);
	shale_sha256_update(w->sha, &le, sizeof(le));
}

static void add64(struct walk *w, uint64_t v)
{
	struct le64 le = le64_make(v);
	shale_sha256_update(w->sha, &le, sizeof(le));
}

static void add_bytes(struct walk *w, const void *data, size_t len)
{
	add32(w, (uint32_t)len);
	shale_sha256_update(w->sha, data, len);
}

static int add_xattrs(struct walk *w, uint64_t ino)
{
	const void *list;
	uint32_t len, at = 0, n = 0;
	struct shale_xattr x;
	struct shale_err *err = &w->ctx->err;

	int r = shale_index_xattrs(w->image->index, ino, &list, &len, err);
	while (r >= 0 && (r = shale_xattr_next(list, len, &at, &x, err)) > 0)
		n++;
	if (r < 0)
		return r;
	add32(w, n);
	at = 0;
	while ((r = shale_xattr_next(list, len, &at, &x, err)) > 0) {
		add_bytes(w, x.name, x.name_len);
		add_bytes(w, x.value, x.value_len);
	}
	return r;
}

static int add_content(struct walk *w, const struct shale_attr *attr)
{
	struct shale_digest digest;
	uint64_t off = 0;
	size_t got;

	while (off < attr->size) {
		if (shale_interrupted())
			return -EINTR;
		int r = shale_image_read(w->image, attr->ino, off, w->data,
					 READ_STEP, &got, &w->ctx->err);
		if (r < 0)
			return r;
		if (got == 0)
			return shale_err_say(&w->ctx->err, EUCLEAN,
					     "the content ends early");
		shale_sha256_update(w->content, w->data, got);
		off += got;
		w->bytes += got;
		shale_progress_set(w->progress, w->bytes,
				   shale_index_bytes(w->image->index), w->items,
				   NULL);
	}
	shale_sha256_final(w->content, &digest);
	shale_sha256_update(w->sha, "f", 1);
	add64(w, attr->size);
	shale_sha256_update(w->sha, digest.b, sizeof(digest.b));
	return 0;
}

/* Returns 1 if the inode came before (and was recorded as such). */
static int add_link(struct walk *w, const struct shale_attr *attr)
{
	if (S_ISDIR(attr->mode) || attr->nlink < 2)
		return 0;
	if (grow_seen(w) < 0)
		return shale_err_set(&w->ctx->err, ENOMEM, "tree digest");
	struct seen *s = slot_of(w, attr->ino);
	if (s->ino) {
		shale_sha256_update(w->sha, "=", 1);
		add_bytes(w, w->names.data + s->off, s->len);
		return 1;
	}
	*s = (struct seen){attr->ino, w->names.len, w->path.len};
	w->n_seen++;
	if (shale_buf_append(&w->names, w->path.data, w->path.len) < 0)
		return shale_err_set(&w->ctx->err, ENOMEM, "tree digest");
	return 0;
}

static int add_kind(struct walk *w, const struct shale_attr *attr)
{
	const char *target;
	uint32_t len;

	switch (attr->mode & S_IFMT) {
	case S_IFREG:
		return add_content(w, attr);
	case S_IFLNK: {
		int r = shale_index_target(w->image->index, attr->ino, &target,
					   &len, &w->ctx->err);
		if (r < 0)
			return r;
		shale_sha256_update(w->sha, "l", 1);
		add_bytes(w, target, len);
		return 0;
	}
	case S_IFBLK:
	case S_IFCHR:
		shale_sha256_update(w->sha, "b", 1);
		add32(w, attr->rdev_major);
		add32(w, attr->rdev_minor);
		return 0;
	default:
		shale_sha256_update(w->sha, "d", 1);
		return 0;
	}
}

/* The record of the entry whose path stands in w->path. */
static int add_entry(struct walk *w, uint64_t ino)
{
	struct shale_attr attr;
	int r = shale_index_attr(w->image->index, ino, &attr, &w->ctx->err);
	if (r < 0)
		return r;

	w->items++;
	add_bytes(w, w->path.data, w->path.len);
	add32(w, attr.mode);
	add32(w, attr.uid);
	add32(w, attr.gid);
	add64(w, (uint64_t)attr.mtime.tv_sec);
	add32(w, (uint32_t)attr.mtime.tv_nsec);
	r = add_xattrs(w, ino);
	if (r == 0)
		r = add_link(w, &attr);
	if (r == 0)
		r = add_kind(w, &attr);
	return r < 0 ? r : 0;
}

/* ----------------------------------------------------------------- walking */

static int push(struct walk *w, uint64_t ino)
{
	struct shale_index_dir dir;
	int r = shale_index_dir(w->image->index, ino, &dir, &w->ctx->err);
	if (r < 0)
		return r;
	struct level level = {dir.first, dir.first + dir.count, w->path.len};
	if (shale_buf_append(&w->levels, &level, sizeof(level)) < 0)
		return shale_err_set(&w->ctx->err, ENOMEM, "tree digest");
	return 0;
}

static int step(struct walk *w, struct level *level)
{
	struct shale_entry e;
	int r = shale_index_entry(w->image->index, level->next++, &e,
				  &w->ctx->err);
	if (r < 0)
		return r;

	w->path.len = level->path_len;
	if ((w->path.len && shale_buf_append(&w->path, "/", 1) < 0) ||
	    shale_buf_append(&w->path, e.name, e.name_len) < 0)
		return shale_err_set(&w->ctx->err, ENOMEM, "tree digest");
	r = add_entry(w, e.ino);
	if (r < 0)
		return shale_err_wrap(&w->ctx->err, r, "/%.*s",
				      (int)w->path.len, (char *)w->path.data);
	return e.type == S_IFDIR >> 12 ? push(w, e.ino) : 0;
}

static int walk_tree(struct walk *w)
{
	uint64_t left = shale_index_entries(w->image->index);
	int r = add_entry(w, SHALE_ROOT_INO);
	if (r == 0)
		r = push(w, SHALE_ROOT_INO);
	while (r == 0 && w->levels.len) {
		struct level *top =
			(struct level *)(w->levels.data + w->levels.len) - 1;
		if (top->next == top->end) {
			w->levels.len -= sizeof(*top);
			continue;
		}
		if (left-- == 0)
			return shale_err_say(&w->ctx->err, EUCLEAN,
					     "the index has a circle");
		r = step(w, top);
	}
	return r;
}

int shale_tree_digest(struct shale_ctx *ctx, const struct shale_image *image,
		      struct shale_digest *out)
{
	struct walk w = {.ctx = ctx, .image = image};
	int r;

	w.sha = shale_sha256_new();
	w.content = shale_sha256_new();
	w.data = malloc(READ_STEP);
	w.progress = shale_progress_new(ctx, "tree digest");
	if (w.sha && w.content && w.data)
		r = walk_tree(&w);
	else
		r = shale_err_set(&ctx->err, ENOMEM, "tree digest");
	if (r == 0)
		shale_sha256_final(w.sha, out);

	shale_progress_free(w.progress);
	shale_sha256_free(w.sha);
	shale_sha256_free(w.content);
	shale_buf_release(&w.path);
	shale_buf_release(&w.levels);
	shale_buf_release(&w.names);
	free(w.seen);
	free(w.data);
	return r;
}
