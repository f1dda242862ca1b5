/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/save.h"

#include "layers/base/cleanup.h"
#include "layers/base/io.h"
#include "layers/ops/archive_out.h"
#include "layers/store/hold.h"
#include "layers/store/oci_adopt.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { PIECE = 1 << 20 };

#define LAYOUT "{\"imageLayoutVersion\":\"1.0.0\"}\n"

/* A blob of the file, in the order in which it goes there. */
struct blob {
	struct shale_layer_desc desc;
	uint32_t order;
};

struct saving {
	struct shale_store *store;
	const struct shale_save_calls *calls;
	struct shale_archive_out *out;
	struct shale_oci_index *index;
	struct shale_version **versions;
	struct shale_layer_desc *configs;
	size_t n;
	struct shale_buf blobs; /* struct blob */
	struct timespec newest; /* the time of all entries */
	uint8_t *piece;
	uint64_t done, total; /* with what stands twice */
	uint64_t copied, bytes;
};

/* ----------------------------------------------------------------- the list */

static int read_blob(void *arg, const struct shale_digest *digest, size_t limit,
		     struct shale_buf *out, struct shale_err *err)
{
	struct saving *s = arg;
	return shale_blobs_read(shale_store_blobs(s->store), digest, limit, out,
				err);
}

static int add_blob(struct saving *s, const struct shale_layer_desc *desc,
		    struct shale_err *err)
{
	struct blob b = {
		.desc = *desc,
		.order = (uint32_t)(s->blobs.len / sizeof(b)),
	};
	if (shale_buf_append(&s->blobs, &b, sizeof(b)) < 0)
		return shale_err_set(err, ENOMEM, "blobs to save");
	return 0;
}

static int by_digest(const void *a, const void *b)
{
	const struct blob *x = a, *y = b;
	int c = memcmp(&x->desc.digest, &y->desc.digest,
		       sizeof(x->desc.digest));
	return c ? c : (x->order > y->order) - (x->order < y->order);
}

static int by_order(const void *a, const void *b)
{
	const struct blob *x = a, *y = b;
	return (x->order > y->order) - (x->order < y->order);
}

/* Each once, at its first place. */
static void unite_blobs(struct saving *s)
{
	struct blob *b = (void *)s->blobs.data;
	size_t n = s->blobs.len / sizeof(*b), kept = 0;
	if (!n)
		return;
	qsort(b, n, sizeof(*b), by_digest);
	for (size_t i = 0; i < n; i++)
		if (!kept || !shale_digest_equal(&b[kept - 1].desc.digest,
						 &b[i].desc.digest))
			b[kept++] = b[i];
	qsort(b, kept, sizeof(*b), by_order);
	s->blobs.len = kept * sizeof(*b);
	for (size_t i = 0; i < kept; i++)
		s->bytes += b[i].desc.size;
	s->total = s->bytes;
}

/* The config of a version: its digest stands in the manifest alone. */
static int find_config(struct saving *s, const struct shale_version *v,
		       struct shale_layer_desc *config, struct shale_err *err)
{
	cleanup_buf struct shale_buf text = {0};
	struct shale_version again = {0};
	int r = read_blob(s, &v->digest, SHALE_MANIFEST_LIMIT, &text, err);
	if (r == 0)
		r = shale_oci_manifest_decode(text.data, text.len, &again,
					      config, err);
	free(again.trees);
	free(again.data);
	return r;
}

static int add_version(struct saving *s, const struct shale_digest *digest,
		       struct shale_err *err)
{
	struct shale_version *v;
	int r = shale_store_manifest(s->store, digest, &v, err);
	if (r < 0)
		return r;
	s->versions[s->n] = v;
	r = find_config(s, v, &s->configs[s->n], err);
	s->n++;
	const struct timespec *t = &v->description.created;
	if (t->tv_sec > s->newest.tv_sec)
		s->newest.tv_sec = t->tv_sec;
	return r;
}

static struct shale_version *known(const struct saving *s,
				   const struct shale_digest *digest)
{
	for (size_t i = 0; i < s->n; i++)
		if (shale_digest_equal(&s->versions[i]->digest, digest))
			return s->versions[i];
	return NULL;
}

/* The versions that are chosen, oldest first, and the index of them. */
static int read_versions(struct saving *s, const struct shale_save_list *list,
			 struct shale_err *err)
{
	const uint8_t *chosen = list->chosen.data;
	s->index = shale_oci_index_new();
	s->versions = calloc(list->all.n + 1, sizeof(*s->versions));
	s->configs = calloc(list->all.n + 1, sizeof(*s->configs));
	s->piece = malloc(PIECE);
	if (!s->index || !s->versions || !s->configs || !s->piece)
		return shale_err_set(err, ENOMEM, "versions to save");
	int r = 0;
	for (size_t i = list->all.n; i-- > 0 && r == 0;) {
		struct shale_version_entry e = list->all.entries[i];
		if (!chosen[i])
			continue;
		if (chosen[i] == SHALE_SAVE_UNTAGGED)
			e.tag = NULL;
		if (!known(s, &e.digest))
			r = add_version(s, &e.digest, err);
		if (r == 0)
			r = shale_oci_index_add(
				s->index, &e,
				known(s, &e.digest)->manifest_size, err);
	}
	return r;
}

/* Documents first: who reads a stream knows early what it is about. */
static int list_blobs(struct saving *s, struct shale_err *err)
{
	int r = 0;
	for (size_t i = 0; i < s->n && r == 0; i++) {
		const struct shale_version *v = s->versions[i];
		struct shale_layer_desc d = {v->digest, v->manifest_size};
		r = add_blob(s, &d, err);
		if (r == 0)
			r = add_blob(s, &s->configs[i], err);
	}
	for (size_t i = 0; i < s->n && r == 0; i++)
		if (s->versions[i]->has_metadata)
			r = add_blob(s, &s->versions[i]->metadata, err);
	for (size_t i = 0; i < s->n && r == 0; i++) {
		const struct shale_version *v = s->versions[i];
		for (size_t k = 0; k < v->n_trees && r == 0; k++)
			r = add_blob(s, &v->trees[k], err);
		for (size_t k = 0; k < v->n_data && r == 0; k++)
			r = add_blob(s, &v->data[k], err);
	}
	if (r == 0)
		unite_blobs(s);
	return r;
}

/* ------------------------------------------------------------------ entries */

static int begin(struct saving *s, const char *path, uint32_t mode,
		 uint64_t size, struct shale_err *err)
{
	const struct shale_archive_member m = {
		.path = path,
		.attr = {.mode = mode, .size = size, .mtime = s->newest},
	};
	return shale_archive_out_entry(s->out, &m, err);
}

static int put_text(struct saving *s, const char *path, const void *data,
		    size_t len, struct shale_err *err)
{
	int r = begin(s, path, S_IFREG | 0644, len, err);
	return r < 0 ? r : shale_archive_out_data(s->out, data, len, err);
}

static void show(struct saving *s, const char *what)
{
	if (s->calls->progress)
		s->calls->progress(s->calls->arg, s->done, s->total, s->copied,
				   what);
}

static int check(struct saving *s, struct shale_err *err)
{
	if (s->calls->cancelled && s->calls->cancelled(s->calls->arg))
		return shale_err_say(err, EINTR, "interrupted");
	return 0;
}

static int copy_bytes(struct saving *s, int fd,
		      const struct shale_layer_desc *desc, const char *name,
		      struct shale_err *err)
{
	struct shale_digest digest;
	struct shale_sha256 *sha = shale_sha256_new();
	int r = sha ? 0 : shale_err_set(err, ENOMEM, "a checksum");
	for (uint64_t at = 0; at < desc->size && r == 0;) {
		uint64_t left = desc->size - at;
		size_t n = left < PIECE ? (size_t)left : PIECE;
		r = shale_pread_full(fd, s->piece, n, at, name, err);
		if (r < 0)
			break;
		shale_sha256_update(sha, s->piece, n);
		r = shale_archive_out_data(s->out, s->piece, n, err);
		at += n;
		s->done += n;
		show(s, name);
		if (r == 0)
			r = check(s, err);
	}
	if (r == 0) {
		shale_sha256_final(sha, &digest);
		if (!shale_digest_equal(&digest, &desc->digest))
			r = shale_err_say(err, EUCLEAN,
					  "%s is damaged: its content has "
					  "another digest",
					  name);
	}
	shale_sha256_free(sha);
	return r;
}

/* A blob under any name. */
static int copy_as(struct saving *s, const struct shale_layer_desc *desc,
		   const char *path, struct shale_err *err)
{
	struct stat st;
	cleanup_fd int fd = -1;
	int r = shale_blobs_get(shale_store_blobs(s->store), &desc->digest, &fd,
				err);
	if (r == -ENOENT)
		return shale_err_say(err, EUCLEAN, "the blob of %s is missing",
				     path);
	if (r < 0)
		return r;
	if (fstat(fd, &st) < 0)
		return shale_err_set(err, errno, "look at the blob of %s",
				     path);
	if ((uint64_t)st.st_size != desc->size)
		return shale_err_say(err, EUCLEAN,
				     "%s is damaged: it has %lld bytes, not "
				     "%llu",
				     path, (long long)st.st_size,
				     (unsigned long long)desc->size);
	r = begin(s, path, S_IFREG | 0644, desc->size, err);
	return r < 0 ? r : copy_bytes(s, fd, desc, path, err);
}

static int copy_blob(struct saving *s, const struct shale_layer_desc *desc,
		     struct shale_err *err)
{
	char path[13 + SHALE_DIGEST_HEX + 1] = "blobs/sha256/";
	shale_hex(path + 13, desc->digest.b, sizeof(desc->digest.b));
	s->copied++;
	return copy_as(s, desc, path, err);
}

/* A blob under a name that says what it is. */
static int copy_readable(struct saving *s, const char *dir, const char *name,
			 const struct shale_layer_desc *desc,
			 struct shale_err *err)
{
	cleanup_buf struct shale_buf path = {0};
	if (shale_buf_printf(&path, "%s/%s", dir, name) < 0 ||
	    !shale_buf_str(&path))
		return shale_err_set(err, ENOMEM, "a path");
	s->total += desc->size;
	return copy_as(s, desc, (const char *)path.data, err);
}

static int put_version(struct saving *s, const struct shale_version_entry *e,
		       struct shale_err *err)
{
	char dir[512], hex[13];
	shale_hex(hex, e->digest.b, 6);
	snprintf(dir, sizeof(dir), "versions/%s%s%s", e->repo,
		 e->tag ? ":" : "@sha256-", e->tag ? e->tag : hex);
	size_t i = 0;
	while (!shale_digest_equal(&s->versions[i]->digest, &e->digest))
		i++;
	int r = copy_readable(s, dir, "description.json", &s->configs[i], err);
	if (r >= 0 && s->versions[i]->has_metadata)
		r = copy_readable(s, dir, "metadata.json",
				  &s->versions[i]->metadata, err);
	return r;
}

static int write_all(struct saving *s, struct shale_err *err)
{
	cleanup_buf struct shale_buf index = {0};
	const struct blob *blob = (void *)s->blobs.data;
	int r = shale_oci_index_encode(s->index, &index, err);
	if (r == 0)
		r = put_text(s, "oci-layout", LAYOUT, strlen(LAYOUT), err);
	if (r == 0)
		r = put_text(s, "index.json", index.data, index.len, err);
	for (size_t i = 0; i < shale_oci_index_count(s->index) && r >= 0; i++)
		r = put_version(s, shale_oci_index_entry(s->index, i), err);
	if (r >= 0)
		r = begin(s, "blobs", S_IFDIR | 0755, 0, err);
	if (r >= 0)
		r = begin(s, "blobs/sha256", S_IFDIR | 0755, 0, err);
	for (size_t i = 0; i < s->blobs.len / sizeof(*blob) && r >= 0; i++)
		r = copy_blob(s, &blob[i].desc, err);
	return r < 0 ? r : shale_archive_out_end(s->out, err);
}

static int hold(struct saving *s, const struct shale_save_list *list, int *fd,
		struct shale_err *err)
{
	cleanup_buf struct shale_buf digests = {0};
	for (size_t i = 0; i < list->all.n; i++)
		if (list->chosen.data[i] &&
		    shale_buf_append(&digests, &list->all.entries[i].digest,
				     sizeof(struct shale_digest)) < 0)
			return shale_err_set(err, ENOMEM, "versions to save");
	return shale_store_hold(s->store, (const void *)digests.data,
				digests.len / sizeof(struct shale_digest), fd,
				err);
}

int shale_save(struct shale_store *store, const struct shale_save_list *list,
	       int fd, const struct shale_archive_form *form,
	       const struct shale_save_calls *calls,
	       struct shale_save_result *result, struct shale_err *err)
{
	struct saving s = {.store = store, .calls = calls};
	cleanup_lease int lease = -1;
	int r = hold(&s, list, &lease, err);
	if (r == 0)
		r = read_versions(&s, list, err);
	if (r == 0)
		r = list_blobs(&s, err);
	if (r == 0)
		r = shale_archive_out_new(&s.out, fd, form, calls->cancelled,
					  calls->arg, err);
	if (r == 0)
		r = write_all(&s, err);
	*result = (struct shale_save_result){s.n, s.copied, s.bytes};
	shale_archive_out_free(s.out);
	for (size_t i = 0; i < s.n; i++)
		shale_version_free(s.versions[i]);
	free(s.versions);
	free(s.configs);
	free(s.piece);
	shale_buf_release(&s.blobs);
	shale_oci_index_free(s.index);
	return r;
}
