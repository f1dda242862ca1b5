/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_OPS_EXPORT_H
#define SHALE_OPS_EXPORT_H

/*
 * Export: a directory of an image, with all below it, into a directory of the
 * host.  Walks beneath that directory only, follows no symlink there, and makes
 * everything under a temporary name first (layers/ops/restore.h).  Files are
 * written by workers in walk order; directories get their attributes last.
 */

#include "layers/ops/restore.h"

struct shale_export_opts {
	enum shale_overwrite overwrite;
	bool same_owner; /* as struct shale_restore has it */
	bool no_xattrs;
	bool contents;    /* as struct shale_restore has it */
	unsigned threads; /* 0: one a processor */
	bool own_root;    /* give the directory itself its attributes */
	bool staged;      /* as struct shale_restore has it */
	int staging;

	/* All may be NULL; called by one thread at a time. */
	bool (*cancelled)(void *arg);
	void (*progress)(void *arg, uint64_t done, uint64_t total,
			 uint64_t files, const char *path);
	/* `path` was left out, or is not all of what the image has. */
	void (*problem)(void *arg, const char *path, const char *what);
	void *arg;
};

struct shale_export_result {
	uint64_t made;      /* names */
	uint64_t unchanged; /* were there already (if-changed) */
	uint64_t bytes;     /* of files made */
	uint64_t exists;    /* left as they were (never) */
	uint64_t left_out;  /* devices and files that could not be made */
	uint64_t damaged;   /* of those: the image is damaged there */
	uint64_t io_errors; /* of those: a disk failed */
	uint64_t xattrs;    /* files that lack some of them */
};

/*
 * Make directory `dirfd` hold what the image's directory `ino` holds; `ino` may
 * be another inode: then it is made in `dirfd` as `name`.  Goes on after what
 * concerns one path; -ENOSPC, -EDQUOT, -EROFS, -ENOMEM and -EINTR end it.
 */
int shale_export(const struct shale_image *image, uint64_t ino, int dirfd,
		 const char *name, const struct shale_export_opts *opts,
		 struct shale_export_result *result, struct shale_err *err);

/*
 * The same as an archive, in walk order, to `fd`: the bytes depend on the image
 * alone.  What its form cannot hold is left out and told.  Of `opts` threads,
 * no_xattrs and the callbacks count.  An archive is whole or worth nothing: any
 * error ends it (-EUCLEAN: the image is damaged, `err` names where).  (In
 * a library of its own, so that programs that do not call it do not link
 * libarchive.)
 */
struct shale_archive_form;
int shale_export_archive(const struct shale_image *image, uint64_t ino,
			 const char *name, int fd,
			 const struct shale_archive_form *form,
			 const struct shale_export_opts *opts,
			 struct shale_export_result *result,
			 struct shale_err *err);

#endif
