/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_LIVE_FLUSH_H
#define SHALE_LIVE_FLUSH_H

#include "fs/live/impl.h"

/*
 * The content of one file becomes durable, its size and block map with it.
 * Few bytes go into the journal, as what counts of the file does anyway: one
 * flush of a file that is only written over costs less than any of one that has
 * new blocks.  Many bytes are flushed where they are; and so is what was
 * written over in place, which the journal has nothing to say of.
 */

struct shale_flush {
	bool noted;     /* the journal is to be flushed for it */
	uint64_t pos;   /* the inode's last change that is covered by that */
	uint32_t epoch; /* of the data file of which the journal had bytes … */
	uint64_t kept;  /* … up to here, which are void then; 0: none */
};

/*
 * Flush a file's content, and have the journal say so, or keep it: a replay
 * after a power cut believes records of its content up to there.  -ENODATA: it
 * has none; -ESTALE.
 */
int shale_flush_file(struct shale_live *live, uint64_t ino,
		     struct shale_flush *out, struct shale_err *err);

/* The journal has been flushed. */
void shale_flush_done(struct shale_live *live, uint64_t ino,
		      const struct shale_flush *flush);

/* Position of the last change of an inode that fsync must make durable. */
uint64_t shale_flush_changed(struct shale_live *live, uint64_t ino);

#endif
