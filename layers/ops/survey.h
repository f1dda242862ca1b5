/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_OPS_SURVEY_H
#define SHALE_OPS_SURVEY_H

/*
 * Threads that ask the file system what names are (attributes, targets of
 * symlinks, xattrs) ahead of the one that lists directories and plans what is
 * in them.  Names go in batches, some dozens at a time; a batch comes back in
 * its turn, so what is planned, and in which order, does not depend on threads.
 *
 * One thread gives and takes; a batch is the threads' in between.
 */

#include "layers/base/buf.h"
#include "layers/ops/xattrs.h"

#include <sys/stat.h>

enum { SHALE_SURVEY_NAMES = 64, SHALE_SURVEY_BATCHES = 32 };

/* A name, and what was found.  Offsets are of the batch's heap. */
struct shale_found {
	size_t name; /* NUL-ended */
	struct stat st;
	int error;     /* errno: no `st`, nor what follows */
	size_t target; /* of a symlink: NUL-ended … */
	size_t target_len;
	int target_error; /* … or why there is none, nor what follows */
	size_t xattrs;    /* an encoded list */
	uint32_t xattr_len;
	int xattr_error;  /* negative: the list is empty, and … */
	size_t xattr_why; /* … this says why; NUL-ended */
};

struct shale_survey_batch {
	int dirfd;              /* where the names are; stays open meanwhile */
	void *user;             /* the giver's */
	struct shale_buf items; /* struct shale_found */
	struct shale_buf heap;
	int failed; /* -ENOMEM: it was not looked at to its end */

	/* Private. */
	struct shale_survey *survey;
	struct shale_buf xattrs;
	bool done;
};

struct shale_survey;

/* `threads` 0: one a processor.  `policy` and `marks` as for
 * shale_xattrs_read(). */
int shale_survey_new(struct shale_survey **out, unsigned threads,
		     enum shale_xattr_policy policy, bool marks,
		     struct shale_err *err);
/* Whatever is under way comes to its end.  NULL is fine. */
void shale_survey_free(struct shale_survey *survey);

/* An empty batch, or NULL while all are given: take one first. */
struct shale_survey_batch *shale_survey_room(struct shale_survey *survey);
int shale_survey_add(struct shale_survey_batch *batch, const char *name,
		     struct shale_err *err);
size_t shale_survey_count(const struct shale_survey_batch *batch);
/* Give the batch that shale_survey_room() returned last. */
void shale_survey_give(struct shale_survey *survey);

/*
 * Wait for the batch that was given first of those not taken; it is good until
 * shale_survey_return().  NULL: none is under way.
 */
struct shale_survey_batch *shale_survey_take(struct shale_survey *survey);
void shale_survey_return(struct shale_survey *survey);

#endif
