/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_LIVE_LEND_H
#define SHALE_LIVE_LEND_H

/*
 * Files whose data file is *lent* to the kernel (`-o passthrough`), which reads
 * and writes it without asking while they are open.  Its C record says so; what
 * it says of size and blocks, and the I record of times, is as it was then:
 * what counts is the data file, as the host's file system has it.
 *
 *     not lent --(the first open, for writing: the data file is made what the
 *                 file shows; C record)--> lent --(nobody has it open or mapped
 *                 any more: size, blocks and times become records)--> not lent
 *
 * A mapping outlives the handle that it was made with, and the kernel does not
 * say when it ends: a file stays lent as long as the host's file system knows
 * somebody who has its data file (a lease is refused).
 *
 *   E1  a data file is lent only if it is of the present epoch and all of the
 *       content: nothing below it shows, and no epoch is raised while any is.
 *   E2  the C record is there before the kernel has the data file, and says
 *       otherwise only after nobody can write it.
 *   E3  all opens of an inode at one time are of one kind: a lent file is never
 *       opened through the daemon, nor lent one that is.
 *   E4  what a power cut may still bring back is not cut off in the data file:
 *       neither when it is lent nor before the record of that is durable.
 *
 * With the inode's lock, exclusively, unless said otherwise.
 */

#include "fs/live/body.h"

/* How many files are lent; any time. */
uint32_t shale_lend_count(struct shale_live *live);
/* -EBUSY and why, if any is: with `freeze` held exclusively. */
int shale_lend_refuse(struct shale_live *live, struct shale_err *err);

/*
 * May a file's data file be lent, by its records: is it of this epoch, and all
 * that there is of the content?
 */
bool shale_lend_fits(const struct shale_rec_attr *attr,
		     const struct shale_rec_content *c, uint32_t epoch);

/* What the file is as the kernel has left it: for a body that is being loaded,
 * any lock.  -ENOENT. */
int shale_lend_look(struct shale_body *body);

/* The times of a lent file; `st` is its data file's. */
void shale_lend_times(const struct stat *st, struct timespec *mtime,
		      struct timespec *ctime);

/*
 * Changing a lent file: the data file at once.  What is cut off needs E4:
 * -EAGAIN, for who then lets go of all locks, calls shale_lend_settle() and
 * begins anew.
 */
int shale_lend_write(struct shale_body *body, uint64_t off, const void *data,
		     size_t len);
int shale_lend_resize(struct shale_body *body, uint64_t size);
int shale_lend_punch(struct shale_body *body, uint64_t off, uint64_t end);
int shale_lend_seek(struct shale_body *body, uint64_t off, bool data,
		    uint64_t *out);

/* Make it durable that the file is lent.  No lock. */
int shale_lend_settle(struct shale_live *live, uint64_t ino);

/* The time of change is this one now; NULL: that of status is.  Nothing happens
 * if it is not lent. */
int shale_lend_stamp(struct shale_live *live, uint64_t ino,
		     const struct timespec *mtime);

/* --------------------------------------------------------------- giving back
 */

enum shale_lend_back {
	SHALE_LEND_CLOSED, /* if no handle is open */
	SHALE_LEND_GONE,   /* the connection has ended: handles are of nobody */
};
/*
 * Make records of what the kernel has left, if nobody has the file open or
 * mapped any more.  -EBUSY: somebody has.
 */
int shale_lend_take_back(struct shale_live *live, uint64_t ino,
			 enum shale_lend_back how);
/* The same with the lock, which it takes; waits a moment for who is about to
 * let go. */
void shale_lend_end(struct shale_live *live, uint64_t ino);
/* Whoever caches size or times of one that was taken back has to forget them: a
 * store to a mapping sets them, and tells nobody.  No lock. */
void shale_lend_tell(struct shale_live *live, uint64_t ino);
/* Of all that are lent; takes locks. */
void shale_lend_end_all(struct shale_live *live, enum shale_lend_back how);

/* One handle less: of the last one the kernel is told. */
void shale_lend_release(struct shale_live *live, uint64_t ino, uint64_t handle);

/* Find what the last process had lent: at the open of the live tree. */
int shale_lend_resume(struct shale_live *live, struct shale_err *err);

/* ---------------------------------------------------- which are lent (any time)
 */

struct shale_loan {
	uint32_t id;    /* for the kernel; 0: it has it no more */
	uint64_t since; /* journal position that must be durable for E4, or 0 */
};
bool shale_loans_get(struct shale_live *live, uint64_t ino,
		     struct shale_loan *out);
/* -ENOMEM only of one that was not there. */
int shale_loans_set(struct shale_live *live, uint64_t ino,
		    const struct shale_loan *loan);
void shale_loans_forget(struct shale_live *live, uint64_t ino);
/* Their inodes as they are now, uint64_t each, appended. */
int shale_loans_list(struct shale_live *live, struct shale_buf *out);

#endif
