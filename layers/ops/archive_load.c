/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/base/cleanup.h"
#include "layers/ops/archive_read.h"
#include "layers/ops/load.h"
#include "layers/ops/saved_name.h"

#include <archive.h>
#include <archive_entry.h>
#include <locale.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>

enum {
	PIECE = 256 << 10,
	LAYOUT_LIMIT = 4096,
	/* More documents for people than there can be versions is a bomb. */
	COPIES_MAX = 1 << 20,
};

/* The file as it is read; trusts nothing of what it says. */
struct reading {
	struct shale_loading loading;
	const struct shale_save_calls *calls;
	int fd;
	int error; /* errno that ended reading */
	uint8_t *piece;
	uint64_t done, total; /* bytes of the file */
	uint64_t blobs;
};

static bool cancelled(const struct reading *rd)
{
	return rd->calls->cancelled && rd->calls->cancelled(rd->calls->arg);
}

static la_ssize_t read_some(struct archive *a, void *arg, const void **data)
{
	struct reading *rd = arg;
	struct pollfd ready = {.fd = rd->fd, .events = POLLIN};
	ssize_t n;
	do {
		/* Whoever writes to the pipe may never do so again. */
		while (poll(&ready, 1, 200) <= 0 && !cancelled(rd))
			;
		if (cancelled(rd)) {
			rd->error = EINTR;
			archive_set_error(a, EINTR, "interrupted");
			return -1;
		}
		n = read(rd->fd, rd->piece, PIECE);
	} while (n < 0 && (errno == EINTR || errno == EAGAIN));
	if (n < 0) {
		rd->error = errno;
		archive_set_error(a, errno, "%s", strerrordesc_np(errno));
		return -1;
	}
	rd->done += (uint64_t)n;
	if (rd->calls->progress)
		rd->calls->progress(rd->calls->arg, rd->done, rd->total,
				    rd->blobs, NULL);
	*data = rd->piece;
	return n;
}

static int broken(struct reading *rd, struct archive *a, struct shale_err *err)
{
	const char *why = archive_error_string(a);
	if (rd->error == EINTR)
		return shale_err_say(err, EINTR, "interrupted");
	if (rd->error) /* (the store is not what is damaged) */
		return shale_err_say(err, EBADMSG, "read it: %s",
				     strerrordesc_np(rd->error));
	return shale_err_say(err, EBADMSG, "%s", why ? why : "it is damaged");
}

/* ------------------------------------------------------------------ contents
 */

typedef int sink_fn(void *to, const void *data, size_t len,
		    struct shale_err *err);

/* All of an entry; holes and more than `limit` bytes are nothing honest. */
static int read_content(struct reading *rd, struct archive *a, uint64_t limit,
			sink_fn *sink, void *to, struct shale_err *err)
{
	uint64_t at = 0;
	const void *data;
	size_t len;
	int64_t off;
	int rc;
	while ((rc = archive_read_data_block(a, &data, &len, &off)) ==
	       ARCHIVE_OK) {
		if (off < 0 || (uint64_t)off != at)
			return shale_err_say(err, EBADMSG, "it has holes");
		if (len > limit - at)
			return shale_err_say(err, EBADMSG, "it is too large");
		int r = sink(to, data, len, err);
		if (r < 0)
			return r;
		at += len;
	}
	return rc == ARCHIVE_EOF ? 0 : broken(rd, a, err);
}

static int into_buf(void *to, const void *data, size_t len,
		    struct shale_err *err)
{
	return shale_buf_append(to, data, len) < 0
		       ? shale_err_set(err, ENOMEM, "a document")
		       : 0;
}

static int into_blob(void *to, const void *data, size_t len,
		     struct shale_err *err)
{
	return shale_load_blob_data(to, data, len, err);
}

static int into_sum(void *to, const void *data, size_t len,
		    struct shale_err *err)
{
	(void)err;
	shale_sha256_update(to, data, len);
	return 0;
}

static int take_document(struct reading *rd, struct archive *a,
			 struct shale_buf *to, uint64_t limit,
			 struct shale_err *err)
{
	if (to->len)
		return shale_err_say(err, EBADMSG, "it stands twice");
	int r = read_content(rd, a, limit, into_buf, to, err);
	if (r == 0 && !to->len)
		r = shale_err_say(err, EBADMSG, "it is empty");
	return r;
}

static int take_blob(struct reading *rd, struct archive *a,
		     const struct shale_digest *digest, struct shale_err *err)
{
	struct shale_load_blobs *blobs = &rd->loading.blobs;
	int r = shale_load_blob_begin(blobs, digest, err);
	if (r == 0)
		r = read_content(rd, a, INT64_MAX, into_blob, blobs, err);
	if (r == 0)
		r = shale_load_blob_end(blobs, err);
	rd->blobs++;
	return r;
}

static int take_copy(struct reading *rd, struct archive *a,
		     struct shale_err *err)
{
	struct shale_digest digest;
	if (rd->loading.copies.len >= COPIES_MAX * sizeof(digest))
		return shale_err_say(err, EBADMSG, "it has too many documents");
	struct shale_sha256 *sha = shale_sha256_new();
	int r = sha ? read_content(rd, a, INT64_MAX, into_sum, sha, err)
		    : shale_err_set(err, ENOMEM, "a checksum");
	if (r == 0) {
		shale_sha256_final(sha, &digest);
		r = into_buf(&rd->loading.copies, &digest, sizeof(digest), err);
	}
	shale_sha256_free(sha);
	return r;
}

static int take_entry(struct reading *rd, struct archive *a,
		      struct archive_entry *e, struct shale_err *err)
{
	struct shale_loading *l = &rd->loading;
	const char *path = archive_entry_pathname(e);
	enum shale_saved what;
	struct shale_digest digest;
	if (!path || !*path)
		return shale_err_say(err, EBADMSG, "an entry has no name");
	int r = shale_saved_name(path, &what, &digest, err);
	if (r < 0)
		return r;
	if (what == SHALE_SAVED_OTHER) {
		l->docker = l->docker || !strcmp(path, "manifest.json");
		return 0;
	}
	if (archive_entry_filetype(e) != AE_IFREG || archive_entry_hardlink(e))
		r = shale_err_say(err, EBADMSG, "it is no ordinary file");
	else if (what == SHALE_SAVED_LAYOUT)
		r = take_document(rd, a, &l->layout, LAYOUT_LIMIT, err);
	else if (what == SHALE_SAVED_INDEX)
		r = take_document(rd, a, &l->index, SHALE_INDEX_LIMIT, err);
	else if (what == SHALE_SAVED_BLOB)
		r = take_blob(rd, a, &digest, err);
	else
		r = take_copy(rd, a, err);
	return r < 0 && r != -EINTR ? shale_err_wrap(err, r, "'%.300s'", path)
				    : r;
}

/* ---------------------------------------------------------------- the file */

static int open_file(struct reading *rd, struct archive *a,
		     struct shale_err *err)
{
	archive_read_support_format_tar(a);
	archive_read_support_filter_bzip2(a);
	archive_read_support_filter_gzip(a);
	archive_read_support_filter_xz(a);
	archive_read_support_filter_zstd(a);
	return archive_read_open(a, rd, NULL, read_some, NULL) == ARCHIVE_OK
		       ? 0
		       : broken(rd, a, err);
}

static int read_file(struct reading *rd, struct archive *a,
		     struct shale_err *err)
{
	struct archive_entry *e;
	int rc, r = open_file(rd, a, err);
	if (r < 0)
		return r;
	while ((rc = archive_read_next_header(a, &e)) == ARCHIVE_OK ||
	       rc == ARCHIVE_WARN) {
		r = take_entry(rd, a, e, err);
		if (r < 0)
			return r;
	}
	if (rc != ARCHIVE_EOF)
		return broken(rd, a, err);
	if (shale_archive_tar_cut(a))
		return shale_err_say(err, EBADMSG,
				     "it is cut short: the end mark is "
				     "missing");
	return 0;
}

static int read_archive(struct reading *rd, struct shale_err *err)
{
	/* Names are bytes, whatever the user's locale. */
	locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	locale_t old = utf8 ? uselocale(utf8) : (locale_t)0;
	struct archive *a = archive_read_new();
	struct stat st;
	if (fstat(rd->fd, &st) == 0 && S_ISREG(st.st_mode))
		rd->total = (uint64_t)st.st_size;
	rd->piece = malloc(PIECE);
	int r = a && rd->piece ? read_file(rd, a, err)
			       : shale_err_set(err, ENOMEM, "read it");
	if (a)
		archive_read_free(a);
	free(rd->piece);
	if (utf8) {
		uselocale(old);
		freelocale(utf8);
	}
	return r;
}

int shale_load(struct shale_store *store, int fd, bool force,
	       const struct shale_save_calls *calls, struct shale_loaded *out,
	       struct shale_err *err)
{
	struct reading rd = {
		.loading = {.blobs = {.store = store}},
		.calls = calls,
		.fd = fd,
	};
	cleanup_lease int lease = -1;
	*out = (struct shale_loaded){0};
	int r = shale_store_lease(store, &lease, err);
	if (r == 0)
		r = read_archive(&rd, err);
	if (r == 0)
		r = shale_load_take(&rd.loading, force, out, err);
	shale_loading_release(&rd.loading);
	if (r < 0)
		shale_loaded_release(out);
	return r;
}
