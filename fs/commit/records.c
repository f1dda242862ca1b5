/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/commit/records.h"

#include "layers/base/cleanup.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* The directory of a workspace that its daemon has open. */
static int open_snapshot(struct shale_records *d, int store_dirfd,
			 const char *name, struct shale_err *err)
{
	cleanup_free char *path = NULL;
	if (asprintf(&path, "workspaces/%s", name) < 0)
		return shale_err_set(err, ENOMEM, "open workspace '%s'", name);
	cleanup_fd int fd =
		openat(store_dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return shale_err_set(err, errno, "open workspace '%s'", name);
	return shale_snapshot_open(&d->own, fd, err);
}

/* Nobody has it open: all that its journal says goes into the database. */
static int open_resting(struct shale_records *d, int store_dirfd,
			const char *name, struct shale_err *err)
{
	int r = shale_workspace_open(&d->ws, store_dirfd, name, err);
	if (r == 0)
		r = shale_db_advance(d->ws->db, err);
	return r < 0 ? r : shale_db_snapshot(d->ws->db, &d->own, err);
}

int shale_records_each(const struct shale_records *d, char letter,
		       shale_records_fn *fn, void *arg, struct shale_err *err)
{
	cleanup_buf struct shale_buf from = {0}, key = {0}, value = {0};

	int r = shale_buf_append(&from, &letter, 1);
	while (r == 0) {
		r = shale_snapshot_next(d->snapshot, from.data, from.len, 1,
					&key, &value, err);
		if (r == -ENOENT)
			return 0;
		if (r == 0)
			r = fn(arg, &key, &value, err);
		from.len = 0;
		if (r == 0)
			r = shale_buf_append(&from, key.data, key.len);
		if (r == 0)
			r = shale_buf_append(&from, "", 1);
	}
	return r == -ENOMEM ? shale_err_set(err, ENOMEM, "read a workspace")
			    : r;
}

static int read_state(struct shale_records *d, struct shale_err *err)
{
	const struct shale_key key = shale_key_state();
	cleanup_buf struct shale_buf value = {0};

	int r = shale_snapshot_get(d->snapshot, key.b, key.len, &value, err);
	d->untouched = r == -ENOENT;
	if (d->untouched)
		return 0;
	return r < 0 ? r : shale_rec_state_decode(&value, &d->state, err);
}

int shale_records_take(struct shale_records *d, struct shale_snapshot *snapshot,
		       struct shale_err *err)
{
	*d = (struct shale_records){.snapshot = snapshot};
	return read_state(d, err);
}

int shale_records_image(const struct shale_records *d, uint32_t n,
			struct shale_rec_image *out, struct shale_err *err)
{
	const struct shale_key key = shale_key_image(n);
	cleanup_buf struct shale_buf value = {0};

	int r = shale_snapshot_get(d->snapshot, key.b, key.len, &value, err);
	if (r == -ENOENT)
		return shale_err_say(err, EUCLEAN,
				     "the workspace has no image %u", n);
	return r < 0 ? r : shale_rec_image_decode(&value, out, err);
}

int shale_records_open(struct shale_records *d, int store_dirfd,
		       const char *name, bool mounted, struct shale_err *err)
{
	*d = (struct shale_records){0};
	int r = shale_workspace_name_check(name, err);
	if (r == 0)
		r = shale_workspace_read(store_dirfd, name, &d->info, err);
	if (r == 0)
		r = mounted ? open_snapshot(d, store_dirfd, name, err)
			    : open_resting(d, store_dirfd, name, err);
	d->snapshot = d->own;
	if (r == 0)
		r = read_state(d, err);
	if (r < 0)
		shale_records_close(d);
	return r;
}

void shale_records_close(struct shale_records *d)
{
	for (size_t i = 0; i < d->n; i++)
		free((char *)d->names[i].name);
	free(d->names);
	free(d->by_ino);
	shale_snapshot_close(d->own);
	if (d->ws)
		(void)shale_workspace_close(d->ws, NULL);
	shale_workspace_info_release(&d->info);
	*d = (struct shale_records){0};
}

/* ----------------------------------------------------------------- names */

static int add_name(void *arg, const struct shale_buf *key,
		    const struct shale_buf *value, struct shale_err *err)
{
	struct shale_buf *names = arg;
	struct shale_rec_name rec;
	const char *name;
	uint64_t dir;
	size_t len;

	int r = shale_key_name_parts(key, &dir, &name, &len);
	if (r == 0)
		r = shale_rec_name_decode(value, &rec, err);
	if (r < 0)
		return r;
	struct shale_records_name n = {
		.dir = dir,
		.ino = rec.ino,
		.name = strndup(name, len),
		.len = (uint16_t)len,
		.type = rec.type,
		.epoch = rec.epoch,
	};
	if (!n.name || shale_buf_append(names, &n, sizeof(n)) < 0) {
		free((char *)n.name);
		return shale_err_set(err, ENOMEM, "list changes");
	}
	return 0;
}

static int compare_ino(const void *a, const void *b)
{
	const struct shale_records_name *x = *(void *const *)a,
					*y = *(void *const *)b;
	return x->ino < y->ino ? -1 : x->ino > y->ino;
}

int shale_records_load_names(struct shale_records *d, struct shale_err *err)
{
	struct shale_buf names = {0};
	int r = shale_records_each(d, 'N', add_name, &names, err);

	d->names = (struct shale_records_name *)(void *)names.data;
	d->n = names.len / sizeof(*d->names);
	if (r < 0)
		return r;
	d->by_ino = calloc(d->n + 1, sizeof(struct shale_records_name *));
	if (!d->by_ino)
		return shale_err_set(err, ENOMEM, "list changes");
	for (size_t i = 0; i < d->n; i++)
		if (d->names[i].ino)
			d->by_ino[d->n_by_ino++] = &d->names[i];
	if (d->n_by_ino)
		qsort(d->by_ino, d->n_by_ino,
		      sizeof(struct shale_records_name *), compare_ino);
	return 0;
}

static int compare_place(const struct shale_records_name *n, uint64_t dir,
			 const char *name, size_t len)
{
	if (n->dir != dir)
		return n->dir < dir ? -1 : 1;
	size_t common = n->len < len ? n->len : len;
	int c = memcmp(n->name, name, common);
	return c ? c : n->len < len ? -1 : n->len > len;
}

/* Position of the first record that is not below (dir, name). */
static size_t lower_bound(const struct shale_records *d, uint64_t dir,
			  const char *name, size_t len)
{
	size_t low = 0, high = d->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (compare_place(&d->names[mid], dir, name, len) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

const struct shale_records_name *
shale_records_find(const struct shale_records *d, uint64_t dir,
		   const char *name, size_t len)
{
	size_t i = lower_bound(d, dir, name, len);
	return i < d->n && compare_place(&d->names[i], dir, name, len) == 0
		       ? &d->names[i]
		       : NULL;
}

size_t shale_records_dir(const struct shale_records *d, uint64_t dir,
			 size_t *first)
{
	size_t n = 0;

	*first = lower_bound(d, dir, "", 0);
	while (*first + n < d->n && d->names[*first + n].dir == dir)
		n++;
	return n;
}

size_t shale_records_of(const struct shale_records *d, uint64_t ino,
			const struct shale_records_name *const **first)
{
	size_t low = 0, high = d->n_by_ino, n = 0;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (d->by_ino[mid]->ino < ino)
			low = mid + 1;
		else
			high = mid;
	}
	while (low + n < d->n_by_ino && d->by_ino[low + n]->ino == ino)
		n++;
	*first = d->by_ino + low;
	return n;
}
