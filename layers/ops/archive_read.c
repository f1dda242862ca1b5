/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/archive_read.h"

#include "layers/base/cleanup.h"
#include "layers/base/hash.h"
#include "layers/ops/archive_acl.h"

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

/* ------------------------------------------------------------------ entries */

static int fill_xattrs(struct shale_archive_reader *r, struct archive_entry *e,
		       struct shale_buf *list, struct shale_err *err)
{
	const char *name;
	const void *value;
	size_t len;
	bool acl = false;

	archive_entry_xattr_reset(e);
	while (archive_entry_xattr_next(e, &name, &value, &len) == ARCHIVE_OK) {
		if (!name || !shale_xattr_wanted(r->xattrs, true, name))
			continue;
		acl = acl || strncmp(name, "system.posix_acl_", 17) == 0;
		int rc = shale_xattr_append(list, name, value, len, err);
		if (rc < 0)
			return rc;
	}
	int rc = 0;
	if (!acl &&
	    shale_xattr_wanted(r->xattrs, true, "system.posix_acl_access"))
		rc = shale_archive_acl(e, list, err);
	return rc == 0 && list->len ? shale_xattr_sort(list, err) : rc;
}

/* `decimal_times`: -1.25 came as -1 s and 250,000,000 ns. */
static int fill_attr(struct archive_entry *e, bool decimal_times,
		     struct shale_archive_item *item, struct shale_err *err)
{
	struct shale_attr *attr = &item->attr;
	int64_t size = archive_entry_size_is_set(e) ? archive_entry_size(e) : 0;
	int64_t uid = archive_entry_uid(e), gid = archive_entry_gid(e);
	long nsec = archive_entry_mtime_nsec(e);

	if (size < 0 || uid < 0 || uid >= UINT32_MAX || gid < 0 ||
	    gid >= UINT32_MAX)
		return shale_err_say(err, EBADMSG,
				     "its size or owner is out of range");
	attr->mode = archive_entry_mode(e);
	if (item->is_link)
		attr->mode = S_IFREG;
	attr->uid = (uint32_t)uid;
	attr->gid = (uint32_t)gid;
	if (archive_entry_mtime_is_set(e)) {
		attr->mtime.tv_sec = archive_entry_mtime(e);
		attr->mtime.tv_nsec = nsec >= 0 && nsec < 1000000000 ? nsec : 0;
		if (decimal_times && attr->mtime.tv_sec < 0 &&
		    attr->mtime.tv_nsec) {
			attr->mtime.tv_sec--;
			attr->mtime.tv_nsec = 1000000000 - attr->mtime.tv_nsec;
		}
	}
	switch (attr->mode & S_IFMT) {
	case S_IFREG:
		attr->size = (uint64_t)size;
		item->no_size = !archive_entry_size_is_set(e);
		item->has_content = !item->is_link || size > 0;
		return 0;
	case S_IFCHR:
	case S_IFBLK:
		attr->rdev_major = (uint32_t)archive_entry_rdevmajor(e);
		attr->rdev_minor = (uint32_t)archive_entry_rdevminor(e);
		return 0;
	case S_IFDIR:
	case S_IFLNK:
	case S_IFIFO:
	case S_IFSOCK:
		return 0;
	}
	return shale_err_say(err, EBADMSG, "it is of no known type");
}

static const char *text_of(const char *as_is, const char *utf8)
{
	return as_is ? as_is : utf8;
}

/* A cleaned copy of a path, appended to the heap with its NUL. */
static int put_path(struct shale_buf *heap, const char *path, uint32_t *len,
		    struct shale_err *err)
{
	size_t size = strlen(path) + 1, at = heap->len, n;
	if (size > SHALE_RING_BATCH || shale_buf_append(heap, path, size) < 0)
		return shale_err_set(err, ENAMETOOLONG, "a path");
	int rc = shale_arrival_clean_path((char *)heap->data + at, &n, err);
	if (rc < 0)
		return rc;
	*len = (uint32_t)n;
	heap->len = at + n + 1;
	return 0;
}

static int put_target(struct shale_buf *heap, struct archive_entry *e,
		      struct shale_archive_item *item, struct shale_err *err)
{
	const char *target = text_of(archive_entry_symlink(e),
				     archive_entry_symlink_utf8(e));
	size_t len = target ? strlen(target) : 0;
	if (!len || len > SHALE_TARGET_MAX)
		return shale_err_say(err, EBADMSG,
				     "its target has %zu bytes; 1 to %d can be "
				     "stored",
				     len, SHALE_TARGET_MAX);
	item->target_len = (uint32_t)len;
	item->attr.size = len;
	if (shale_buf_append(heap, target, len) < 0)
		return shale_err_set(err, ENOMEM, "a target");
	return 0;
}

static int fill_item(struct shale_archive_reader *r, struct archive_entry *e,
		     const char *path, struct shale_archive_item *item,
		     struct shale_err *err)
{
	cleanup_buf struct shale_buf xattrs = {0};
	struct shale_buf *heap = &r->batch->heap;
	const char *link = text_of(archive_entry_hardlink(e),
				   archive_entry_hardlink_utf8(e));
	item->kind = SHALE_ARCHIVE_ENTRY;
	item->at = heap->len;
	item->is_link = link != NULL;
	int rc = fill_attr(e, r->decimal_times, item, err);
	if (rc == 0)
		rc = fill_xattrs(r, e, &xattrs, err);
	if (rc == 0)
		rc = put_path(heap, path, &item->path_len, err);
	if (rc == 0 && link)
		rc = put_path(heap, link, &item->link_len, err);
	if (rc == 0 && S_ISLNK(item->attr.mode))
		rc = put_target(heap, e, item, err);
	item->xattr_len = (uint32_t)xattrs.len;
	if (rc == 0 && xattrs.len &&
	    shale_buf_append(heap, xattrs.data, xattrs.len) < 0)
		rc = shale_err_set(err, ENOMEM, "xattrs");
	return rc;
}

void shale_archive_arrival(const struct shale_batch *batch,
			   const struct shale_archive_item *item,
			   struct shale_arrival *out)
{
	const char *at = (const char *)batch->heap.data + item->at;
	*out = (struct shale_arrival){
		.attr = item->attr,
		.path = at,
		.path_len = item->path_len,
		.xattr_len = item->xattr_len,
	};
	at += item->path_len + 1;
	if (item->is_link) {
		out->link = at;
		out->link_len = item->link_len;
		at += item->link_len + 1;
	}
	out->target = at;
	out->xattrs = at + item->target_len;
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
	const char *path = text_of(archive_entry_pathname(e),
				   archive_entry_pathname_utf8(e));
	int rc = have_room(r);
	if (rc < 0)
		return rc;
	if (!path)
		return shale_err_say(err, EBADMSG,
				     "an entry's name cannot be read");
	size_t before = r->batch->heap.len;
	rc = fill_item(r, e, path, &item, err);
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
