/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/archive_read.h"

#include "layers/base/cleanup.h"
#include "layers/base/hash.h"
#include "layers/ops/archive_item.h"

#include <archive.h>
#include <archive_entry.h>
#include <locale.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>

enum { PIPE_STEP = 256 << 10, ITEMS = 4096 };

/* Stopped by the consumer: no message, nobody will read it. */
enum { STOPPED = -ECANCELED };

typedef int support_fn(struct archive *);
static support_fn *const formats[] = {
	archive_read_support_format_7zip,    archive_read_support_format_ar,
	archive_read_support_format_cab,     archive_read_support_format_cpio,
	archive_read_support_format_empty,   archive_read_support_format_gnutar,
	archive_read_support_format_iso9660, archive_read_support_format_lha,
	archive_read_support_format_rar,     archive_read_support_format_rar5,
	archive_read_support_format_tar,     archive_read_support_format_warc,
	archive_read_support_format_xar,     archive_read_support_format_zip,
};

/* ---------------------------------------------------------------- the ring */

static int next_batch(struct shale_archive_reader *r)
{
	if (r->batch)
		shale_ring_post(r->ring, r->batch);
	r->batch = shale_ring_empty(r->ring);
	return r->batch ? 0 : STOPPED;
}

static int add_item(struct shale_archive_reader *r,
		    const struct shale_archive_item *item)
{
	return shale_buf_append(&r->batch->items, item, sizeof(*item));
}

/* Room in the batch for one more item with its strings. */
static int have_room(struct shale_archive_reader *r)
{
	if (r->batch->items.len < ITEMS * sizeof(struct shale_archive_item) &&
	    r->batch->heap.len < SHALE_RING_BATCH)
		return 0;
	return next_batch(r);
}

static int add_data(struct shale_archive_reader *r, const void *data,
		    size_t len)
{
	while (len) {
		size_t room = SHALE_RING_BATCH - r->batch->len;
		int rc = room ? have_room(r) : next_batch(r);
		if (rc < 0)
			return rc;
		room = SHALE_RING_BATCH - r->batch->len;
		size_t n = len < room ? len : room;
		struct shale_archive_item item = {
			.kind = SHALE_ARCHIVE_DATA,
			.at = r->batch->len,
			.len = n,
		};
		memcpy(r->batch->data + r->batch->len, data, n);
		r->batch->len += n;
		rc = add_item(r, &item);
		if (rc < 0)
			return rc;
		data = (const uint8_t *)data + n;
		len -= n;
	}
	return 0;
}

static int add_plain(struct shale_archive_reader *r,
		     enum shale_archive_kind kind, uint64_t len)
{
	struct shale_archive_item item = {.kind = kind, .len = len};
	int rc = have_room(r);
	return rc < 0 ? rc : add_item(r, &item);
}

/* ------------------------------------------------------------------ reading */

static int broken(struct archive *a, struct shale_err *err)
{
	const char *why = archive_error_string(a);
	/* EILSEQ is libarchive's for what is not in a format. */
	if (archive_errno(a) == EILSEQ && archive_format(a) == 0)
		return shale_err_say(err, EBADMSG,
				     "it is neither a directory nor an archive "
				     "of a kind that is known");
	return shale_err_say(err, EBADMSG, "%s", why ? why : "it is damaged");
}

static int read_content(struct shale_archive_reader *r, struct archive *a,
			const struct shale_archive_item *item,
			struct shale_err *err)
{
	uint64_t at = 0, size = item->attr.size;
	const void *data;
	size_t len;
	int64_t off;
	int rc;

	/* A warning here is a checksum or a size that does not hold. */
	while ((rc = archive_read_data_block(a, &data, &len, &off)) ==
	       ARCHIVE_OK) {
		if (off < 0 || (uint64_t)off < at || (uint64_t)off > INT64_MAX)
			return shale_err_say(err, EBADMSG,
					     "its content goes backwards");
		int s = 0;
		if ((uint64_t)off > at)
			s = add_plain(r, SHALE_ARCHIVE_HOLE,
				      (uint64_t)off - at);
		if (s == 0)
			s = add_data(r, data, len);
		if (s < 0)
			return s;
		at = (uint64_t)off + len;
	}
	if (rc != ARCHIVE_EOF)
		return broken(a, err);
	if (!item->no_size && at > size)
		return shale_err_say(err, EBADMSG,
				     "it has more content than it says");
	if (at < size)
		rc = add_plain(r, SHALE_ARCHIVE_HOLE, size - at);
	else
		rc = 0;
	return rc < 0 ? rc : add_plain(r, SHALE_ARCHIVE_END, 0);
}

static int read_entry(struct shale_archive_reader *r, struct archive *a,
		      struct archive_entry *e, struct shale_err *err)
{
	struct shale_archive_item item = {0};
	r->decimal_times =
		archive_format(a) == ARCHIVE_FORMAT_TAR_PAX_INTERCHANGE;
	const char *path = archive_entry_pathname(e);
	if (!path)
		path = archive_entry_pathname_utf8(e);
	int rc = have_room(r);
	if (rc < 0)
		return rc;
	if (!path)
		return shale_err_say(err, EBADMSG,
				     "an entry's name cannot be read");
	size_t before = r->batch->heap.len;
	rc = shale_archive_item_fill(r, e, path, &item, err);
	if (rc < 0)
		return shale_err_wrap(err, rc, "entry '%.300s'", path);

	const char *clean = (const char *)r->batch->heap.data + item.at;
	if (shale_exclude_match_above(r->exclude, clean,
				      S_ISDIR(item.attr.mode))) {
		r->batch->heap.len = before;
		return 0;
	}
	rc = add_item(r, &item);
	if (rc == 0 && item.has_content)
		rc = read_content(r, a, &item, err);
	return rc < 0 && rc != STOPPED
		       ? shale_err_wrap(err, rc, "entry '%.300s'", path)
		       : rc;
}

/* A zip's end record, with its comment, is in its last 64 KiB and a little. */
static bool has_zip_end(int fd)
{
	enum { RECORD = 22, LONGEST = RECORD + UINT16_MAX };
	cleanup_free uint8_t *tail = malloc(LONGEST);
	off_t size = lseek(fd, 0, SEEK_END);
	off_t from = size > LONGEST ? size - LONGEST : 0;
	ssize_t n = tail && size > 0 ? pread(fd, tail, LONGEST, from) : -1;
	const uint8_t *at = tail, *end = tail + (n > 0 ? n : 0);
	while ((at = memmem(at, (size_t)(end - at), "PK\5\6", 4))) {
		if (end - at >= RECORD &&
		    end - at - RECORD >= (at[20] | at[21] << 8))
			return true;
		at++;
	}
	return false;
}

bool shale_archive_tar_cut(struct archive *a)
{
	return archive_filter_bytes(a, 0) <= archive_read_header_position(a);
}

/*
 * libarchive takes a tar that was cut between two entries for a whole one, and
 * reads a zip from its start when the directory at its end has been cut off.
 */
static int check_end(const struct shale_archive_reader *r, struct archive *a,
		     struct shale_err *err)
{
	int format = archive_format(a) & ARCHIVE_FORMAT_BASE_MASK;
	if (archive_format(a) == ARCHIVE_FORMAT_EMPTY)
		return shale_err_say(err, EBADMSG, "it is empty");
	if (format == ARCHIVE_FORMAT_TAR && !r->no_trailer &&
	    shale_archive_tar_cut(a))
		return shale_err_say(err, EBADMSG,
				     "it is cut short: the end mark is "
				     "missing");
	if (format == ARCHIVE_FORMAT_ZIP && !r->sha && !has_zip_end(r->fd))
		return shale_err_say(err, EBADMSG,
				     "it is cut short: its directory is "
				     "missing");
	return 0;
}

static int read_all(struct shale_archive_reader *r, struct archive *a,
		    struct shale_err *err)
{
	struct archive_entry *e;
	int rc;
	while ((rc = archive_read_next_header(a, &e)) == ARCHIVE_OK ||
	       rc == ARCHIVE_WARN) {
		int s = read_entry(r, a, e, err);
		if (s < 0)
			return s;
	}
	return rc == ARCHIVE_EOF ? check_end(r, a, err) : broken(a, err);
}

static la_ssize_t read_pipe(struct archive *a, void *arg, const void **data)
{
	struct shale_archive_reader *r = arg;
	struct pollfd ready = {.fd = r->fd, .events = POLLIN};
	ssize_t n;
	/* Whoever writes to the pipe may never do so again, or for ever. */
	do {
		if (shale_ring_stopped(r->ring)) {
			if (a)
				archive_set_error(a, EINTR, "interrupted");
			return -1;
		}
	} while (poll(&ready, 1, 200) == 0);
	do {
		n = read(r->fd, r->pipe.data, PIPE_STEP);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && !a)
		return -1;
	if (n < 0) {
		archive_set_error(a, errno, "%s", strerrordesc_np(errno));
		return -1;
	}
	shale_sha256_update(r->sha, r->pipe.data, (size_t)n);
	r->piped += (uint64_t)n;
	*data = r->pipe.data;
	return n;
}

static int open_archive(struct shale_archive_reader *r, struct archive *a,
			struct shale_err *err)
{
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
		formats[i](a);
	archive_read_support_filter_all(a);
	int rc;
	if (!r->sequential) {
		rc = archive_read_open_fd(a, r->fd, PIPE_STEP);
	} else {
		r->sha = shale_sha256_new();
		if (!r->sha || shale_buf_reserve(&r->pipe, PIPE_STEP) < 0)
			return shale_err_set(err, ENOMEM, "read an archive");
		rc = archive_read_open(a, r, NULL, read_pipe, NULL);
	}
	return rc == ARCHIVE_OK ? 0 : broken(a, err);
}

static void fail(struct shale_archive_reader *r, int rc,
		 const struct shale_err *why)
{
	struct shale_archive_item item = {
		.kind = SHALE_ARCHIVE_FAIL,
		.error = -rc,
	};
	if (!r->batch)
		return;
	item.at = r->batch->heap.len;
	if (shale_buf_append(&r->batch->heap, why->msg, strlen(why->msg) + 1) ==
	    0)
		add_item(r, &item);
}

static void *run(void *arg)
{
	struct shale_archive_reader *r = arg;
	struct shale_err why = {0};
	/* Names in archives are UTF-8, or bytes, whatever the user's locale. */
	locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	locale_t old = utf8 ? uselocale(utf8) : (locale_t)0;
	struct archive *a = archive_read_new();

	int rc = next_batch(r);
	if (rc == 0 && !a)
		rc = shale_err_set(&why, ENOMEM, "read an archive");
	if (rc == 0)
		rc = open_archive(r, a, &why);
	if (rc == 0)
		rc = read_all(r, a, &why);
	if (rc < 0 && rc != STOPPED)
		fail(r, rc, &why);
	if (a)
		archive_read_free(a);
	const void *rest;
	while (rc == 0 && r->sha && read_pipe(NULL, r, &rest) > 0)
		;
	if (r->batch)
		shale_ring_post(r->ring, r->batch);
	r->batch = NULL;
	shale_ring_end(r->ring);
	if (utf8) {
		uselocale(old);
		freelocale(utf8);
	}
	return NULL;
}

int shale_archive_reader_start(struct shale_archive_reader *reader,
			       struct shale_err *err)
{
	int r = shale_ring_new(&reader->ring, 6, err);
	if (r < 0)
		return r;
	r = pthread_create(&reader->thread, NULL, run, reader);
	if (r) {
		shale_ring_free(reader->ring);
		reader->ring = NULL;
		return shale_err_set(err, r, "start a thread");
	}
	reader->running = true;
	return 0;
}

void shale_archive_reader_join(struct shale_archive_reader *reader)
{
	if (reader->running)
		pthread_join(reader->thread, NULL);
	reader->running = false;
}

void shale_archive_reader_release(struct shale_archive_reader *reader)
{
	shale_ring_free(reader->ring);
	shale_sha256_free(reader->sha);
	shale_buf_release(&reader->pipe);
	reader->ring = NULL;
	reader->sha = NULL;
}
