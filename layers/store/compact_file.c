/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/store/compact_file.h"

#include "layers/base/dir.h"
#include "layers/base/io.h"
#include "layers/store/json.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

enum { FILE_LIMIT = 1 << 20 };

void shale_compact_file_release(struct shale_compact_file *f)
{
	free(f->trees);
	*f = (struct shale_compact_file){0};
}

int shale_compact_file_name(const struct shale_layer_desc *trees, size_t n,
			    char *name)
{
	cleanup_buf struct shale_buf text = {0};
	struct shale_digest digest;

	for (size_t i = 0; i < n; i++)
		if (shale_buf_append(&text, trees[i].digest.b,
				     sizeof(trees[i].digest.b)) < 0)
			return -ENOMEM;
	shale_sha256(text.data, text.len, &digest);
	shale_hex(name, digest.b, sizeof(digest.b));
	return 0;
}

/* ------------------------------------------------------------------- JSON */

int shale_compact_file_encode(const struct shale_compact_file *f,
			      struct shale_buf *out, struct shale_err *err)
{
	char digest[SHALE_DIGEST_STR];
	cleanup_json json_t *doc = json_pack(
		"{s:s, s:I, s:b, s:[]}", "digest",
		shale_digest_str(&f->merged.digest, digest), "size",
		(json_int_t)f->merged.size, "bottom", f->bottom, "trees");
	json_t *trees = json_object_get(doc, "trees");

	for (size_t i = 0; i < f->n_trees; i++)
		if (json_array_append_new(
			    trees, json_string(shale_digest_str(&f->trees[i],
								digest))) < 0)
			return shale_err_set(err, ENOMEM, "prepared merge");
	if (!trees ||
	    (f->has_data &&
	     json_object_set_new(
		     doc, "data",
		     json_pack("{s:s, s:I}", "digest",
			       shale_digest_str(&f->data.digest, digest),
			       "size", (json_int_t)f->data.size)) < 0))
		return shale_err_set(err, ENOMEM, "prepared merge");
	return shale_json_dump(doc, out, err);
}

static int get_trees(const json_t *doc, struct shale_compact_file *f,
		     struct shale_err *err)
{
	const json_t *trees = json_object_get(doc, "trees");
	size_t n = json_array_size(trees);
	if (n < 2 || n > SHALE_COMPACT_TREES_MAX)
		return shale_err_say(err, EUCLEAN, "'trees' is not a run");

	f->trees = calloc(n, sizeof(*f->trees));
	if (!f->trees)
		return shale_err_set(err, ENOMEM, "prepared merge");
	for (; f->n_trees < n; f->n_trees++) {
		const char *text =
			json_string_value(json_array_get(trees, f->n_trees));
		if (!text ||
		    shale_digest_parse(text, &f->trees[f->n_trees]) < 0)
			return shale_err_say(err, EUCLEAN,
					     "'trees' does not hold digests");
	}
	return 0;
}

static int get_data(const json_t *doc, struct shale_compact_file *f,
		    struct shale_err *err)
{
	const json_t *data = json_object_get(doc, "data");
	if (!data)
		return 0;
	int r = shale_json_digest(data, "digest", NULL, &f->data.digest, err);
	if (r == 0)
		r = shale_json_number(data, "size", &f->data.size, err);
	f->has_data = r == 0;
	return r;
}

int shale_compact_file_decode(const void *data, size_t len,
			      struct shale_compact_file *out,
			      struct shale_err *err)
{
	cleanup_json json_t *doc = NULL;
	int r = shale_json_parse(&doc, data, len, "a prepared merge", err);
	if (r < 0)
		return r;

	struct shale_compact_file f = {0};
	r = shale_json_digest(doc, "digest", NULL, &f.merged.digest, err);
	if (r == 0)
		r = shale_json_number(doc, "size", &f.merged.size, err);
	if (r == 0)
		r = get_data(doc, &f, err);
	if (r == 0 && !json_is_boolean(json_object_get(doc, "bottom")))
		r = shale_err_say(err, EUCLEAN,
				  "'bottom' is not true or "
				  "false");
	if (r == 0) {
		f.bottom = json_is_true(json_object_get(doc, "bottom"));
		r = get_trees(doc, &f, err);
	}
	if (r < 0) {
		shale_compact_file_release(&f);
		return shale_err_wrap(err, r, "a prepared merge is damaged");
	}
	*out = f;
	return 0;
}

/* ------------------------------------------------------------------ files */

static int open_compact(struct shale_store *store, struct shale_err *err)
{
	int fd = openat(shale_store_dirfd(store), "compact",
			O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? shale_err_set(err, errno, "open 'compact'") : fd;
}

/* The document must be of the trees that its name tells. */
static bool is_named(const struct shale_compact_file *f, const char *name)
{
	char hex[SHALE_COMPACT_NAME];
	struct shale_digest digest;
	shale_sha256(f->trees, f->n_trees * sizeof(*f->trees), &digest);
	shale_hex(hex, digest.b, sizeof(digest.b));
	return !strcmp(hex, name);
}

int shale_compact_file_read(struct shale_store *store, const char *name,
			    struct shale_compact_file *out,
			    struct shale_err *err)
{
	cleanup_buf struct shale_buf text = {0};
	cleanup_fd int dir = open_compact(store, err);
	if (dir < 0)
		return dir;

	struct shale_compact_file f = {0};
	int r = shale_read_file(dir, name, FILE_LIMIT, &text, err);
	if (r == 0)
		r = shale_compact_file_decode(text.data, text.len, &f, err);
	if (r == 0 && !is_named(&f, name)) {
		shale_compact_file_release(&f);
		r = -EUCLEAN;
	}
	if (r == -EUCLEAN || r == -EFBIG) {
		unlinkat(dir, name, 0);
		return -ENOENT;
	}
	if (r == 0)
		*out = f;
	return r;
}

int shale_compact_file_write(struct shale_store *store, const char *name,
			     const struct shale_compact_file *f,
			     struct shale_err *err)
{
	cleanup_buf struct shale_buf text = {0};
	cleanup_fd int dir = open_compact(store, err);
	if (dir < 0)
		return dir;
	int r = shale_compact_file_encode(f, &text, err);
	if (r == 0)
		r = shale_file_replace(dir, name, text.data, text.len, err);
	return r;
}

void shale_compact_file_remove(struct shale_store *store, const char *name)
{
	cleanup_fd int dir = open_compact(store, NULL);
	if (dir >= 0)
		unlinkat(dir, name, 0);
}

int shale_compact_each(struct shale_store *store,
		       int (*fn)(void *arg, const char *name,
				 const struct shale_compact_file *f),
		       void *arg, struct shale_err *err)
{
	int fd = open_compact(store, err);
	if (fd < 0)
		return fd;
	cleanup_dir DIR *dir = shale_dir_of(fd);
	if (!dir)
		return shale_err_set(err, errno, "'compact'");
	int r = 0;
	for (const struct dirent *d; r == 0 && (d = shale_dir_next(dir));) {
		struct shale_compact_file f;
		if (d->d_name[0] == '.')
			continue;
		r = shale_compact_file_read(store, d->d_name, &f, err);
		if (r == -ENOENT) {
			r = 0;
			continue;
		}
		if (r == 0) {
			r = fn(arg, d->d_name, &f);
			shale_compact_file_release(&f);
		}
	}
	return r;
}
