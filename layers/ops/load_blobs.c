/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/load_blobs.h"

#include "layers/base/cleanup.h"
#include "layers/base/io.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* From so many files on shale_blobs_publish() has the file system written out
 * by the first one's descriptor; the others need none. */
enum { OPEN_FILES = 8 };

static size_t count(const struct shale_load_blobs *b)
{
	return b->list.len / sizeof(struct shale_load_blob);
}

static struct shale_load_blob *at(const struct shale_load_blobs *b, size_t i)
{
	return (struct shale_load_blob *)(void *)b->list.data + i;
}

static void drop(struct shale_load_blobs *b, struct shale_load_blob *blob)
{
	if (blob->name[0])
		shale_blobs_abandon(shale_store_blobs(b->store), blob->name);
	blob->name[0] = '\0';
}

void shale_load_blobs_release(struct shale_load_blobs *b)
{
	for (size_t i = 0; i < count(b); i++)
		drop(b, at(b, i));
	if (b->sha) {
		if (b->now.name[0])
			close(b->fd);
		drop(b, &b->now);
		shale_sha256_free(b->sha);
		b->sha = NULL;
	}
	shale_buf_release(&b->list);
}

/* ------------------------------------------------------------------ arriving
 */

int shale_load_blob_begin(struct shale_load_blobs *b,
			  const struct shale_digest *digest,
			  struct shale_err *err)
{
	struct shale_blobs *blobs = shale_store_blobs(b->store);
	b->now = (struct shale_load_blob){.digest = *digest};
	b->sha = shale_sha256_new();
	if (!b->sha)
		return shale_err_set(err, ENOMEM, "a checksum");
	int r = shale_blobs_refresh(blobs, digest, err);
	if (r == -ENOENT)
		r = shale_blobs_create(blobs, &b->fd, b->now.name, err);
	if (r < 0)
		b->now.name[0] = '\0';
	return r;
}

int shale_load_blob_data(struct shale_load_blobs *b, const void *data,
			 size_t len, struct shale_err *err)
{
	shale_sha256_update(b->sha, data, len);
	b->now.size += len;
	return b->now.name[0]
		       ? shale_write_full(b->fd, data, len, "a blob", err)
		       : 0;
}

int shale_load_blob_end(struct shale_load_blobs *b, struct shale_err *err)
{
	struct shale_digest got;
	char text[SHALE_DIGEST_STR];
	shale_sha256_final(b->sha, &got);
	shale_sha256_free(b->sha);
	b->sha = NULL;
	int r = 0;
	/* Some file systems tell of a full disk only now. */
	if (b->now.name[0] && close(b->fd) < 0)
		r = shale_err_set(err, errno, "write a blob");
	if (r == 0 && !shale_digest_equal(&got, &b->now.digest))
		r = shale_err_say(err, EBADMSG,
				  "blob %s is damaged: its content has another "
				  "digest",
				  shale_digest_str(&b->now.digest, text));
	if (r == 0 && shale_buf_append(&b->list, &b->now, sizeof(b->now)) < 0)
		r = shale_err_set(err, ENOMEM, "blobs to load");
	if (r < 0)
		drop(b, &b->now);
	return r;
}

/* ------------------------------------------------------------------- looking
 */

static int by_digest(const void *a, const void *b)
{
	const struct shale_load_blob *x = a, *y = b;
	return memcmp(&x->digest, &y->digest, sizeof(x->digest));
}

int shale_load_blobs_sort(struct shale_load_blobs *b, struct shale_err *err)
{
	char text[SHALE_DIGEST_STR];
	size_t n = count(b);
	if (n)
		qsort(b->list.data, n, sizeof(struct shale_load_blob),
		      by_digest);
	for (size_t i = 1; i < n; i++)
		if (by_digest(at(b, i - 1), at(b, i)) == 0)
			return shale_err_say(
				err, EBADMSG, "blob %s stands twice",
				shale_digest_str(&at(b, i)->digest, text));
	return 0;
}

struct shale_load_blob *shale_load_blobs_find(const struct shale_load_blobs *b,
					      const struct shale_digest *digest)
{
	struct shale_load_blob key = {.digest = *digest};
	return count(b) ? bsearch(&key, b->list.data, count(b), sizeof(key),
				  by_digest)
			: NULL;
}

int shale_load_blobs_want(struct shale_load_blobs *b,
			  const struct shale_digest *digest, uint64_t size,
			  struct shale_err *err)
{
	char text[SHALE_DIGEST_STR];
	struct shale_load_blob *blob = shale_load_blobs_find(b, digest);
	shale_digest_str(digest, text);
	if (!blob) {
		int r = shale_blobs_refresh(shale_store_blobs(b->store), digest,
					    err);
		return r != -ENOENT
			       ? r
			       : shale_err_say(err, EBADMSG,
					       "it is not complete: blob %s is "
					       "missing",
					       text);
	}
	if (size != UINT64_MAX && blob->size != size)
		return shale_err_say(
			err, EBADMSG,
			"blob %s has %llu bytes; its manifest says "
			"%llu",
			text, (unsigned long long)blob->size,
			(unsigned long long)size);
	blob->wanted = true;
	return 0;
}

int shale_load_blobs_read(void *arg, const struct shale_digest *digest,
			  size_t limit, struct shale_buf *out,
			  struct shale_err *err)
{
	struct shale_load_blobs *b = arg;
	struct shale_load_blob *blob = shale_load_blobs_find(b, digest);
	char path[80];
	if (!blob || !blob->name[0])
		return shale_blobs_read(shale_store_blobs(b->store), digest,
					limit, out, err);
	blob->wanted = true;
	snprintf(path, sizeof(path), "tmp/%s", blob->name);
	return shale_read_file(shale_store_dirfd(b->store), path, limit, out,
			       err);
}

/* ---------------------------------------------------------------- publishing
 */

/* The files of what is wanted; `*open`: the first so many have descriptors. */
static int list_wanted(struct shale_load_blobs *b, struct shale_buf *files,
		       size_t *open, struct shale_err *err)
{
	for (size_t i = 0; i < count(b); i++) {
		struct shale_load_blob *blob = at(b, i);
		struct shale_blob_tmp tmp = {.fd = -1, .digest = blob->digest};
		char path[80];
		if (!blob->wanted || !blob->name[0])
			continue;
		memcpy(tmp.name, blob->name, sizeof(tmp.name));
		snprintf(path, sizeof(path), "tmp/%s", blob->name);
		if (*open < OPEN_FILES) {
			tmp.fd = openat(shale_store_dirfd(b->store), path,
					O_RDONLY | O_CLOEXEC);
			if (tmp.fd < 0)
				return shale_err_set(err, errno, "open '%s'",
						     path);
		}
		if (shale_buf_append(files, &tmp, sizeof(tmp)) < 0) {
			if (tmp.fd >= 0)
				close(tmp.fd);
			return shale_err_set(err, ENOMEM, "blobs to load");
		}
		*open += tmp.fd >= 0;
		b->published++;
		b->bytes += blob->size;
	}
	return 0;
}

int shale_load_blobs_publish(struct shale_load_blobs *b, struct shale_err *err)
{
	cleanup_buf struct shale_buf files = {0};
	size_t open = 0;
	int r = list_wanted(b, &files, &open, err);
	const struct shale_blob_tmp *file = (const void *)files.data;
	if (r == 0 && files.len)
		r = shale_blobs_publish(shale_store_blobs(b->store), file,
					files.len / sizeof(*file), err);
	for (size_t i = 0; i < open; i++)
		close(file[i].fd);
	for (size_t i = 0; i < count(b) && r == 0; i++)
		if (at(b, i)->wanted)
			at(b, i)->name[0] = '\0';
	return r;
}
