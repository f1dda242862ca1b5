/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/archive_out.h"

#include "layers/base/cleanup.h"
#include "layers/ops/archive_acl.h"

#include <archive.h>
#include <archive_entry.h>
#include <locale.h>
#include <poll.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* ZEROS is mapped, not allocated: one page of zeros, however much is read. */
enum { BLOCK = 256 << 10, ZEROS = 1 << 30 };

struct shale_archive_out {
	struct archive *a;
	struct archive_entry *entry;
	struct shale_archive_form form;
	int fd;
	int error; /* errno of the write that failed */
	bool given_up;
	bool (*cancelled)(void *arg);
	void *arg;
	void *zeros;
	/* Names are UTF-8, or bytes, whatever the user's locale. */
	locale_t utf8;
	struct shale_buf text;
};

bool shale_archive_form_of(const char *name, struct shale_archive_form *out)
{
	static const struct {
		const char *end;
		struct shale_archive_form form;
	} ends[] = {
		{".tar", {SHALE_FORM_TAR, SHALE_FORM_PLAIN}},
		{".tar.gz", {SHALE_FORM_TAR, SHALE_FORM_GZIP}},
		{".tgz", {SHALE_FORM_TAR, SHALE_FORM_GZIP}},
		{".tar.zst", {SHALE_FORM_TAR, SHALE_FORM_ZSTD}},
		{".tzst", {SHALE_FORM_TAR, SHALE_FORM_ZSTD}},
		{".zip", {SHALE_FORM_ZIP, SHALE_FORM_PLAIN}},
	};
	size_t len = strlen(name);
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		size_t n = strlen(ends[i].end);
		if (len > n && strcasecmp(name + len - n, ends[i].end) == 0) {
			*out = ends[i].form;
			return true;
		}
	}
	return false;
}

const char *shale_archive_cannot_hold(const struct shale_archive_form *form,
				      uint32_t mode)
{
	bool zip = form->format == SHALE_FORM_ZIP;
	switch (mode & S_IFMT) {
	case S_IFSOCK:
		return zip ? "a zip holds no sockets"
			   : "a tar holds no sockets";
	case S_IFIFO:
		return zip ? "a zip holds no fifos" : NULL;
	case S_IFCHR:
	case S_IFBLK:
		return zip ? "a zip holds no devices" : NULL;
	}
	return NULL;
}

/* ----------------------------------------------------------------- the file */

/*
 * An error is kept for whoever called, and not told to libarchive, which then
 * would not free all that it has.
 */
static la_ssize_t write_some(struct archive *a, void *arg, const void *data,
			     size_t len)
{
	struct shale_archive_out *out = arg;
	struct pollfd ready = {.fd = out->fd, .events = POLLOUT};
	ssize_t n;
	(void)a;
	if (out->given_up)
		return -1;
	if (out->error)
		return (la_ssize_t)len;
	do {
		/* Whoever reads the pipe may never do so again. */
		while (poll(&ready, 1, 200) <= 0) {
			if (out->cancelled && out->cancelled(out->arg)) {
				out->error = EINTR;
				return (la_ssize_t)len;
			}
		}
		n = write(out->fd, data, len);
	} while (n < 0 && (errno == EINTR || errno == EAGAIN));
	if (n < 0)
		out->error = errno;
	return n < 0 ? (la_ssize_t)len : n;
}

/* What libarchive says of a failure, and the code of the write behind it. */
static int failed(struct shale_archive_out *out, struct shale_err *err)
{
	const char *why = archive_error_string(out->a);
	if (out->error == EINTR)
		return shale_err_say(err, EINTR, "interrupted");
	if (out->error)
		return shale_err_set(err, out->error, "write the archive");
	return shale_err_say(err, EIO, "write the archive: %s",
			     why ? why : "it failed");
}

static int set_form(struct shale_archive_out *out)
{
	struct archive *a = out->a;
	int rc = out->form.format == SHALE_FORM_ZIP
			 ? archive_write_set_format_zip(a)
			 : archive_write_set_format_pax(a);
	/* GNU tar and libarchive read these; both forms would be twice as
	 * much. */
	if (rc == ARCHIVE_OK && out->form.format == SHALE_FORM_TAR)
		rc = archive_write_set_options(a, "pax:xattrheader=SCHILY");
	if (rc == ARCHIVE_OK && out->form.filter == SHALE_FORM_GZIP) {
		rc = archive_write_add_filter_gzip(a);
		if (rc == ARCHIVE_OK) /* no time of now */
			rc = archive_write_set_options(a, "gzip:!timestamp");
	}
	if (rc == ARCHIVE_OK && out->form.filter == SHALE_FORM_ZSTD)
		rc = archive_write_add_filter_zstd(a);
	if (rc == ARCHIVE_OK)
		rc = archive_write_set_bytes_per_block(a, BLOCK);
	if (rc == ARCHIVE_OK) /* no padding up to a block */
		rc = archive_write_set_bytes_in_last_block(a, 1);
	return rc;
}

int shale_archive_out_new(struct shale_archive_out **result, int fd,
			  const struct shale_archive_form *form,
			  bool (*cancelled)(void *arg), void *arg,
			  struct shale_err *err)
{
	struct shale_archive_out *out = calloc(1, sizeof(*out));
	if (!out)
		return shale_err_set(err, ENOMEM, "write an archive");
	out->fd = fd;
	out->form = *form;
	out->cancelled = cancelled;
	out->arg = arg;
	out->utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	out->a = archive_write_new();
	out->entry = archive_entry_new();
	out->zeros = mmap(NULL, ZEROS, PROT_READ,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	int r = 0;
	if (!out->a || !out->entry || out->zeros == MAP_FAILED)
		r = shale_err_set(err, ENOMEM, "write an archive");
	else if (set_form(out) != ARCHIVE_OK ||
		 archive_write_open(out->a, out, NULL, write_some, NULL) !=
			 ARCHIVE_OK)
		r = failed(out, err);
	if (r < 0) {
		shale_archive_out_free(out);
		return r;
	}
	*result = out;
	return 0;
}

void shale_archive_out_free(struct shale_archive_out *out)
{
	if (!out)
		return;
	/* Nothing more is written: freeing an archive would end it. */
	out->given_up = true;
	if (out->a)
		archive_write_free(out->a);
	archive_entry_free(out->entry);
	if (out->zeros != MAP_FAILED)
		munmap(out->zeros, ZEROS);
	if (out->utf8)
		freelocale(out->utf8);
	shale_buf_release(&out->text);
	free(out);
}

/* ------------------------------------------------------------------ entries */

/*
 * libarchive writes seconds, a point and nanoseconds: right from 1970 on.
 * Before, the decimal number of -2 s and 999,999,999 ns is -1.000000001.
 * Returns 1 for what cannot be said so: a time in the last second before 1970.
 */
static int set_time(struct archive_entry *e, const struct timespec *t,
		    struct shale_err *err)
{
	int64_t sec = t->tv_sec;
	long nsec = t->tv_nsec;
	int r = 0;
	if (sec == -1 && nsec) {
		shale_err_say(err, ERANGE,
			      "its time, less than a second before 1970, is "
			      "cut to the second");
		nsec = 0;
		r = 1;
	} else if (sec < 0 && nsec) {
		sec++;
		nsec = 1000000000 - nsec;
	}
	archive_entry_set_mtime(e, sec, nsec);
	return r;
}

/* Returns 1 if one cannot be said in a tar. */
static int set_xattrs(struct shale_archive_out *out,
		      const struct shale_archive_member *m,
		      struct shale_err *err)
{
	struct shale_xattr x;
	uint32_t at = 0;
	int r, lacks = 0;
	while ((r = shale_xattr_next(m->xattrs, m->xattr_len, &at, &x, err)) >
	       0) {
		struct shale_buf *name = &out->text;
		name->len = 0;
		if (shale_buf_append(name, x.name, x.name_len) < 0 ||
		    !shale_buf_str(name))
			return shale_err_set(err, ENOMEM, "an xattr");
		const char *text = (const char *)name->data;
		int known = shale_archive_acl_set(out->entry, text, x.value,
						  x.value_len, err);
		if (known < 0)
			return known;
		if (known)
			continue;
		if (strchr(text, '=')) {
			shale_err_say(err, EINVAL,
				      "xattr '%s': a tar holds no '=' in a "
				      "name",
				      text);
			lacks = 1;
			continue;
		}
		archive_entry_xattr_add_entry(out->entry, text, x.value,
					      x.value_len);
	}
	return r < 0 ? r : lacks;
}

static void set_type(struct archive_entry *e,
		     const struct shale_archive_member *m)
{
	const struct shale_attr *attr = &m->attr;
	archive_entry_set_mode(e, (mode_t)attr->mode);
	archive_entry_set_uid(e, attr->uid);
	archive_entry_set_gid(e, attr->gid);
	if (m->link) {
		archive_entry_copy_hardlink(e, m->link);
		archive_entry_set_size(e, 0);
		return;
	}
	switch (attr->mode & S_IFMT) {
	case S_IFREG:
		archive_entry_set_size(e, (int64_t)attr->size);
		break;
	case S_IFLNK:
		archive_entry_copy_symlink(e, m->target);
		archive_entry_set_size(e, 0);
		break;
	case S_IFCHR:
	case S_IFBLK:
		archive_entry_set_rdevmajor(e, attr->rdev_major);
		archive_entry_set_rdevminor(e, attr->rdev_minor);
		/* fall through */
	default:
		archive_entry_set_size(e, 0);
	}
}

static int fill(struct shale_archive_out *out,
		const struct shale_archive_member *m, struct shale_err *err)
{
	struct archive_entry *e = archive_entry_clear(out->entry);
	bool tar = out->form.format == SHALE_FORM_TAR;
	archive_entry_copy_pathname(e, *m->path ? m->path : "./");
	set_type(e, m);
	int r = set_time(e, &m->attr.mtime, err);
	if (!tar || m->link)
		return r;
	int x = set_xattrs(out, m, err);
	if (x < 0)
		return x;
	for (size_t i = 0; m->runs && i < m->n_runs; i++)
		archive_entry_sparse_add_entry(e, (int64_t)m->runs[i].off,
					       (int64_t)m->runs[i].len);
	if (m->runs && m->n_runs == 0 && m->attr.size)
		archive_entry_sparse_add_entry(e, (int64_t)m->attr.size, 0);
	return r || x;
}

int shale_archive_out_entry(struct shale_archive_out *out,
			    const struct shale_archive_member *member,
			    struct shale_err *err)
{
	locale_t old = out->utf8 ? uselocale(out->utf8) : (locale_t)0;
	int r = fill(out, member, err);
	if (r >= 0) {
		/* It warns of names that are not UTF-8, and writes their
		 * bytes. */
		int rc = archive_write_header(out->a, out->entry);
		if ((rc != ARCHIVE_OK && rc != ARCHIVE_WARN) || out->error)
			r = failed(out, err);
	}
	if (out->utf8)
		uselocale(old);
	return r;
}

int shale_archive_out_data(struct shale_archive_out *out, const void *data,
			   size_t len, struct shale_err *err)
{
	while (len) {
		la_ssize_t n = archive_write_data(out->a, data, len);
		if (n < 0 || out->error)
			return failed(out, err);
		if (n == 0)
			return shale_err_say(err, EUCLEAN,
					     "more content than its size says");
		data = (const uint8_t *)data + n;
		len -= (size_t)n;
	}
	return 0;
}

int shale_archive_out_hole(struct shale_archive_out *out, uint64_t len,
			   struct shale_err *err)
{
	int r = 0;
	while (len && r == 0) {
		size_t n = len < ZEROS ? (size_t)len : ZEROS;
		r = shale_archive_out_data(out, out->zeros, n, err);
		len -= n;
		if (r == 0 && out->cancelled && out->cancelled(out->arg))
			r = shale_err_say(err, EINTR, "interrupted");
	}
	return r;
}

int shale_archive_out_end(struct shale_archive_out *out, struct shale_err *err)
{
	int rc = archive_write_close(out->a);
	return rc == ARCHIVE_OK && !out->error ? 0 : failed(out, err);
}
