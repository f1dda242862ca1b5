/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/verify_impl.h"

#include "layers/base/cleanup.h"
#include "layers/base/dir.h"
#include "layers/blob/tree_check.h"
#include "layers/store/compact_file.h"
#include "layers/store/index_cache.h"

#include <errno.h>
#include <string.h>

static void dropped(struct shale_verify *v, const char *what, const char *name,
		    const char *why)
{
	struct shale_err text;
	shale_err_say(&text, EUCLEAN,
		      "%s %s was damaged and is removed; it is made anew when "
		      "it is needed: %s",
		      what, name, why);
	const struct shale_finding f = {.kind = SHALE_FOUND_CACHE,
					.why = text.msg};
	shale_verify_found(v, &f);
}

static int check_index(struct shale_verify *v, const char *name,
		       struct shale_err *err)
{
	cleanup_index struct shale_index *ix = NULL;
	cleanup_fd int fd = -1;
	struct shale_err why = {""};
	int r = shale_index_cache_fd(v->store, name, &fd, &why);
	if (r == -ENOENT)
		return 0; /* somebody made room */
	if (r == 0)
		r = shale_index_cache_open_file(v->store, fd, name, &ix, &why);
	if (r == 0)
		r = shale_index_verify(ix, &why);
	if (r == -ENOENT) {
		shale_store_drop_index(v->store, name); /* of no use */
		return 0;
	}
	if (r < 0 && shale_verify_is_damage(r)) {
		shale_store_drop_index(v->store, name);
		dropped(v, "index", name, why.msg);
		return 0;
	}
	if (r < 0 && err)
		*err = why;
	return r;
}

static int check_indexes(struct shale_verify *v, struct shale_err *err)
{
	cleanup_dir DIR *dir =
		shale_dir_open(shale_store_dirfd(v->store), "indexes");
	if (!dir)
		return shale_err_set(err, errno, "read 'indexes'");
	int r = 0;
	for (const struct dirent *d; r == 0 && (d = shale_dir_next(dir));) {
		if (d->d_name[0] != '.')
			r = check_index(v, d->d_name, err);
		if (r == 0 && !shale_verify_go_on(v, 0))
			r = shale_err_say(err, EINTR, "interrupted");
	}
	return r;
}

/* Open a blob, and compare all of it with what is said of it. */
static int check_blob(struct shale_verify *v,
		      const struct shale_layer_desc *desc, int *out,
		      struct shale_err *err)
{
	struct shale_digest got;
	uint64_t size;
	cleanup_fd int fd = -1;
	int r = shale_blobs_get(shale_store_blobs(v->store), &desc->digest, &fd,
				err);
	if (r == 0)
		r = shale_sha256_fd(fd, &got, &size, err);
	if (r < 0)
		return r;
	if (size != desc->size || !shale_digest_equal(&got, &desc->digest))
		return shale_err_say(err, EUCLEAN,
				     "its blob has another size or digest");
	*out = steal_fd(&fd);
	return 0;
}

/* A merge that a later commit would take: its blobs have to be good. */
static int check_merged(struct shale_verify *v,
			const struct shale_compact_file *f,
			struct shale_err *err)
{
	char name[SHALE_DIGEST_STR];
	struct shale_tree *tree;
	cleanup_fd int fd = -1;
	cleanup_fd int data = -1;
	int r = check_blob(v, &f->merged, &fd, err);
	if (r == 0 && f->has_data)
		r = check_blob(v, &f->data, &data, err);
	if (r == 0)
		r = shale_tree_open(&tree, fd,
				    shale_digest_str(&f->merged.digest, name),
				    err);
	if (r == 0) {
		r = shale_tree_check(tree, err);
		shale_tree_close(tree);
	}
	return r;
}

static int check_prepared(void *arg, const char *name,
			  const struct shale_compact_file *f)
{
	struct shale_verify *v = arg;
	struct shale_err why = {""};
	int r = check_merged(v, f, &why);

	if (r < 0 && shale_verify_is_damage(r)) {
		shale_compact_file_remove(v->store, name);
		dropped(v, "prepared merge", name, why.msg);
		r = 0;
	}
	if (r < 0)
		shale_verify_fail(v, r, &why);
	return r;
}

int shale_verify_caches(struct shale_verify *v, struct shale_err *err)
{
	int r = check_indexes(v, err);
	if (r == 0)
		r = shale_compact_each(v->store, check_prepared, v, err);
	return r;
}
