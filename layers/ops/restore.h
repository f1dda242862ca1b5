/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_OPS_RESTORE_H
#define SHALE_OPS_RESTORE_H

/*
 * Makes inodes of an image in a directory of the host: under a temporary name
 * with all attributes, then renamed.  So a name is what was there before or all
 * of the new one, and nothing is written through a name that somebody else put
 * there.  Thread-safe: workers may share one struct shale_restore.
 */

#include "layers/index/image.h"

#include <sys/stat.h>

enum shale_overwrite {
	SHALE_OVERWRITE_NEVER,
	SHALE_OVERWRITE_IF_CHANGED, /* type, size, mtime, mode, owner, device,
				     * target */
	SHALE_OVERWRITE_ALWAYS,
};

/*
 * A file of the host that has the content of `ino` in `image`.  Where the file
 * system shares blocks between files, another one begins as its clone, and only
 * what differs is written.
 */
struct shale_restore_basis {
	int fd;
	const struct shale_image *image;
	uint64_t ino;
	bool used;        /* set: it could be cloned, */
	uint64_t written; /* and so much was written */
};

struct shale_restore {
	const struct shale_image *image;
	enum shale_overwrite overwrite;
	bool same_owner; /* owners, setuid bits and privileged xattrs; without
			  * it files are the caller's */
	bool privileged; /* may we set them at all? */
	bool no_xattrs;
	bool contents; /* if-changed: compare them too */
	/* Where temporary names are made: in this directory of the same file
	 * system; without `staged`, beside the name that is meant. */
	bool staged;
	int staging;
	struct shale_restore_basis *basis; /* or NULL */
};

/* What came of it. */
enum shale_restored {
	SHALE_RESTORED,  /* it is there now */
	SHALE_UNCHANGED, /* it was there, and the same (if-changed) */
	SHALE_EXISTS,    /* something is there and was left */
	SHALE_REFUSED,   /* we may not make it: a device */
};

/*
 * Make the inode `attr` (no directory) as `name` in `dirfd`.  An error leaves
 * what was there.  1: as shale_restore_attributes().  -EISDIR: a directory has
 * that name.  -EUCLEAN: the image is damaged here.
 */
int shale_restore_inode(const struct shale_restore *rs, int dirfd,
			const char *name, const struct shale_attr *attr,
			enum shale_restored *outcome, struct shale_err *err);

/*
 * The two halves of it, for who makes many files durable in between: make the
 * inode under a new name in rs->staging, and rename that to `name` in `dirfd`,
 * over what is there unless rs->overwrite is never (SHALE_EXISTS: the staged
 * one is gone then).
 */
enum { SHALE_STAGED_NAME = 40 };
int shale_restore_stage(const struct shale_restore *rs,
			const struct shale_attr *attr, char *staged,
			enum shale_restored *outcome, struct shale_err *err);
int shale_restore_place(const struct shale_restore *rs, const char *staged,
			int dirfd, const char *name,
			enum shale_restored *outcome, struct shale_err *err);

/* The content of a new file, empty so far, by way of rs->basis.  0: this file
 * system does not clone; 1: it is all there. */
int shale_restore_on_basis(const struct shale_restore *rs, int fd,
			   const struct shale_attr *attr,
			   struct shale_err *err);

/*
 * Have a directory `name` in `dirfd`, for us alone until
 * shale_restore_attributes() is called for it.  SHALE_RESTORED: it was made;
 * SHALE_UNCHANGED: there was one; SHALE_EXISTS: something else is there.
 */
int shale_restore_dir(const struct shale_restore *rs, int dirfd,
		      const char *name, enum shale_restored *outcome,
		      struct shale_err *err);

/* Make `name` in `dirfd` one more name of the file `from` in `fromfd`. */
int shale_restore_link(const struct shale_restore *rs, int fromfd,
		       const char *from, int dirfd, const char *name,
		       enum shale_restored *outcome, struct shale_err *err);

/*
 * The mode that an entry gets that is as `st` says: set-id bits belong to the
 * owner that the image names.
 */
uint32_t shale_restore_mode(const struct shale_attr *attr,
			    const struct stat *st);

/*
 * Owner, xattrs, mode and times of what `fd` is (O_PATH will do).  Returns 1
 * when all is done but some xattrs, which the file system or the user's rights
 * do not allow; `err` names the first.
 */
int shale_restore_attributes(const struct shale_restore *rs, int fd,
			     const struct shale_attr *attr,
			     struct shale_err *err);

/* Is `name`, of which `st` is told, what `attr` says, as if-changed has it? */
bool shale_restore_unchanged(const struct shale_restore *rs, int dirfd,
			     const char *name, const struct stat *st,
			     const struct shale_attr *attr);

#endif
