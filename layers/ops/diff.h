/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_OPS_DIFF_H
#define SHALE_OPS_DIFF_H

/*
 * What differs between two trees, path by path.  Two versions that have their
 * lowest layers in common are compared by what the layers above say: that
 * costs those records, and for a directory that came, went or moved what lies
 * below it.  Others are walked together.  Contents are compared by where they
 * lie and by the hashes of their chunks; bytes are read only where these do not
 * decide.  Memory: some 40 bytes a record of the layers that differ, and what
 * the depth of a tree asks for.  One thread.
 */

#include "layers/index/image.h"

/* In what two inodes at one path differ. */
enum shale_diff_what {
	SHALE_DIFF_TYPE = 1,
	SHALE_DIFF_CONTENT = 2, /* of a file; a symlink's target, a device's
				 * number */
	SHALE_DIFF_MODE = 4,
	SHALE_DIFF_OWNER = 8,
	SHALE_DIFF_TIME = 16, /* of directories: only with opts->all */
	SHALE_DIFF_XATTRS = 32,
	SHALE_DIFF_LINKS = 64, /* with opts->all: one of them has several names,
				* and these may be others */
};

struct shale_difference {
	/* 'A'dded, 'D'eleted, 'M': content, 'T'ype, 'm': attributes only; 0:
	 * nothing but what opts->all asks for. */
	char letter;
	const char *path; /* "/a/b", with a NUL; "/" is the root */
	size_t len;
	uint64_t old_ino, new_ino; /* 0: none */
	struct shale_attr was, is; /* of those; zeros without one */
	unsigned what;             /* enum shale_diff_what; of A and D: 0 */
};

/* Returns 0 to go on; anything else ends the comparison and is returned. */
typedef int shale_diff_fn(void *arg, const struct shale_difference *d);

struct shale_diff_opts {
	/* The first so many trees of the two make one and the same image
	 * (layers/store/shared.h); 0: no such thing is known. */
	size_t old_shared, new_shared;
	/* Compare what lies below this path, which is in normal form ("/a/b",
	 * or "/" and NULL: all). */
	const char *path;
	/* Tell also of directories whose time alone differs, and of files with
	 * several names that may be linked otherwise. */
	bool all;
	bool (*cancelled)(void *arg); /* may be NULL; asked now and then */
	void *arg;
};

/*
 * Call `fn` for each difference, sorted by path as strcmp() sorts.  A directory
 * that moved is D of all its old paths and A of the new ones.  Directories'
 * times, and with one name more or less of a file the others' link counts, are
 * no difference.  `old` may be NULL: nothing at all.
 *
 * -ENOENT: neither has opts->path.  -EUCLEAN: damage, named.
 */
int shale_diff(const struct shale_image *old, const struct shale_image *fresh,
	       const struct shale_diff_opts *opts, shale_diff_fn *fn, void *arg,
	       struct shale_err *err);

/* A run of bytes; `hole`: zeros that are not stored.  Returns 0 to go on. */
typedef int shale_diff_range_fn(void *arg, uint64_t off, uint64_t len,
				bool hole);

/*
 * Call `fn` for each run of the file `b` that is not the same in `a`, in
 * ascending order; what is behind the end of `a` is taken as zeros there.
 */
int shale_diff_ranges(const struct shale_image *a, uint64_t a_ino,
		      const struct shale_image *b, uint64_t b_ino,
		      shale_diff_range_fn *fn, void *arg,
		      struct shale_err *err);

/* Do the contents of two regular files differ?  1: yes. */
int shale_diff_content(const struct shale_image *a, uint64_t a_ino,
		       const struct shale_image *b, uint64_t b_ino,
		       struct shale_err *err);

#endif
