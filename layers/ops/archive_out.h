/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_OPS_ARCHIVE_OUT_H
#define SHALE_OPS_ARCHIVE_OUT_H

/*
 * An archive on its way out, by libarchive: a pax tar, compressed or not, or a
 * zip.  Its bytes depend on what is written alone: no time of now, no names of
 * users, whatever the locale.  One thread.
 *
 * A pax tar holds all that an image does but sockets: times in nanoseconds,
 * xattrs (SCHILY.xattr), ACLs (SCHILY.acl), holes (GNU.sparse 1.0), hard links,
 * devices, names of any bytes, any owner and size.  A zip holds directories,
 * regular files and symlinks, with modes and times of whole seconds.
 */

#include "layers/blob/tree.h"

struct shale_archive_form {
	enum { SHALE_FORM_TAR, SHALE_FORM_ZIP } format;
	enum { SHALE_FORM_PLAIN, SHALE_FORM_GZIP, SHALE_FORM_ZSTD } filter;
};

/*
 * The form that a file's name asks for: .tar, .tar.gz or .tgz, .tar.zst or
 * .tzst, .zip, in any case.  False: it names no archive.
 */
bool shale_archive_form_of(const char *name, struct shale_archive_form *out);

/* A run of data in a file with holes. */
struct shale_archive_run {
	uint64_t off, len;
};

/* One entry; what it points to is the caller's. */
struct shale_archive_member {
	const char *path; /* relative; "": the root */
	struct shale_attr attr;
	const char *target; /* of a symlink */
	const char *link;   /* the path of an earlier entry: this is one more
			     * name of that, without content */
	const void *xattrs; /* as a tree blob has them */
	uint32_t xattr_len;
	/* Where a regular file has data; NULL: everywhere.  It may have none
	 * (`n_runs` 0). */
	const struct shale_archive_run *runs;
	size_t n_runs;
};

struct shale_archive_out;

/* `fd` stays the caller's.  `cancelled` may be NULL; it ends a write that
 * waits. */
int shale_archive_out_new(struct shale_archive_out **out, int fd,
			  const struct shale_archive_form *form,
			  bool (*cancelled)(void *arg), void *arg,
			  struct shale_err *err);
/* Without shale_archive_out_end(), what was written is no archive. */
void shale_archive_out_free(struct shale_archive_out *out);

/* Why this form cannot hold such an inode at all, or NULL. */
const char *shale_archive_cannot_hold(const struct shale_archive_form *form,
				      uint32_t mode);

/*
 * Begin an entry.  Its content (attr.size bytes of a regular file that is no
 * link) follows in order.  Returns 1 when it is there but lacks something,
 * which `err` names.  -EINTR: cancelled; -ENOSPC, -EPIPE, … of the write.
 */
int shale_archive_out_entry(struct shale_archive_out *out,
			    const struct shale_archive_member *member,
			    struct shale_err *err);
int shale_archive_out_data(struct shale_archive_out *out, const void *data,
			   size_t len, struct shale_err *err);
/* Zeros; where they are no run, they cost nothing. */
int shale_archive_out_hole(struct shale_archive_out *out, uint64_t len,
			   struct shale_err *err);

/* Write what ends the archive. */
int shale_archive_out_end(struct shale_archive_out *out, struct shale_err *err);

#endif
